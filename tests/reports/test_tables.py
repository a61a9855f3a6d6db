from pathlib import Path

from tests.reports import synthetic

from headstart.configs.pretrain import PretrainConfig
from headstart.configs.study import StudyConfig
from headstart.reports import readme, tables
from headstart.reports.facts import read_facts
from headstart.reports.files import Setup
from headstart.results import LabelSaving


def test_differences_are_marked_only_where_the_interval_excludes_zero():
    assert tables.sign_of((0.001, 0.02)) == "above"
    assert tables.sign_of((-0.02, -0.001)) == "below"
    assert tables.sign_of((-0.001, 0.02)) == ""
    assert tables.sign_of((0.0, 0.02)) == ""
    assert tables.sign_of(None) == ""


def test_the_table_has_every_row_with_its_own_difference():
    study = synthetic.make_study()
    groups = tables.setting_groups(study)
    assert [len(group.rows) for group in groups] == [8, 8]
    assert "256 images" in groups[0].title
    baseline, supervised = groups[0].rows[:2]
    assert baseline.baseline
    assert baseline.difference == ""
    found = next(d for d in study.differences if (d.setting, d.label_fraction) == ("supervised/full", 0.1))
    assert supervised.difference == f"+{found.mean * 100:.1f}"
    assert supervised.n_seeds == 3


def test_label_savings_in_words():
    def saving(setting, status, fraction):
        return LabelSaving(setting=setting, target=0.6, status=status, label_fraction=fraction)

    said = tables.saving_sentences(
        [saving("a/full", "at_most", 0.1), saving("b/full", "not_reached", None), saving("c/full", "reached", 0.127),
         saving("d/full", "at_most", 0.1), saving("e/full", "not_reached", None)]
    )  # fmt: skip
    assert [sentence.replace("\u202f", " ") for sentence in said] == [
        "c/full reaches it with about 12.7 % of the labels (interpolated between the shares tried).",
        "Reached with 10 % of the labels, the smallest share tried, or fewer: a/full, d/full.",
        "Not reached with any share tried: b/full, e/full.",
    ]
    assert tables.saving_sentences([]) == []


def test_a_readme_is_set_without_its_marks():
    text = "# Title\nfirst line\nsecond line\n\n| a | b |\n|---|---|\n| 1 | <b> |\n\n| other |\nend"
    found = [(block.kind, block.text, block.rows) for block in readme.blocks(text)]
    assert found == [
        ("heading", "Title", []),
        ("text", "first line\nsecond line", []),
        ("table", "", [["a", "b"], ["1", "<b>"]]),
        ("table", "", [["other"]]),
        ("text", "end", []),
    ]
    assert readme.blocks("") == []


def command_of(config, verb: str) -> list[str]:
    return tables.command(Setup(verb, config.model_dump(mode="json"), {}, {}))


def test_the_command_line_has_what_differs_from_the_defaults_and_nothing_else():
    config = StudyConfig(data="my images", out=Path("o"), seeds=5, strict=True, label_fractions=(0.1, 0.5))
    assert command_of(config, "study") == [
        "headstart study", "--out o", "--data 'my images'", "--seeds 5", "--label-fractions 0.1 0.5", "--strict",
    ]  # fmt: skip


def test_nested_settings_are_dotted_flags_and_resuming_is_not_repeated():
    config = PretrainConfig(data="d", out=Path("o"), resume=True)
    nested = config.model_copy(update={"optim": config.optim.model_copy(update={"lr": 0.5})})
    assert command_of(nested, "pretrain") == ["headstart pretrain", "--out o", "--data d", "--optim.lr 0.5"]


def test_an_unknown_verb_has_no_command():
    assert tables.command(Setup("tsne", {"data": "d"}, {}, {})) == []


def test_flat_names_are_dotted_and_nothing_is_lost():
    pairs = tables.flat({"a": {"b": [1, 2], "c": None}, "d": True})
    assert [(pair.name, pair.value) for pair in pairs] == [("a.b", "1 2"), ("a.c", "not set"), ("d", "True")]


def test_a_reading_that_was_not_taken_at_the_end_says_when(tmp_path):
    folder = synthetic.write_pretrain(tmp_path / "run")
    names = [pair.name for pair in tables.pretrain_pairs(read_facts(folder).pretrains[0])]
    assert "Effective rank at the end" in names
    synthetic.write_metrics(folder / "metrics.jsonl", 195)
    names = [pair.name for pair in tables.pretrain_pairs(read_facts(folder).pretrains[0])]
    assert "Effective rank at the last look (step 190)" in names
