"""The scores under each protocol, beside plain loops over whole arrays and numbers worked out by hand."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.analysis.segmentation import Scorer, image_iou
from headstart.results import Protocol, SegmentScores

PROTOCOLS: tuple[Protocol, ...] = ("deepglobe6", "ignore", "per-image")
Masks = list[tuple[np.ndarray, np.ndarray]]


def labels(n_scored: int, ignored: bool) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(n_scored)) + ("unknown",) * ignored


def score(masks: Masks, n_scored: int, ignored: bool, protocol: Protocol) -> SegmentScores:
    scorer = Scorer(labels(n_scored, ignored), n_scored)
    for truth, predicted in masks:
        scorer.add(truth, predicted)
    return scorer.scores(protocol)


def blocks(*rows: str) -> np.ndarray:
    """A mask of letters, each a block of 2 x 2 pixels: a, b, ... are classes 0, 1, ..."""
    return np.array([[ord(letter) - ord("a") for letter in row] for row in rows], np.uint8).repeat(2, 0).repeat(2, 1)


def slow_shares(truth: np.ndarray, predicted: np.ndarray, n_scored: int) -> tuple[list, list]:
    """IoU and Dice of each class over whole arrays; None where neither has a pixel."""
    iou, dice = [], []
    for i in range(n_scored):
        both, either = np.sum((truth == i) & (predicted == i)), np.sum((truth == i) | (predicted == i))
        sizes = np.sum(truth == i) + np.sum(predicted == i)
        iou.append(both / either if either else None)
        dice.append(2 * both / sizes if sizes else None)
    return iou, dice


def slow_mean(values: list) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def slow(masks: Masks, n_scored: int, protocol: Protocol) -> dict[str, object]:
    """The definitions, from concatenated pixels or image by image, without a confusion matrix."""
    if protocol == "per-image":
        images = [slow([each], n_scored, "ignore") for each in masks]
        return {
            "iou": [slow_mean([image["iou"][i] for image in images]) for i in range(n_scored)],
            "dice": [slow_mean([image["dice"][i] for image in images]) for i in range(n_scored)],
            **{key: slow_mean([image[key] for image in images]) for key in ("miou", "mean_dice", "accuracy")},
        }
    truth = np.concatenate([np.zeros(0, np.uint8), *(each.ravel() for each, _ in masks)])
    predicted = np.concatenate([np.zeros(0, np.uint8), *(each.ravel() for _, each in masks)])
    known = truth < n_scored
    if protocol == "ignore":
        truth, predicted = truth[known], predicted[known]
    iou, dice = slow_shares(truth, predicted, n_scored)
    known = truth < n_scored
    accuracy = float(np.mean(truth[known] == predicted[known])) if known.any() else None
    return {"iou": iou, "dice": dice, "miou": slow_mean(iou), "mean_dice": slow_mean(dice), "accuracy": accuracy}


def same(ours: list, theirs: list) -> None:
    assert [each is None for each in ours] == [each is None for each in theirs]
    there = [each for each in ours if each is not None]
    assert there == pytest.approx([each for each in theirs if each is not None], rel=0, abs=1e-12)


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[Masks, int, bool]:
    """Up to four images of some sizes; classes are missing, and whole images ignored, often."""
    n_scored, ignored = draw(st.integers(1, 6)), draw(st.booleans())
    masks = []
    for _ in range(draw(st.integers(0, 4))):
        shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
        lists = [
            draw(st.lists(st.sampled_from(draw(some_classes(n_scored + ignored))), min_size=36, max_size=36))
            for _ in range(2)
        ]
        truth, predicted = (np.array(each, np.uint8)[: shape[0] * shape[1]].reshape(shape) for each in lists)
        masks.append((truth, predicted))
    return masks, n_scored, ignored


def some_classes(n: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, n - 1), min_size=1, max_size=n)


@settings(max_examples=150, deadline=None)
@given(data_sets(), st.sampled_from(PROTOCOLS))
def test_agrees_with_plain_loops(data_set: tuple[Masks, int, bool], protocol: Protocol) -> None:
    masks, n_scored, ignored = data_set
    scores = score(masks, n_scored, ignored, protocol)
    expected = slow(masks, n_scored, protocol)
    same([each.iou for each in scores.classes], expected["iou"])
    same([each.dice for each in scores.classes], expected["dice"])
    same(
        [scores.miou, scores.mean_dice, scores.pixel_accuracy],
        [expected[key] for key in ("miou", "mean_dice", "accuracy")],
    )
    assert scores.absent == [f"class {i}" for i in range(n_scored) if expected["iou"][i] is None]
    assert np.sum(scores.counts, dtype=np.int64) == sum(truth.size for truth, _ in masks)
    assert scores.n_images == len(masks)
    assert "nan" not in scores.model_dump_json().lower()


@settings(max_examples=50, deadline=None)
@given(data_sets())
def test_image_iou_is_what_per_image_averages(data_set: tuple[Masks, int, bool]) -> None:
    masks, n_scored, ignored = data_set
    single = [image_iou(truth, predicted, n_scored) for truth, predicted in masks]
    same([score(masks, n_scored, ignored, "per-image").miou], [slow_mean(single)])


def test_seed_protocol_counts_unknown_pixels_against_the_prediction_by_hand() -> None:
    """Blocks of four pixels; c is unknown.

    deepglobe6: a has 1 block right of 2 true and 1 predicted: 1 / 2. b has 1 right of 1 true and 2 predicted, one of
    them on unknown ground: 1 / 2. ignore: that one is left out, so b has 1 / 1.
    """
    masks = [(blocks("ab", "ca"), blocks("ab", "bc"))]
    seed, ignore, image = (score(masks, 2, True, protocol) for protocol in PROTOCOLS)
    assert [each.iou for each in seed.classes] == [1 / 2, 1 / 2]
    assert [each.iou for each in ignore.classes] == [1 / 2, 1.0]
    assert (seed.miou, ignore.miou, image.miou) == (0.5, 0.75, 0.75)
    assert (seed.mean_dice, ignore.mean_dice) == (pytest.approx(2 / 3), pytest.approx(5 / 6))
    assert seed.pixel_accuracy == ignore.pixel_accuracy == pytest.approx(8 / 12)  # the missed a is wrong in all of them
    assert [each.truth_pixels for each in seed.classes] == [8, 4]
    assert [each.predicted_pixels for each in seed.classes] == [4, 8]
    assert [each.predicted_pixels for each in ignore.classes] == [4, 4]
    assert seed.counts == [[4, 0, 4], [0, 4, 0], [0, 4, 0]]
    assert seed.labels == ["class 0", "class 1", "unknown"]


def test_seed_protocol_is_the_plain_mean_of_six_over_the_whole_set() -> None:
    """As SEED's world writes it: pixels of all images together, classes 0 to 5, whatever the seventh holds."""
    rng = np.random.default_rng(0)
    masks = [tuple(rng.integers(0, 7, (2, 24, 24), dtype=np.uint8)) for _ in range(5)]
    truth, predicted = (np.stack(side) for side in zip(*masks, strict=True))
    ious = []
    for i in range(6):
        hits = np.sum((predicted == i) * (truth == i))
        ious.append(hits / (np.sum(predicted == i) + np.sum(truth == i) - hits))
    assert score(masks, 6, True, "deepglobe6").miou == pytest.approx(np.mean(ious), abs=1e-12)


def test_the_mean_over_images_is_not_that_of_the_summed_counts() -> None:
    masks = [(blocks("aaaa"), blocks("aaaa")), (blocks("ab"), blocks("bb"))]
    assert score(masks, 2, False, "per-image").miou == pytest.approx((1 + (0 + 1 / 2) / 2) / 2)
    assert score(masks, 2, False, "ignore").miou == pytest.approx((4 / 5 + 1 / 2) / 2)


def test_absent_classes_are_left_out_and_named() -> None:
    scores = score([(blocks("ac"), blocks("ac"))], 4, True, "deepglobe6")
    assert scores.absent == ["class 1", "class 3"]
    assert scores.miou == 1.0
    assert [each.iou for each in scores.classes] == [1.0, None, 1.0, None]
    only_predicted = score([(blocks("aa"), blocks("ab"))], 3, False, "deepglobe6")
    assert only_predicted.absent == ["class 2"]
    assert only_predicted.miou == pytest.approx((1 / 2 + 0) / 2)


def test_a_class_predicted_on_unknown_ground_only_is_present_for_the_seed_protocol_only() -> None:
    masks = [(blocks("ac"), blocks("ab"))]
    assert score(masks, 2, True, "deepglobe6").miou == 0.5
    assert score(masks, 2, True, "ignore").absent == ["class 1"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("masks", [[], [(blocks("cc"), blocks("cc"))], [(blocks("c"), blocks("c"))] * 3])
def test_nothing_to_score_is_none_and_not_nan(masks: Masks, protocol: Protocol) -> None:
    scores = score(masks, 2, True, protocol)
    assert scores.miou is scores.pixel_accuracy is scores.mean_dice is scores.boundary_f1 is None
    assert scores.absent == ["class 0", "class 1"]
    assert SegmentScores.model_validate_json(scores.model_dump_json()) == scores


def test_ignored_predictions_and_all_ignored_truth() -> None:
    masks = [(blocks("cc"), blocks("ab")), (blocks("ab"), blocks("cc"))]
    for protocol in PROTOCOLS:
        scores = score(masks, 2, True, protocol)
        assert scores.miou == 0.0
        assert scores.pixel_accuracy == 0.0
    assert score(masks[:1], 2, True, "per-image").miou is None
    assert score(masks[:1], 2, True, "deepglobe6").miou == 0.0


def test_boundaries_beside_unknown_ground_count_for_the_seed_protocol_only() -> None:
    truth = np.zeros((20, 20), np.uint8)
    truth[:, 10:] = 2
    predicted = np.zeros((20, 20), np.uint8)
    predicted[:, 15:] = 1
    seed, ignore = (score([(truth, predicted)], 2, True, protocol) for protocol in PROTOCOLS[:2])
    assert [each.boundary_f1 for each in seed.classes] == [0.0, 0.0]
    assert [each.boundary_f1 for each in ignore.classes] == [None, None]


def test_boundary_f1_is_averaged_over_the_images_where_a_class_has_a_boundary() -> None:
    halves = blocks("aabb")
    masks = [(halves, halves), (halves, blocks("aaaa")), (blocks("aaaa"), blocks("aaaa"))]
    scores = score(masks, 3, False, "ignore")
    assert [each.boundary_f1 for each in scores.classes] == [0.5, 0.5, None]
    assert scores.boundary_f1 == 0.5
    assert scores.boundary_px == 1


def test_the_distance_is_said_where_all_images_have_the_same() -> None:
    scorer = Scorer(("a", "b"), 2)
    for side in (512, 512, 1024):
        scorer.add(np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8))
        assert scorer.scores("ignore").boundary_px == (5 if side == 512 else None)
    given_distance = Scorer(("a", "b"), 2, boundary_px=3)
    given_distance.add(blocks("ab"), blocks("ba"))
    assert given_distance.scores("ignore").boundary_px == 3
    without = Scorer(("a", "b"), 2, boundaries=False)
    without.add(blocks("ab"), blocks("ab"))
    assert without.scores("ignore").boundary_f1 is without.scores("ignore").boundary_px is None


def test_the_order_of_the_images_does_not_matter_for_the_counts() -> None:
    rng = np.random.default_rng(1)
    masks = [tuple(rng.integers(0, 4, (2, 9, 9), dtype=np.uint8)) for _ in range(6)]
    for protocol in PROTOCOLS:
        one, other = score(masks, 3, True, protocol), score(masks[::-1], 3, True, protocol)
        assert one.counts == other.counts
        assert one.miou == pytest.approx(other.miou, abs=1e-12)


def test_keeps_no_images() -> None:
    scorer = Scorer(labels(6, True), 6)
    rng = np.random.default_rng(2)
    sizes = []
    for _ in range(40):
        scorer.add(*rng.integers(0, 7, (2, 16, 16), dtype=np.uint8))
        sizes.append(len(pickle.dumps(scorer)))
    assert sizes[-1] - sizes[0] < 64


def test_refuses_impossible_labels_and_masks() -> None:
    with pytest.raises(ValueError, match="all but the last"):
        Scorer(("a", "b", "c"), 1)
    scorer = Scorer(("a", "b"), 2)
    with pytest.raises(ValueError, match="0 to 1, not 0 to 2"):
        scorer.add(np.zeros((1, 2), np.uint8), np.array([[0, 2]], np.uint8))
    assert scorer.scores("ignore").n_images == 0
