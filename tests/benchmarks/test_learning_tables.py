"""The tables say what the results hold, and the prose around them stays."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks.learning.__main__ import SECTIONS, main
from benchmarks.learning.conditions import REPOSITORY
from benchmarks.learning.judging import early_words, gain_of
from benchmarks.learning.markdown import markers, put_between
from benchmarks.learning.series_tables import series_lines
from benchmarks.learning.tables import results_lines
from tests.benchmarks.synthetic import entry, levers, pair, why


def cells(lines: list[str], first: str) -> list[str]:
    """The cells of the only row that begins with ``first``."""
    (found,) = [line for line in lines if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in found.strip("|").split("|")][1:]


def section(lines: list[str], begin: str) -> list[str]:
    start = next(i for i, line in enumerate(lines) if line.startswith(begin))
    return lines[start : next((i for i in range(start + 2, len(lines)) if not lines[i]), len(lines))]


def test_means_and_paired_differences_stand_in_their_cells() -> None:
    lines = section(results_lines([entry()]), "Everything trained")
    assert cells(lines, "start") == ["10 % (8 labels)", "100 % (80 labels)"]
    assert cells(lines, "`scratch`") == ["40.0", "60.0"]
    assert cells(lines, "`ssl-5min`") == ["50.0; +10.0 (5.0 to 15.0)", "61.0; +1.0 (-2.0 to 4.0)"]
    assert cells(lines, "`seed_byol-5min`") == ["35.0; -5.0 (-9.0 to -1.0)", "-"]
    assert cells(lines, "`supervised`") == ["70.0; +30.0", "-"]
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == [
        "scratch",
        "supervised",
        "ssl-5min",
        "seed_byol-5min",
        "ssl+supervised-5min",
    ]
    frozen = section(results_lines([entry()]), "Backbone frozen")
    assert cells(frozen, "`ssl-5min`") == ["45.0"]


def test_chosen_learning_rates_and_their_cost_are_told() -> None:
    made = entry()
    rows = {(row["trial"], row["trained"], row["label_fraction"]): row for row in made["rows"]}
    for key, chosen in ((("ssl-5min", "full", 1.0), 3.0), (("ssl-5min", "full", 0.1), 0.3)):
        rows[key]["lr"] = {"chosen": chosen, "trainings": 9, "seconds": 1800.0}
    rows["scratch", "full", 0.1]["lr"] = {"chosen": 1.0, "trainings": 0, "seconds": 0.0}
    (line,) = [line for line in results_lines([made]) if line.startswith("Multiples")]
    assert "`ssl-5min` 0.3, 3." in line
    assert "18 trainings, 1.0 hours" in line
    assert "`scratch`" not in line


def test_the_pretraining_table_has_knn_lengths_and_endings() -> None:
    lines = results_lines([entry()])
    assert cells(lines, "`ssl`") == ["5", "5.0", "100 x 64", "25", "55.0", "40.0, 50.0"]
    assert cells(section(lines, "| arm"), "`scratch`") == ["-", "-", "-", "-", "35.0", "-"]
    assert cells(lines, "`seed_byol` (collapsed)")[0] == "5"
    assert "- Left out: `lightly-5min`, the package lightly is not installed." in lines


def test_continuing_is_compared_with_the_supervised_weights() -> None:
    lines = section(results_lines([entry()]), "Continued from supervised")
    assert cells(lines, "`ssl+supervised-5min/full`") == ["-1.0 (-3.0 to 1.0)"]


def test_early_words_are_counted_against_what_the_study_found() -> None:
    made = entry()
    assert [(word["trial"], word["verdict"], word["found"]) for word in early_words(made)] == [
        ("ssl-5min", "go on", {"full": "gain", "frozen": None}),
        ("seed_byol-5min", "stop", {"full": "loss", "frozen": None}),
        ("ssl+supervised-5min", "go on", {"full": "no difference", "frozen": None}),
    ]
    lines = results_lines([made])
    assert cells(lines, "go on") == ["1", "1", "0", "0", "0", "0"]
    assert cells(lines, "stop") == ["0", "0", "1", "0", "0", "0"]
    assert cells(lines, "no gain so far") == ["0", "0", "0", "0", "0", "0"]
    assert any(line.endswith(": `full` 2 of 3, `frozen` 0 of 0.") for line in lines)
    made["differences"].append(pair("seed_byol-5min", "scratch", "frozen", 0.1, 0.2, [0.1, 0.3]))
    lines = results_lines([made])
    assert cells(lines, "stop") == ["0", "0", "1", "1", "0", "0"]
    assert any(line.endswith(": `full` 2 of 3, `frozen` 0 of 1.") for line in lines)


def test_without_early_words_there_is_no_table_of_them() -> None:
    made = entry()
    for trial in made["trials"]:
        trial["facts"].pop("early_word", None)
    assert early_words(made) == []
    assert not any("early word" in line for line in results_lines([made]))


def test_a_gain_is_judged_nearest_to_ten_per_cent_and_needs_an_interval() -> None:
    made = entry()
    made["differences"].insert(0, pair("ssl-5min", "scratch", "full", 0.01, -0.1, [-0.2, -0.05]))
    assert gain_of(made, "ssl-5min", "scratch", "full") == "gain"
    del made["differences"][0]
    made["differences"][0]["label_fraction"] = 0.9
    made["differences"][1]["label_fraction"] = 0.2
    assert gain_of(made, "ssl-5min", "scratch", "full") == "no difference"
    assert gain_of(made, "supervised", "scratch", "full") is None
    assert gain_of(made, "ssl-20min", "scratch", "full") is None


def test_every_row_of_every_table_has_as_many_cells_as_its_head() -> None:
    for lines in (results_lines([entry()]), series_lines([why()]), series_lines([levers()])):
        for above, here in pairwise(lines):
            if above.startswith("|") and here.startswith("|"):
                assert above.count("|") == here.count("|"), here


def test_the_page_on_why_it_hurt_says_what_was_changed_and_what_it_was_worth() -> None:
    lines = series_lines([why()])
    assert cells(lines, "`lr`: learning rate") == ["100 x 32", "4.07 to 0.16", "60.0, 62.0, 35.0", "0.1, 12.3"]
    assert cells(lines, "`lr`") == ["50.0", "+10.0 (5.0 to 15.0)", "+20.0 (15.0 to 25.0)"]
    assert cells(lines, "`scratch`") == ["40.0", "-", "+10.0 (0.0 to 20.0)"]
    assert ", 5 minutes for each pre-training, " in lines[0]
    assert "- `lr`: `--optim.lr` 0.01 to 0.0005" in lines
    assert "- Left out: `tau`, it was not to be" in lines


def test_a_lever_is_compared_with_the_weights_it_began_from_and_with_what_it_changes() -> None:
    lines = series_lines([levers()])
    assert cells(lines, "`default`") == ["50.0", "+10.0", "-"]
    assert cells(lines, "`supervised`") == ["72.0", "+2.0", "+22.0"]
    assert cells(lines, "`supervised-no-keep`") == ["66.0", "-4.0", "-6.0"]
    assert cells(lines, "`supervised weights`") == ["70.0", "-", "+20.0"]
    assert "- `supervised`: `--start` scratch to supervised" in lines
    assert "- `supervised-no-keep` (from `supervised`): `--byol.keep` 4 to 0" in lines
    assert ", 1000 steps for each pre-training, rounded up to whole epochs, however long they took, " in lines[0]


def test_the_command_replaces_what_is_between_the_markers_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, docs = tmp_path / "results", tmp_path / "docs"
    results.mkdir()
    docs.mkdir()
    (results / "learning.json").write_text(json.dumps({"schema_version": 1, "entries": [entry()]}))
    (results / "why.json").write_text(json.dumps({"schema_version": 1, "entries": [why()]}))
    (results / "levers.json").write_text(json.dumps({"schema_version": 1, "entries": [levers()]}))
    (begin, end), (levers_begin, levers_end) = markers("results"), markers("levers")
    for name in ("learning.md", "why-it-hurt.md"):
        prose = f"# Prose\n\n{begin}\nold\n{end}\n\nMore prose.\n"
        (docs / name).write_text(f"{prose}\n{levers_begin}\nold\n{levers_end}\n\nThe end.\n")
    assert main(["table", str(results), "--docs", str(docs)]) == 0
    once = (docs / "learning.md").read_text()
    assert once.startswith(f"# Prose\n\n{begin}\n")
    assert once.endswith(f"{levers_end}\n\nThe end.\n")
    assert f"{end}\n\nMore prose.\n\n{levers_begin}\n" in once
    assert "old" not in once
    above, below = once.split(levers_begin)
    assert "| `ssl-5min` | 50.0; +10.0 (5.0 to 15.0)" in above
    assert "| `supervised-no-keep` | 66.0 | -4.0 | -6.0 |" in below
    assert "`--optim.lr` 0.01 to 0.0005" in (docs / "why-it-hurt.md").read_text()
    assert main(["table", str(results), "--docs", str(docs)]) == 0
    assert (docs / "learning.md").read_text() == once
    capsys.readouterr()
    assert main(["table", str(results), "--print"]) == 0
    assert "| `ssl-5min` | 50.0" in capsys.readouterr().out


def test_a_folder_without_results_and_a_page_without_markers_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", str(tmp_path)]) == 1
    assert "learning.json" in capsys.readouterr().err
    page = tmp_path / "page.md"
    begin, end = markers("levers")
    page.write_text(f"{end} {begin}")
    with pytest.raises(ValueError, match="needs the lines"):
        put_between(page, "levers", ["new"])
    assert page.read_text() == f"{end} {begin}"


@pytest.mark.parametrize(("page", "section"), [(page, section) for page, section, _, _ in SECTIONS])
def test_the_pages_of_this_repository_have_their_markers(page: str, section: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    begin, end = markers(section)
    assert 0 < text.find(begin) < text.find(end)
