"""``headstart data pack``, and trainings with and without a pack: the same numbers, and files read once."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import short_runs

from headstart import cli
from headstart.comparison.compare import compare_runs
from headstart.data.pack import open_pack
from headstart.data.pack.cache import LOCKS

CLASSIFY = short_runs.CLASSIFY.replace("--image-size 32", "--image-size 16")
PRETRAIN = short_runs.PRETRAIN.replace("--image-size 32", "--image-size 16")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 14 JPEGs that are larger than views of 16 pixels need, one of them broken."""
    root, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    for i in range(28):
        path = root / f"class-{i % 2}" / f"{i:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = rng.integers(0, 200, (9, 12, 3), dtype=np.uint8) + np.uint8(50 * (i % 2))
        Image.fromarray(coarse).resize((120 + i, 90 + i)).save(path)
    (root / "class-0" / "00.jpg").write_bytes(b"broken")
    return root


def run(words: str) -> None:
    assert cli.main(words.split()) == 0


@pytest.fixture
def own_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_PACKS", str(tmp_path / "packs"))
    return tmp_path / "packs"


def packs_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCKS]


@pytest.mark.parametrize(
    "words",
    [f"pretrain {PRETRAIN}", f"classify {CLASSIFY}", f"classify {CLASSIFY} --frozen"],
    ids=["pretrain", "full", "frozen"],
)
def test_a_pack_changes_no_bit(source: Path, tmp_path: Path, own_packs: Path, words: str) -> None:
    for name, limit in (("plain", 0), ("packed", 1), ("again", 1)):
        run(f"{words} --data {source} --out {tmp_path / name} --pack-limit {limit}")
        assert (tmp_path / name / "quarantine.csv").read_text().count("\n") == 2
        assert own_packs.exists() == bool(limit)
    packs = packs_in(own_packs)
    assert len(packs) == 2  # training and validation images
    for name in ("packed", "again"):
        found = compare_runs(tmp_path / "plain", tmp_path / name)
        assert found.differences == []
        assert found.n_weights > 0
    assert {min(open_pack(pack).at(3).shape[:2]) for pack in packs} == {42}


def test_packed_beforehand(
    source: Path, tmp_path: Path, own_packs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb makes the packs that a training asks for, says what is in them, and what could not be decoded."""
    run(f"data pack {source} --image-size 16 --json")
    told = json.loads(capsys.readouterr().out)
    assert told["side"] == 42
    assert sum(pack["n_images"] for pack in told["packs"]) == 27
    assert {Path(pack["folder"]) for pack in told["packs"]} == set(packs_in(own_packs))
    assert [list(pack["quarantined"]) for pack in told["packs"] if pack["quarantined"]] == [
        [str(source / "class-0" / "00.jpg")]
    ]

    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("headstart.data.pack.make.decode_as_asked", never)
    monkeypatch.setattr("headstart.data.loaders.decode_as_asked", never)
    run(f"classify {CLASSIFY} --data {source} --out {tmp_path / 'run'}")
    assert cli.main(f"data pack {source} --image-size 16 --strict".split()) == 2
    said = capsys.readouterr()
    assert "1 file(s)" in said.err
    assert "Shorter side at most 42 px" in said.out
    assert cli.main(f"data pack {source} --image-size 20 --pack-limit 0.00001".split()) == 1
    assert "--pack-limit 1e-05" in capsys.readouterr().err


def test_evaluate_scores_the_pixels_that_the_training_saw(source: Path, tmp_path: Path, own_packs: Path) -> None:
    run(f"classify {CLASSIFY} --data {source} --out {tmp_path / 'run'}")
    val = tmp_path / "val"
    known = json.loads((tmp_path / "run" / "result.json").read_text())
    for pack in packs_in(own_packs):
        opened = open_pack(pack)
        if len(opened) - len(opened.reasons) == known["n_val"]:
            for i in range(len(opened)):
                target = val / opened.name(i)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((source / opened.name(i)).read_bytes())
    run(f"evaluate {tmp_path / 'run'} --data {val} --out {tmp_path / 'evaluated'}")
    found = json.loads((tmp_path / "evaluated" / "result.json").read_text())
    assert found["confusion"] == known["confusion"]
