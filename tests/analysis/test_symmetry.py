"""How often flipped and turned images are told from others: by chance where they look the same, always where not."""

import numpy as np
import pytest

from headstart.analysis.symmetry import CHANGES, told_apart

N, SIDE = 120, 16


def noise(seed: int = 0) -> np.ndarray:
    """Images in which no direction is special: uint8 (n, S, S, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)


def lit_from_above() -> np.ndarray:
    """Noise that is brighter at the top."""
    slope = np.linspace(120, 0, SIDE)[None, :, None, None]
    return (noise() * 0.5 + slope).astype(np.uint8)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_images_without_a_direction_are_told_apart_by_chance(change) -> None:
    assert 0.35 < told_apart(noise(), change) < 0.65


def test_only_what_changes_an_image_is_told_apart() -> None:
    images = lit_from_above()
    shares = {name: told_apart(images, change) for name, change in CHANGES.items()}
    assert 0.35 < shares["left_right"] < 0.65
    assert shares["up_down"] > 0.95
    assert shares["quarter_turn"] > 0.95


def test_what_is_not_changed_is_told_apart_by_chance_exactly() -> None:
    assert told_apart(noise(), lambda images: images) == 0.5


def test_changes_are_the_symmetries_they_are_called() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    corners = image[0, :, :, 0].tolist()
    assert corners == [[0, 3], [6, 9]]
    changed = {name: change(image)[0, :, :, 0].tolist() for name, change in CHANGES.items()}
    assert changed == {"left_right": [[3, 0], [9, 6]], "up_down": [[6, 9], [0, 3]], "quarter_turn": [[3, 9], [0, 6]]}


def test_fewer_images_than_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="5 parts"):
        told_apart(noise()[:4], CHANGES["up_down"])
