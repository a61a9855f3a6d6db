"""The plan of a study is complete, in a useful order, and puts every run into a directory of its own."""

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.configs.starts import Start
from headstart.configs.study import StudyConfig
from headstart.errors import ConfigError
from headstart.studies.plan import (
    bare_starts,
    keeps_model,
    plan,
    run_settings,
    start_folder,
    start_labels,
    tuning_folder,
)


def config(**fields) -> StudyConfig:
    return StudyConfig(data="images", out="study", **fields)


def test_the_default_study_has_every_setting_at_every_fraction_for_every_seed():
    runs = plan(config())
    assert len(runs) == 4 * 2 * 2 * 3
    assert len({(run.setting, run.label_fraction, run.seed) for run in runs}) == len(runs)
    assert runs[0].folder == PurePosixPath("runs/scratch/full/labels-0.1/seed-0")
    assert {run.setting for run in runs} >= {"ssl+supervised/frozen", "scratch/frozen", "supervised/full", "ssl/full"}


def test_an_interrupted_study_has_compared_all_settings_first():
    runs = plan(config(seeds=2))
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    first_seed = runs[: len(runs) // 2]
    assert {run.setting for run in first_seed} == {run.setting for run in runs}
    assert [run.label_fraction for run in first_seed] == sorted(run.label_fraction for run in first_seed)


def test_scratch_full_is_always_run_and_nothing_is_run_twice():
    runs = plan(
        config(starts=("ssl=r", "ssl = r", "ssl=r"), trained=("frozen", "frozen"), seeds=1, label_fractions=(1.0, 1.0))
    )
    assert [run.setting for run in runs] == ["scratch/full", "scratch/frozen", "ssl/frozen"]
    assert runs[2].start == "ssl=r"


def test_starts_of_one_kind_are_told_apart():
    starts = [Start("ssl", "a/one"), Start("ssl", "b/two"), Start("ssl"), Start("supervised", "w.pth")]
    assert start_labels(starts) == ["ssl (one)", "ssl (two)", "ssl", "supervised"]
    same_names = [Start("ssl", "a/run"), Start("ssl", "b/run"), Start("ssl+supervised", "a/run")]
    assert start_labels(same_names) == ["ssl (a/run)", "ssl (b/run)", "ssl+supervised"]


def test_a_run_keeps_its_directory_when_the_study_grows():
    before = {run.folder for run in plan(config(starts=("ssl=a/run",)))}
    after = {run.folder for run in plan(config(starts=("ssl=b/run", "ssl", "ssl=a/run"), seeds=5))}
    assert before < after


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=6, unique=True))
def test_folders_are_safe_and_different_whatever_the_paths(values):
    starts = [Start(kind, value) for kind in ("ssl", "ssl+supervised", "supervised") for value in values]
    folders = [start_folder(start) for start in starts]
    assert len({folder.casefold() for folder in folders}) == len(folders)
    for folder in folders:
        assert re.fullmatch(r"[a-z+]+-[A-Za-z0-9._-]+", folder)
        assert len(folder) < 80
    assert len(set(start_labels(starts))) == len(starts)


def test_neighbouring_fractions_do_not_share_a_directory():
    fractions = (0.1, 0.10000001, 1e-6, 0.3, 0.1 + 0.2)
    runs = plan(config(starts=(), trained=("full",), seeds=1, label_fractions=fractions))
    assert len({run.folder for run in runs}) == len(runs) == 5


def test_trainings_that_choose_a_rate_have_directories_of_their_own_that_no_seed_changes():
    runs = plan(config(starts=("ssl=a/run",), seeds=2))
    folders = {tuning_folder(run, multiple, part) for run in runs for multiple in (0.3, 0.31, 1.0) for part in (0, 1)}
    assert len(folders) == len(runs) / 2 * 3 * 2
    assert PurePosixPath("runs/scratch/full/labels-0.1/tuning/lr-0.3/held-out-0") in folders
    assert not any(folder.match("runs/*/*/labels-*/seed-*") for folder in folders)  # what the report reads as compared


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        plan(config(starts=("imagenet", "ssl="), label_fractions=(10.0, 0.0, -1.0, 0.5), trained=()))
    problems = caught.value.problems
    assert len(problems) == 6
    assert any("10" in line and "write 0.1" in line for line in problems)
    assert sum("label fraction" in line for line in problems) == 3
    with pytest.raises(ConfigError, match="label-fractions is empty"):
        plan(config(label_fractions=()))


def test_runs_of_one_study_differ_in_start_training_labels_and_seed_only():
    study = config(starts=("supervised", "ssl", "ssl=a/run"), epochs=2, image_size=32, min_steps=0)
    runs = plan(study)
    own = {"out", "start", "frozen", "label_fraction", "seed"}
    shared = [{k: v for k, v in run_settings(study, run).items() if k not in own} for run in runs]
    assert all(settings == shared[0] for settings in shared)
    assert (shared[0]["epochs"], shared[0]["image_size"], shared[0]["min_steps"]) == (2, 32, 0)
    assert not {"epochs", "image_size", "min_steps"} & run_settings(config(), runs[0]).keys()
    starts = {run.start: run_settings(study, run)["start"] for run in runs}
    assert bare_starts(runs) == ["ssl"]
    assert starts.pop("ssl") == f"ssl={(study.out / 'runs' / 'pretrain' / 'ssl').resolve()}"
    assert starts == {"scratch": "scratch", "supervised": "supervised", "ssl=a/run": "ssl=a/run"}


def test_of_each_setting_one_model_is_kept():
    study = config(starts=("ssl",), label_fractions=(0.1, 0.5))
    kept = [run for run in plan(study) if keeps_model(study, run)]
    assert sorted(run.setting for run in kept) == ["scratch/frozen", "scratch/full", "ssl/frozen", "ssl/full"]
    assert {(run.seed, run.label_fraction) for run in kept} == {(0, 0.5)}
