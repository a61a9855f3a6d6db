"""The page in Chromium: what comes from files is text, and the policy holds even where the escaping would not."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.reports import synthetic, synthetic_masks

from headstart.reports.render import write_report
from headstart.results import (
    ClassifyResult,
    DataFacts,
    PretrainResult,
    Record,
    SegmentResult,
    StudyResult,
    TsneResult,
)

pytestmark = pytest.mark.browser
DRAWN = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('svg.main-svg'))"
# OUT is an address of a server on this machine that counts what it is asked for, RAN a name; each its own.
SMUGGLED = {
    "a script": "<script>window.RAN = 1</script>",
    "a module": "<script type=module>window.RAN = 1</script>",
    "a script from elsewhere": "<script src='OUT/x.js'></script>",
    "a script in its address": "<script src='data:text/javascript,window.RAN=1'></script>",
    "a picture's error": "<img src='data:,' onerror='window.RAN = 1'>",
    "a drawing's load": "<svg onload='window.RAN = 1'></svg>",
    "an opened detail": "<details open ontoggle='window.RAN = 1'>x</details>",
    "a frame": "<iframe srcdoc='<script>parent.RAN = 1</script>'></iframe>",
    "a frame from elsewhere": "<iframe src='OUT/frame'></iframe>",
    "a picture from elsewhere": "<img src='OUT/pixel.png'>",
    "a style from elsewhere": "<link rel=stylesheet href='OUT/x.css'>",
    "a style that loads": "<style>@import 'OUT/y.css'; body { background: url('OUT/x.png') }</style>",
    "an object": "<object data='OUT/o'></object><embed src='OUT/e'>",
    "a film": "<video src='OUT/v' autoplay></video><audio src='OUT/a' autoplay></audio>",
    "another base": "<base href='OUT/'><img src='relative.png'>",
    "a link that runs": "<a class=bait href='javascript:void(window.RAN = 1)'>x</a>",
    "a button that runs": "<button class=bait onclick='window.RAN = 1'>x</button>",
    "a form": "<form action='OUT/form' target=_blank><button class=bait>x</button></form>",
}
MARKUP = "\"'></style></title></script><img src=x onerror=window.smuggled=1><script>window.smuggled=1</script>"
RECORDS = (StudyResult, PretrainResult, ClassifyResult, SegmentResult, DataFacts, TsneResult)
WRITERS: dict[str, Callable[[Path], Path]] = {
    "study": lambda folder: synthetic.write_study(folder, seeds=1),
    "pretrain": synthetic.write_pretrain,
    "classify": synthetic.write_classify,
    "segment": lambda folder: synthetic_masks.write_segment(folder, side=64),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a page with figures."""
    return write_report(synthetic.write_classify(tmp_path_factory.mktemp("sound") / "run")).read_text(encoding="utf-8")


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Opens a text as a page, takes the baits in it, and returns the page."""
    context = browser.new_context()
    context.set_default_timeout(120_000)

    def open_page(text: str) -> Any:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        page = context.new_page()
        page.goto(file.as_uri(), wait_until="domcontentloaded")
        page.wait_for_function(DRAWN)
        page.evaluate("document.querySelectorAll('.bait').forEach(bait => bait.click())")
        page.wait_for_timeout(1000)
        return page

    yield open_page
    context.close()


def smuggled(text: str, out: str) -> str:
    """The page with all of SMUGGLED in it, as if it had not been escaped."""
    assert text.count("<main>") == 1
    markup = (each.replace("OUT", f"{out}/{i}-").replace("RAN", f"ran{i}") for i, each in enumerate(SMUGGLED.values()))
    return text.replace("<main>", "<main>" + "".join(markup))


def got_through(page: Any, asked: list[str]) -> set[str]:
    """Which of SMUGGLED ran or loaded something."""
    ran = page.evaluate("Object.keys(window).filter(name => /^ran[0-9]+$/.test(name))")
    loaded = {path[1:].partition("-")[0] for path in asked}
    return {what for i, what in enumerate(SMUGGLED) if f"ran{i}" in ran or str(i) in loaded}


def test_smuggled_markup_neither_runs_nor_loads_and_the_figures_are_drawn(
    sound: str, visit: Callable[[str], Any], stranger: tuple[str, list[str]]
) -> None:
    out, asked = stranger
    asked.clear()
    page = visit(smuggled(sound, out))
    assert got_through(page, asked) == set()
    assert asked == []
    assert page.url.startswith("file:")
    assert page.locator(".plot .main-svg").count() >= 3


def test_without_the_policy_it_would(sound: str, visit: Callable[[str], Any], stranger: tuple[str, list[str]]) -> None:
    out, asked = stranger
    asked.clear()
    page = visit(smuggled(sound.replace("Content-Security-Policy", "No-Policy"), out))
    through = got_through(page, asked)
    assert {
        "a script",
        "a picture's error",
        "a frame",
        "a script from elsewhere",
        "a picture from elsewhere",
    } <= through
    assert {"a style from elsewhere", "a frame from elsewhere", "a link that runs", "a form"} <= through


def marked(given: Any, accepted: Callable[[Any], bool]) -> int:
    """Put MARKUP behind every text in ``given``, keys aside, where it is then still ``accepted``; to how many."""
    n = 0
    for key in range(len(given)) if isinstance(given, list) else list(given):
        value = given[key]
        if isinstance(value, str):
            given[key] = value + MARKUP
            if accepted(given):
                n += 1
            else:
                given[key] = value
        elif isinstance(value, list | dict):
            n += marked(value, accepted)
    return n


def mark_file(file: Path) -> int:
    """Mark all texts in a JSON file that its record leaves free; a file without a record has no others."""
    content = json.loads(file.read_text(encoding="utf-8"))

    def fits(record: type[Record]) -> bool:
        try:
            record.model_validate(content)
        except ValidationError:
            return False
        return True

    record = next((record for record in RECORDS if fits(record)), None)
    n = marked(content, lambda _: record is None or fits(record))
    file.write_text(json.dumps(content), encoding="utf-8")
    return n


@pytest.mark.parametrize("kind", WRITERS)
def test_every_text_in_every_file_is_text_on_the_page(kind: str, tmp_path: Path, visit: Callable[[str], Any]) -> None:
    run = WRITERS[kind](tmp_path / f"run {MARKUP.replace('/', '')}")
    top = [run / name for name in ("result.json", "data.json", "config.json", "tsne.json") if (run / name).is_file()]
    assert sum(map(mark_file, top)) >= 8
    page = visit(write_report(run).read_text(encoding="utf-8"))
    assert not page.evaluate("window.smuggled === 1")
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("script").count() == 2 + page.locator("script[type='application/json']").count()
    assert MARKUP in page.locator("body").inner_text()
