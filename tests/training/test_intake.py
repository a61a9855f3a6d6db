"""Data are taken in once, told in data.json, and never mixed up with others."""

from pathlib import Path

import pytest

from headstart.errors import RunError
from headstart.results import DataFacts
from headstart.training.intake import take_in


def facts(*sides: str, quarantined: int) -> DataFacts:
    return DataFacts(
        spec="spec",
        kind="folder",
        description="",
        classes=[],
        train_counts=[],
        val_counts=[],
        n_train=len(sides[0]),
        n_val=len(sides[1]) if len(sides) > 1 else 0,
        n_unlabelled=0,
        quarantined=quarantined,
        split="",
        fingerprint="/".join(sides),
    )


def without_x(side: str) -> str:
    return side.replace("x", "")


def test_what_the_check_leaves_out_of_either_side_is_counted(tmp_path: Path) -> None:
    (train, val), told = take_in(tmp_path, tmp_path / "images", ["abcx", "xxd"], without_x, facts)
    assert (train, val, told.quarantined, told.n_train, told.n_val) == ("abc", "d", 3, 3, 1)
    assert DataFacts.model_validate_json((tmp_path / "data.json").read_text()) == told
    (alone,), told = take_in(tmp_path, tmp_path / "images", ["ab"], without_x, facts)
    assert (alone, told.quarantined, told.n_val) == ("ab", 0, 0)


def test_one_process_writes_and_a_run_keeps_its_data(tmp_path: Path) -> None:
    take_in(tmp_path, tmp_path / "images", ["ab"], without_x, facts, write=False)
    assert not (tmp_path / "data.json").exists()
    take_in(tmp_path, tmp_path / "images", ["ab"], without_x, facts)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunError, match="not those that"):
        take_in(tmp_path, tmp_path / "images", ["abc"], without_x, facts)
    with pytest.raises(RunError, match="lies in the folder of images"):
        take_in(tmp_path / "run", tmp_path, ["ab"], without_x, facts)
