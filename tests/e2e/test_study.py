"""A whole small study through the command line: from images to a verdict and a page."""

import json
import shlex
from pathlib import Path

import pytest
from tests.conftest import write_classes

from headstart.cli import main
from headstart.results import StudyResult

SETTINGS = ("scratch", "ssl")
WORDS = shlex.split(
    "--backbone test_resnet --image-size 32 --seeds 2 --label-fractions 0.2 1.0 --epochs 1 --min-steps 8 "
    "--pretrain-epochs 1 --precision fp32 --workers 0 --starts scratch ssl --lr-grid 1"
)


@pytest.fixture(scope="module")
def done(gratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "study"
    assert main(["study", "--data", str(gratings), "--out", str(out), *WORDS]) == 0
    return out


def test_every_setting_fraction_and_seed_was_run(done: Path) -> None:
    result = StudyResult.model_validate_json((done / "result.json").read_text())
    assert {(row.setting, row.label_fraction) for row in result.rows} == {
        (f"{start}/{trained}", fraction)
        for start in SETTINGS
        for trained in ("full", "frozen")
        for fraction in (0.2, 1.0)
    }
    assert all(row.seeds == [0, 1] and row.ci95 is not None for row in result.rows)
    assert {row.setting: row.letter for row in result.rows} == {
        "scratch/full": "A",
        "ssl/full": "C",
        "ssl/frozen": "E",
        "scratch/frozen": None,
    }
    assert [row.n_labels for row in result.rows if row.setting == "ssl/full"] == [12, 60]
    assert result.verdict.sentence


def test_the_rows_are_what_the_runs_say(done: Path) -> None:
    result = StudyResult.model_validate_json((done / "result.json").read_text())
    row = next(row for row in result.rows if (row.setting, row.label_fraction) == ("ssl/full", 0.2))
    runs = [done / "runs" / "ssl" / "full" / "labels-0.2" / f"seed-{seed}" / "result.json" for seed in (0, 1)]
    assert row.values == [json.loads(run.read_text())["accuracy"] for run in runs]


def test_a_second_call_repeats_nothing_and_more_seeds_are_added(
    done: Path, gratings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.glob("runs/**/result.json")}
    words = ["3" if WORDS[i - 1] == "--seeds" else word for i, word in enumerate(WORDS)]
    assert main(["study", "--data", str(gratings), "--out", str(done), "--json", *words]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    printed = json.loads(capsys.readouterr().out)
    assert {tuple(row["seeds"]) for row in printed["rows"]} == {(0, 1, 2)}


def test_page_layout_and_samples_are_there(done: Path) -> None:
    assert (done / "report.html").stat().st_size < 15e6
    assert (done / "samples.png").is_file()
    assert list(done.glob("runs/ssl/full/labels-1.0/seed-0/tsne.json"))
    assert not list(done.glob("runs/*/*/*/*/checkpoints"))


def test_a_start_that_is_not_there_costs_no_training(
    gratings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"ssl={tmp_path / 'nowhere'}" if word == "ssl" else word for word in WORDS]
    assert main(["study", "--data", str(gratings), "--out", str(tmp_path / "study"), *words]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_other_settings_in_the_same_directory_are_refused(
    done: Path, gratings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (done / "config.json").read_text()
    words = ["resnet18" if word == "test_resnet" else word for word in WORDS]
    assert main(["study", "--data", str(gratings), "--out", str(done), *words]) == 2
    assert "backbone: begun with 'test_resnet', now 'resnet18'" in capsys.readouterr().err
    assert (done / "config.json").read_text() == before


def test_label_fractions_are_added_and_too_few_images_for_a_picture_lose_nothing(tmp_path: Path) -> None:
    data, out = write_classes(tmp_path / "data", 3, 2, seed=4), tmp_path / "study"
    words = ["1" if WORDS[i - 1] == "--seeds" else word for i, word in enumerate(WORDS)]
    words[words.index("0.2") : words.index("1.0") + 1] = ["0.5"]
    assert main(["study", "--data", str(data), "--out", str(out), *words]) == 0
    words[words.index("0.5")] = "1.0"
    assert main(["study", "--data", str(data), "--out", str(out), *words, "--label-fractions", "0.5", "1.0"]) == 0
    result = StudyResult.model_validate_json((out / "result.json").read_text())
    assert {row.label_fraction for row in result.rows} == {0.5, 1.0}


def test_learning_rates_are_chosen_by_default_and_told(
    gratings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(
        "--backbone test_resnet --image-size 32 --seeds 1 --label-fractions 1.0 --trained full --starts scratch "
        "--epochs 1 --min-steps 8 --precision fp32 --workers 0"
    )
    out = tmp_path / "study"
    assert main(["study", "--data", str(gratings), "--out", str(out), *words]) == 0
    told = capsys.readouterr().out
    (row,) = StudyResult.model_validate_json((out / "result.json").read_text()).rows
    assert (row.lr.grid, row.lr.folds, row.lr.n_held_out, row.lr.trainings) == ([0.3, 1.0, 3.0], 3, 36, 9)
    assert f"x {row.lr.chosen:g}" in told
    assert "s of it in 9 trainings to choose learning rates" in told
    assert "no validation image was looked at for it" in told
    assert "How the learning rates were chosen" in (out / "report.html").read_text(encoding="utf-8")
