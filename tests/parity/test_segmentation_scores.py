"""Our scores against scikit-learn's and torchmetrics', where these define the same thing."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.segmentation import mean_iou

from headstart.analysis.pixel_confusion import pixel_confusion
from headstart.analysis.segmentation import Scorer
from headstart.results import Protocol, SegmentScores

N_SCORED = 6
LABELS = ("urban", "agriculture", "rangeland", "forest", "water", "barren", "unknown")
WITHIN = 1e-6


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """uint8 (2, 8, 32, 32): truths and predictions that agree in about two thirds of the pixels, all classes in all."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, (8, 8, 8), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    truth[0] = rng.integers(0, 3, (8, 8), dtype=np.uint8).repeat(4, 0).repeat(4, 1)  # an image without most classes
    predicted = np.where(rng.random(truth.shape) < 0.4, rng.integers(0, 7, truth.shape), truth)
    predicted[0] %= 3
    return np.stack([truth, predicted]).astype(np.uint8)


def scores(masks: np.ndarray, protocol: Protocol) -> SegmentScores:
    scorer = Scorer(LABELS, N_SCORED)
    for truth, predicted in zip(*masks, strict=True):
        scorer.add(truth, predicted)
    return scorer.scores(protocol)


def test_counts_are_those_of_scikit_learn(masks: np.ndarray) -> None:
    expected = confusion_matrix(masks[0].ravel(), masks[1].ravel(), labels=range(7))
    assert np.array_equal(pixel_confusion(masks[0, 0], masks[1, 0], 7), scores(masks[:, :1], "ignore").counts)
    assert scores(masks, "ignore").counts == expected.tolist()


@pytest.mark.parametrize("protocol", ["deepglobe6", "ignore"])
def test_iou_dice_and_accuracy_are_those_of_scikit_learn(masks: np.ndarray, protocol: Protocol) -> None:
    known = masks[0].ravel() < N_SCORED
    truth, predicted = masks.reshape(2, -1)
    counted = np.ones_like(known) if protocol == "deepglobe6" else known
    options = {"labels": range(N_SCORED), "average": None, "zero_division": np.nan}
    ours = scores(masks, protocol)
    iou = jaccard_score(truth[counted], predicted[counted], labels=range(N_SCORED), average=None)
    dice = f1_score(truth[counted], predicted[counted], **options)
    assert [each.iou for each in ours.classes] == pytest.approx(iou, abs=WITHIN)
    assert [each.dice for each in ours.classes] == pytest.approx(dice, abs=WITHIN)
    assert ours.miou == pytest.approx(iou.mean(), abs=WITHIN)
    assert ours.mean_dice == pytest.approx(dice.mean(), abs=WITHIN)
    assert ours.pixel_accuracy == pytest.approx(accuracy_score(truth[known], predicted[known]), abs=WITHIN)


def test_ignore_is_torchmetrics_jaccard_with_an_ignore_index(masks: np.ndarray) -> None:
    truth, predicted = torch.from_numpy(masks.astype(np.int64))
    macro = MulticlassJaccardIndex(num_classes=7, ignore_index=N_SCORED, average="macro")
    each = MulticlassJaccardIndex(num_classes=7, ignore_index=N_SCORED, average="none")
    ours = scores(masks, "ignore")
    assert [one.iou for one in ours.classes] == pytest.approx(each(predicted, truth)[:N_SCORED].tolist(), abs=WITHIN)
    assert ours.miou == pytest.approx(macro(predicted, truth).item(), abs=WITHIN)


def test_deepglobe6_is_torchmetrics_jaccard_of_seven_classes_without_the_last(masks: np.ndarray) -> None:
    truth, predicted = torch.from_numpy(masks.astype(np.int64))
    each = MulticlassJaccardIndex(num_classes=7, average="none")(predicted, truth)[:N_SCORED]
    assert scores(masks, "deepglobe6").miou == pytest.approx(each.mean().item(), abs=WITHIN)


def test_per_image_is_torchmetrics_mean_iou_of_the_classes_that_are_there(masks: np.ndarray) -> None:
    """torchmetrics gives -1 for a class that an image lacks; it knows no ignored class, so there is none here."""
    known = masks % N_SCORED
    truth, predicted = torch.from_numpy(known.astype(np.int64))
    table = mean_iou(predicted, truth, num_classes=N_SCORED, per_class=True, input_format="index")
    there = torch.where(table < 0, torch.nan, table)
    assert (table < 0).any()
    assert scores(known, "per-image").miou == pytest.approx(there.nanmean(1).mean().item(), abs=WITHIN)
    assert [each.iou for each in scores(known, "per-image").classes] == pytest.approx(
        there.nanmean(0).tolist(), abs=WITHIN
    )
