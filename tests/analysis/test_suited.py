"""Views that suit the images: chances that are auto become numbers, by measurement or, with few images, by custom."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.short_runs import CLASSIFY, PRETRAIN

from headstart.analysis import suited as module
from headstart.analysis.store import Store
from headstart.analysis.suited import suited
from headstart.cli import main
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.sources import open_source

AUTO = ViewsConfig(flip="auto", vertical_flip="auto", turn="auto")
CHANCES = ("flip", "vertical_flip", "turn")


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of noise, brighter at the top."""
    folder, rng = tmp_path_factory.mktemp("lit"), np.random.default_rng(0)
    slope = np.linspace(120, 0, 24)[:, None, None]
    for i in range(60):
        Image.fromarray((rng.integers(0, 128, (24, 30, 3)) + slope).astype(np.uint8)).save(folder / f"{i:02}.png")
    return folder


def test_numbers_stay_as_they_are(lit: Path) -> None:
    views = ViewsConfig(flip=0.3, turn=1.0)
    assert suited(views, open_source(str(lit)).train) == (views, None)


def test_few_images_get_what_is_usual(lit: Path) -> None:
    views, found = suited(AUTO, open_source(str(lit)).train)
    assert views.chances == (0.5, 0.0, 0.0)
    assert found is not None
    assert found.told_apart == {}
    assert found.n_images == 0


def test_images_lit_from_above_are_mirrored_and_never_turned(lit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENOUGH", 60)
    views, found = suited(AUTO, open_source(str(lit)).train)
    assert views.chances == (0.5, 0.0, 0.0)
    assert found is not None
    assert found.n_images == 60
    assert found.told_apart["left_right"] <= found.alike < found.told_apart["up_down"]
    assert suited(AUTO, open_source(str(lit)).train)[1] == found


def test_only_what_is_auto_is_settled(lit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENOUGH", 60)
    views, found = suited(ViewsConfig(flip=0.2, vertical_flip="auto"), open_source(str(lit)).train)
    assert views.chances == (0.2, 0.0, 0.0)
    assert found is not None
    assert list(found.told_apart) == ["up_down"]


def glyphs(folder: Path, forms: range, side: int) -> ImageSet:
    """A sharp F in some of the eight symmetries of a square."""
    plain = np.full((side, side, 3), 255, dtype=np.uint8)
    plain[3 : side - 3, 4:7] = plain[3:6, 4 : side - 5] = plain[side // 2 : side // 2 + 3, 4 : side - 9] = 0
    for i in range(240):
        form = forms[i % len(forms)]
        turned = np.rot90(plain if form < 4 else plain[:, ::-1], form % 4)
        Image.fromarray(np.ascontiguousarray(turned)).save(folder / f"{i:03}.png")
    return open_source(str(folder)).train


@pytest.mark.parametrize("side", [20, 28, 40])
def test_images_of_all_symmetries_are_flipped_and_turned_whatever_their_side(side: int, tmp_path: Path) -> None:
    """Reducing them to 16 pixels must not tell them apart."""
    views, found = suited(AUTO, glyphs(tmp_path, range(8), side))
    assert found is not None
    assert max(found.told_apart.values()) < 0.6
    assert views.chances == (0.5, 0.5, 0.5)


def test_what_is_turned_but_never_mirrored_is_not_turned_by_mirroring(tmp_path: Path) -> None:
    views, found = suited(AUTO, glyphs(tmp_path, range(4), 28))
    assert found is not None
    assert found.told_apart["quarter_turn"] < 0.6 < found.told_apart["left_right"]
    assert views.chances == (0.0, 0.0, 0.0)


def test_styles_that_flip_nothing_measure_nothing(tmp_path: Path) -> None:
    views, found = suited(AUTO.model_copy(update={"style": "none"}), glyphs(tmp_path, range(8), 28))
    assert (views.chances, found) == ((0.0, 0.0, 0.0), None)


def test_a_run_says_what_it_measured(lit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENOUGH", 60)
    assert main(["pretrain", "--data", str(lit), *shlex.split(PRETRAIN), "--out", str(tmp_path / "run")]) == 0
    told = json.loads((tmp_path / "run" / "result.json").read_text())["symmetry"]
    assert told["chances"] == dict(zip(CHANCES, (0.5, 0.0, 0.0), strict=True))
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]["views"]
    assert [config[name] for name in CHANCES] == ["auto"] * 3


def test_a_classification_goes_by_all_training_images(
    gratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few of them it has the labels of."""
    monkeypatch.setattr(module, "ENOUGH", 10)
    n_train = len(open_source(str(gratings)).train)
    words = [*shlex.split(CLASSIFY), "--label-fraction", "0.3", "--views.flip", "auto", "--out", str(tmp_path / "run")]
    assert main(["classify", "--data", str(gratings), *words]) == 0
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["symmetry"]["n_images"] == n_train > told["n_train"]


def test_a_study_measures_once(lit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(module, "ENOUGH", 60)
    monkeypatch.setattr(module, "told_apart", lambda images, change: calls.append(1) or 0.5)
    store, images = Store(shared=True), open_source(str(lit)).train
    assert store.suited(AUTO, images) == store.suited(AUTO, images)
    assert len(calls) == len(CHANCES)
