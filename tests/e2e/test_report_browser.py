"""The report in Chromium: it draws, fits, keeps to itself and runs nothing that a name smuggles in."""

import shutil

import pytest
from tests.reports import synthetic, synthetic_masks, synthetic_objects

from headstart.reports.render import write_report

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 900), "phone": (375, 812)}
KINDS = {
    "study": lambda folder: synthetic.write_study(folder),
    "many classes": lambda folder: synthetic.write_study(
        folder, [f"{i}-{synthetic.IMAGE}" for i in range(65)], seeds=1
    ),
    "pretrain": lambda folder: synthetic.write_pretrain(folder),
    "classify": lambda folder: synthetic.write_classify(folder),
    "segment": lambda folder: synthetic_masks.write_segment(folder, side=200),
    "segment study": lambda folder: synthetic_masks.write_segment_study(folder),
    "segmentations beside a study": lambda folder: synthetic_masks.write_shelf(folder),
    "automatic masks": lambda folder: synthetic_objects.write_objects(folder),
}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Exception as error:
            pytest.fail(
                f"Chromium does not start: install it with 'make browser' or 'apt-get install chromium'. {error}"
            )
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    return {kind: write_report(write(root / kind.replace(" ", "-"))) for kind, write in KINDS.items()}


@pytest.fixture
def opened(browser, pages, request):
    """Opens a page; what it did that it should not is gathered in ``wrongs`` and must be nothing at the end."""
    wrongs: list[str] = []
    contexts = []

    def open_page(kind, size="desktop", scheme="light"):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        url = pages[kind].as_uri()
        page.on("console", lambda message: wrongs.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrongs.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (wrongs.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        local = ("data:", "blob:", url)
        page.on("request", lambda request: request.url.startswith(local) or wrongs.append(f"request: {request.url}"))
        page.goto(url)
        page.wait_for_function("[...document.querySelectorAll('.plot')].every(p => p.querySelector('svg.main-svg'))")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrongs == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_fits_and_every_plot_is_drawn(opened, kind, size):
    page = opened(kind, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    plots = page.locator(".plot")
    assert plots.count() >= (0 if kind == "automatic masks" else 3)
    empty = page.evaluate(
        "[...document.querySelectorAll('.plot')].filter(p => !p.querySelector('.trace, .hm')).map(p => p.ariaLabel)"
    )
    assert empty == []
    outside = page.evaluate(
        """[...document.querySelectorAll('main *')].filter(e => {
            const box = e.getBoundingClientRect();
            return box.width && box.right > innerWidth + 1 && !e.closest('.table-box, svg, .hidden');
        }).map(e => e.outerHTML.slice(0, 100))"""
    )
    assert outside == []


def test_all_headings_are_there_and_the_list_of_contents_leads_to_them(opened):
    page = opened("study")
    titles = page.locator("h2").all_inner_texts()
    assert titles == page.locator("nav a").all_inner_texts()
    assert len(titles) == 9
    for target in page.eval_on_selector_all("nav a", "links => links.map(link => link.hash)"):
        assert page.locator(target).count() == 1


def test_the_contents_lead_through_classification_first_and_then_land_cover(opened):
    page = opened("segmentations beside a study")
    titles = page.locator("h2").all_inner_texts()
    assert titles == page.locator("nav a").all_inner_texts()
    assert titles[6:9] == [
        "Which classes are confused",
        "Land cover: the models side by side",
        "Land cover: the starts compared",
    ]
    tops = page.eval_on_selector_all("h2", "titles => titles.map(title => title.getBoundingClientRect().top)")
    assert tops == sorted(tops)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "rendering"), [("segment", "auto"), ("segment study", "pixelated")])
def test_masks_are_drawn_side_by_side_and_small_ones_with_square_pixels(opened, kind, rendering, size):
    page = opened(kind, size)
    tiles = page.eval_on_selector_all(
        ".tile img",
        """images => images.map(image => ({
            drawn: image.naturalWidth, width: image.getBoundingClientRect().width,
            left: image.getBoundingClientRect().left, rendering: getComputedStyle(image).imageRendering }))""",
    )
    assert len(tiles) == len(synthetic_masks.SAMPLES) * (3 + len(synthetic_masks.EPOCHS))
    assert all(tile["drawn"] > 0 and tile["width"] >= 140 for tile in tiles)
    assert {tile["rendering"] for tile in tiles} == {rendering}
    assert len({tile["left"] for tile in tiles}) == (6 if size == "desktop" else 2)


def test_the_key_has_the_colours_of_the_masks(opened):
    page = opened("segment")
    colours = page.eval_on_selector_all(
        "[aria-label='Colours of the classes'] .key", "keys => keys.map(key => getComputedStyle(key).backgroundColor)"
    )
    assert colours == [f"rgb({red}, {green}, {blue})" for red, green, blue in synthetic_masks.COLOURS]
    names = page.locator("[aria-label='Colours of the classes'] bdi").all_inner_texts()
    assert names == synthetic_masks.CLASSES


def test_the_matrix_of_pixels_is_legible_on_a_phone(opened):
    page = opened("segment", "phone")
    written = page.locator("#mistakes .heatmap-label")
    assert written.count() >= synthetic_masks.N_SCORED**2 - synthetic_masks.N_SCORED
    sizes = written.evaluate_all("texts => texts.map(text => parseFloat(getComputedStyle(text).fontSize))")
    assert min(sizes) >= 10
    assert all(len(text) <= 3 for text in written.all_text_contents())


def test_hostile_class_names_are_text_in_the_figures(opened):
    page = opened("study")
    ticks = page.eval_on_selector_all(".ytick text", "texts => texts.map(text => text.textContent)")
    assert any(tick.startswith("<script>alert(1") for tick in ticks)
    assert any(tick.startswith('"><img src=x on') for tick in ticks)
    assert page.locator("img[src='x']").count() == 0
    buttons = page.locator("button[data-trace] bdi").all_inner_texts()
    assert buttons == synthetic.CLASSES


def test_names_stay_text_when_the_pointer_rests_on_them(opened):
    from playwright.sync_api import expect

    page = opened("study")
    plot = page.locator("[data-group]").first
    plot.scroll_into_view_if_needed()
    for trace in range(5):
        page.evaluate("([plot, trace]) => Plotly.Fx.hover(plot, [{curveNumber: trace, pointNumber: 0}])",
                      [plot.element_handle(), trace])  # fmt: skip
        expect(plot.locator(".hoverlayer .hovertext")).to_contain_text(synthetic.CLASSES[trace], timeout=5000)


def test_choosing_a_class_brings_it_out_in_both_pictures(opened):
    page = opened("study")
    button = page.locator("button[data-trace='2']")
    opacities = "[...document.querySelectorAll('[data-group]')].map(p => p.data.map(t => t.opacity ?? 1))"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate(opacities) == [[0.07, 0.07, 1, 0.07, 0.07]] * 2
    button.click()
    assert page.evaluate(opacities) == [[1] * 5] * 2


def test_dark_is_dark_and_print_is_light_in_the_figures_too(opened):
    page = opened("study", scheme="dark")
    ink = "document.querySelector('.plot').layout.font.color"
    dark = page.evaluate(ink)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = page.evaluate(ink)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (dark, printed, page.evaluate(ink)) == ("#e7e8ea", "#1d2127", "#e7e8ea")


def test_the_bar_of_a_figure_saves_pictures_and_leads_nowhere(opened):
    page = opened("study")
    names = page.eval_on_selector_all(".modebar-btn", "buttons => buttons.map(button => button.dataset.title)")
    assert set(names) == {"Download plot as a PNG", "Zoom in", "Zoom out", "Reset axes"}
    assert page.locator(".modebar a[href]").count() == 0
    with page.expect_download() as download:
        page.locator(".modebar-btn").first.click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
