import base64
import hashlib
import re
import subprocess
import sys

import pytest
from tests.reports import synthetic
from tests.reports.parsed import Page

from headstart.errors import RunError
from headstart.reports.render import write_report

HEADINGS = (
    "The question", "The data", "The settings compared", "Accuracy and the number of labels", "Pre-training",
    "What the network has learned", "Which classes are confused", "How to repeat this", "Words",
)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = synthetic.write_study(tmp_path_factory.mktemp("report") / "study")
    return Page(write_report(folder))


def test_hostile_text_is_shown_and_is_not_markup(study):
    tags = {tag for tag, _ in study.elements}
    assert not tags & {"iframe", "object", "embed", "form", "base", "b1"}
    assert not [attrs for _, attrs in study.elements if any(name.startswith("on") for name in attrs)]
    assert all(attrs["src"].startswith("data:image/") for tag, attrs in study.elements if tag == "img")
    for text in synthetic.HOSTILE:
        assert text in study.words()
    assert "{{ 7 * 7 }}" in study.words()
    executable = [script for kind, script in study.scripts if kind is None]
    assert len(executable) == 2
    assert "alert(1)" not in "".join(executable)


def test_the_policy_allows_the_two_scripts_and_nothing_else(study):
    policy = next(a["content"] for _, a in study.elements if a.get("http-equiv") == "Content-Security-Policy")
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in study.scripts
        if kind is None
    ]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe-eval|script-src[^;]*unsafe-inline|https?:|\*", policy)


def test_nothing_is_linked_or_loaded_from_elsewhere(study):
    targets = [
        value for _, attrs in study.elements for name, value in attrs.items() if name in ("src", "href", "srcset")
    ]
    assert targets
    assert all(target.startswith(("#", "data:")) for target in targets)
    assert not [tag for tag, _ in study.elements if tag == "link" and _.get("rel") != "icon"]


def test_all_sections_are_there_in_order(study):
    places = [study.text.rindex(heading) for heading in HEADINGS[:-1]]
    assert places == sorted(places)
    assert ("html", {"lang": "en"}) in study.elements
    assert [tag for tag, _ in study.elements].count("h1") == 1


def test_numbers_in_the_table_are_those_of_the_result(study):
    words = study.words()
    for row in synthetic.make_study().rows:
        half = (row.ci95[1] - row.ci95[0]) * 50
        assert f"{row.mean * 100:.1f} % ± {half:.1f} {row.sd * 100:.1f} 3" in words


def test_what_went_wrong_is_said(study):
    words = study.words()
    assert "stopped: the features collapsed" in words
    assert "8 % of the views are nearly one colour" in words
    assert "Left out: seed 2 of supervised/frozen" in words
    assert "nan" not in re.findall(r"[a-z]+", words.lower())


def test_identifiers_are_unique(study):
    names = [attrs["id"] for _, attrs in study.elements if "id" in attrs]
    assert len(names) == len(set(names))


def test_one_seed_has_no_interval_and_one_share_no_curve(tmp_path):
    folder = synthetic.write_study(tmp_path / "study", fractions=(1.0,), seeds=1)
    words = Page(write_report(folder)).words()
    assert "one seed, and so without an interval" in words
    assert "a difference may be chance" in words
    assert "only one share of the labels was tried" in words
    assert "±" not in words.split("How to read it.")[0]


def test_missing_parts_are_left_out_with_a_reason(tmp_path):
    folder = tmp_path / "bare"
    study = synthetic.make_study().model_copy(update={"pretrained": []})
    synthetic.save(study, folder)
    words = Page(write_report(folder)).words()
    for reason in ("no readable data.json", "no tsne.json was found", "No start of this study was pre-trained",
                   "no confusion matrix", "no readable config.json"):  # fmt: skip
        assert reason in words


def test_a_pretraining_without_labels_says_so(tmp_path):
    folder = synthetic.write_pretrain(tmp_path / "run", status="diverged", labelled=False)
    words = Page(write_report(folder)).words()
    assert "Pre-training was stopped, because its numbers diverged." in words
    assert "There is no kNN accuracy, because the images have no labels." in words
    assert "The settings compared" not in words


def test_a_classification_alone_is_reported(tmp_path):
    folder = synthetic.write_classify(tmp_path / "run")
    words = Page(write_report(folder, tmp_path / "deep" / "page.html")).words()
    assert (
        f"{synthetic.make_rows((1.0,), 1)[3].mean * 100:.1f} % of 640 validation images get their right class" in words
    )
    assert "One run with one seed" in words
    assert not (folder / "report.html").exists()


def test_the_page_is_small_even_with_large_pictures_and_many_classes(tmp_path):
    folder = synthetic.write_study(tmp_path / "study", [f"class {i}" for i in range(65)])
    synthetic.make_tsne([f"class {i}" for i in range(65)], 5000).save(folder / "tsne.json")
    from random import Random

    from PIL import Image

    Image.frombytes("RGB", (2000, 2000), Random(0).randbytes(12_000_000)).save(folder / "samples.png")
    page = write_report(folder)
    assert page.stat().st_size < 15_000_000
    assert "of which 3000 are drawn" in Page(page).words()


def test_a_failed_report_leaves_the_old_one(tmp_path):
    folder = synthetic.write_study(tmp_path / "study")
    page = write_report(folder)
    before = page.read_bytes()
    (folder / "result.json").write_text("{")
    with pytest.raises(RunError):
        write_report(folder)
    assert page.read_bytes() == before
    assert list(folder.glob("*.part")) == []


def test_the_report_needs_no_tensors(tmp_path):
    folder = synthetic.write_pretrain(tmp_path / "run")
    code = (
        "import sys, pathlib; from headstart.reports.render import write_report; "
        f"write_report(pathlib.Path({str(folder)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
