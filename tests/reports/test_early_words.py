"""The early word on the page: its verdict, what it rests on, and whether it was right."""

from pathlib import Path

import pytest
from tests.reports.parsed import Page
from tests.reports.synthetic import make_early_word, write_pretrain

from headstart.reports.early_words import early_word_view
from headstart.reports.facts import read_facts
from headstart.reports.page import page_of
from headstart.reports.render import write_report
from headstart.results import PretrainResult


def test_the_table_has_a_column_for_each_look_and_a_row_for_each_figure() -> None:
    view = early_word_view(make_early_word())
    assert view["columns"] == ["Before", "Step 20", "Step 200"]
    rows = dict(view["rows"])
    assert [cell.replace("\u202f", " ") for cell in rows["kNN accuracy"]] == ["41.2 %", "44.3 %", "48.1 %"]
    assert rows["Uniformity"] == ["\u22121.51", "\u22121.51", "\u22122.21"]
    assert len(rows) == 7
    assert view["floors"].replace("\u202f", " ").endswith("raw pixels 33.3 %, the untrained network 41.2 %.")
    assert view["without_labels"] == "stop"


def test_a_word_without_labels_or_without_an_end_leaves_out_what_is_not_there() -> None:
    word = make_early_word(labelled=False).model_copy(update={"end": None, "end_sentence": None})
    view = early_word_view(word)
    assert view["columns"] == ["Before", "Step 20"]
    assert "kNN accuracy" not in dict(view["rows"])
    assert (view["floors"], view["without_labels"], view["end"]) == ("", "", "")


@pytest.mark.parametrize("verdict", ["go on", "no gain so far", "stop"])
def test_the_page_says_the_word_and_escapes_it(tmp_path: Path, verdict: str) -> None:
    folder = write_pretrain(tmp_path / "run")
    result = PretrainResult.model_validate_json((folder / "result.json").read_text())
    result.model_copy(update={"early_word": make_early_word(verdict)}).save(folder / "result.json")
    page = Page(write_report(folder))
    words = page.words()
    assert f"The early word {verdict}" in words
    assert f"The early word, after step 20 of 200, was: {verdict}." in words
    assert "\u22123.1 points" in words
    assert "The early word was right." in words
    assert "Without labels the word would have been: stop." in words
    assert "44.3 % of it: <script>alert(1)</script> go on." in words


def test_retrieval_alignment_and_uniformity_are_drawn(tmp_path: Path) -> None:
    page = page_of(read_facts(write_pretrain(tmp_path / "run", labelled=False)))
    drawn = {figure.key: figure for figure in page["curves"]}
    assert drawn["pretrain-retrieval"].data[0]["y"][-1] == pytest.approx(61)
    assert [line["line"]["dash"] for line in drawn["pretrain-spheres"].data] == ["solid", "dot"]
    assert page["has_retrieval"]


def test_a_run_without_a_word_has_no_heading_for_it(tmp_path: Path) -> None:
    folder = write_pretrain(tmp_path / "run")
    result = PretrainResult.model_validate_json((folder / "result.json").read_text())
    result.model_copy(update={"early_word": None}).save(folder / "result.json")
    assert "early word" not in Page(write_report(folder)).words().lower()
