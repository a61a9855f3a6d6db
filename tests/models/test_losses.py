"""Losses over pixels against closed forms and other implementations; ignored pixels count for nothing anywhere."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss
from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits
from torch import Tensor
from torch.nn import functional as F

from headstart.configs.segment import LossConfig
from headstart.models.losses import Loss, build_loss, class_weights, cross_entropy, dice, focal, jaccard_steps

TERMS = ("cross-entropy", "focal", "dice", "lovasz")
CONFIGS = [
    *(LossConfig(terms=(term,)) for term in TERMS),
    LossConfig(terms=TERMS, weights=(1.0, 0.5, 2.0, 0.3), class_weights="inverse", label_smoothing=0.1),
]
CLASSES, IGNORE = 4, 4
PIXELS = (40, 30, 20, 10)


def loss_of(config: LossConfig) -> Loss:
    return build_loss(config, CLASSES, IGNORE, PIXELS)


def batch(seed: int = 0, shape: tuple[int, ...] = (3, 9, 7), classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Logits that want a gradient, and labels of which some are ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((shape[0], classes, *shape[1:]), generator=generator)
    labels = torch.randint(0, classes + 1, shape, generator=generator)
    return logits.requires_grad_(), labels


def counted(logits: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Softmax (N, C) and labels (N,) of the pixels that are not ignored, in float64."""
    keep = (labels != IGNORE).numpy()
    return logits.detach().double().softmax(1).permute(0, 2, 3, 1).numpy()[keep], labels.numpy()[keep]


@pytest.mark.parametrize("kind", ["none", "inverse", "sqrt-inverse"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_torch(kind: str, smoothing: float) -> None:
    logits, labels = batch()
    config = LossConfig(class_weights=kind, label_smoothing=smoothing)  # type: ignore[arg-type]
    weights = class_weights(kind, PIXELS)
    theirs = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, label_smoothing=smoothing)
    ours = loss_of(config)(logits, labels)
    torch.testing.assert_close(ours, theirs)
    mine, other = (torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs))
    torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_follows_its_formula(gamma: float) -> None:
    logits, labels = batch()
    p, truth = counted(logits, labels)
    true_p = p[np.arange(len(truth)), truth]
    expected = ((1 - true_p) ** gamma * -np.log(true_p)).mean()
    ours = loss_of(LossConfig(terms=("focal",), focal_gamma=gamma))(logits, labels)
    assert ours.item() == pytest.approx(expected, rel=1e-5)


def test_focal_is_that_of_smp_where_nothing_is_ignored() -> None:
    logits, labels = batch()
    labels = labels.clamp(max=CLASSES - 1)
    ours = loss_of(LossConfig(terms=("focal",)))(logits, labels)
    torch.testing.assert_close(ours, softmax_focal_loss_with_logits(logits, labels))


def test_focal_without_focus_is_weighted_cross_entropy() -> None:
    logits, labels = batch()
    plain = loss_of(LossConfig(class_weights="inverse"))(logits, labels)
    unfocused = loss_of(LossConfig(terms=("focal",), focal_gamma=0.0, class_weights="inverse"))(logits, labels)
    torch.testing.assert_close(plain, unfocused)


@pytest.mark.parametrize("gamma", [0.25, 1.0])
def test_focal_has_a_finite_gradient_where_the_network_is_certain(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [0.0, 0.0]]).view(1, 2, 2, 1).requires_grad_()
    labels = torch.tensor([0, 0]).view(1, 2, 1)
    build_loss(LossConfig(terms=("focal",), focal_gamma=gamma), 2, 2, (1, 1))(logits, labels).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_dice_follows_its_formula_over_the_classes_that_are_there() -> None:
    logits, labels = batch()
    labels = torch.where(labels == 1, IGNORE, labels)  # class 1 has no pixel
    p, truth = counted(logits, labels)
    by_class = [1 - 2 * p[truth == c, c].sum() / (p[:, c].sum() + (truth == c).sum()) for c in (0, 2, 3)]
    ours = loss_of(LossConfig(terms=("dice",)))(logits, labels)
    assert ours.item() == pytest.approx(np.mean(by_class), rel=1e-5)
    smp = DiceLoss("multiclass", ignore_index=IGNORE)(logits, labels)
    assert smp.item() == pytest.approx(np.sum(by_class) / CLASSES, rel=1e-5), "smp counts the absent one as perfect"


def slow_lovasz(errors: np.ndarray, truth: np.ndarray) -> float:
    """The Lovasz extension by its definition (Berman et al., 2018, definition 2): sets of wrong pixels, grown by size
    of the error, and how much the Jaccard loss |M| / |truth or M| of the set rises with each.
    """
    wrong: set[int] = set()
    members = set(np.flatnonzero(truth).tolist())
    total, before = 0.0, 0.0
    for pixel in np.argsort(-errors, kind="stable").tolist():
        wrong.add(pixel)
        after = len(wrong) / len(members | wrong)
        total, before = total + errors[pixel] * (after - before), after
    return total


@pytest.mark.parametrize("seed", range(3))
def test_lovasz_follows_its_definition(seed: int) -> None:
    logits, labels = batch(seed)
    labels = torch.where(labels == 2, IGNORE, labels)
    p, truth = counted(logits, labels)
    expected = np.mean([slow_lovasz(np.abs((truth == c) - p[:, c]), truth == c) for c in (0, 1, 3)])
    ours = loss_of(LossConfig(terms=("lovasz",)))(logits, labels)
    assert ours.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(ours, LovaszLoss("multiclass", ignore_index=IGNORE)(logits, labels))


def test_lovasz_of_a_certain_prediction_is_one_minus_its_mean_iou() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, CLASSES, (2, 6, 5)), rng.integers(0, CLASSES, (2, 6, 5))
    ious = [((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in range(CLASSES)]
    logits = 1000.0 * F.one_hot(torch.from_numpy(predicted), CLASSES).permute(0, 3, 1, 2)
    ours = loss_of(LossConfig(terms=("lovasz",)))(logits, torch.from_numpy(truth))
    assert ours.item() == pytest.approx(1 - np.mean(ious), rel=1e-6)


def test_a_sum_is_the_weighted_sum_of_its_terms() -> None:
    logits, labels = batch()
    factors = (0.3, 1.0, 2.0, 0.7)
    parts = [loss_of(LossConfig(terms=(term,)))(logits, labels).item() for term in TERMS]
    whole = loss_of(LossConfig(terms=TERMS, weights=factors))(logits, labels)
    assert whole.item() == pytest.approx(np.dot(factors, parts), rel=1e-5)
    unweighted = loss_of(LossConfig(terms=TERMS))(logits, labels)
    assert unweighted.item() == pytest.approx(sum(parts), rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_batch_of_ignored_pixels_has_loss_zero_and_gradient_zero(
    config: LossConfig, memory: torch.memory_format
) -> None:
    logits = torch.randn(2, CLASSES, 5, 5).contiguous(memory_format=memory).requires_grad_()
    loss = loss_of(config)(logits, torch.full((2, 5, 5), IGNORE))
    loss.backward()
    assert loss.shape == ()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("term", TERMS)
def test_a_perfect_prediction_has_next_to_no_loss(term: str) -> None:
    _, labels = batch()
    logits = 100.0 * F.one_hot(labels.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2)
    loss = loss_of(LossConfig(terms=(term,), class_weights="inverse"))(logits, labels)  # type: ignore[arg-type]
    assert 0 <= loss.item() < 1e-6


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99),
    which=st.integers(0, len(CONFIGS) - 1),
    nonsense=st.sampled_from([0.0, 1e4, -1e30, float("inf"), float("nan")]),
)
def test_the_network_may_say_anything_at_ignored_pixels(seed: int, which: int, nonsense: float) -> None:
    logits, labels = batch(seed, (2, 5, 4))
    criterion = loss_of(CONFIGS[which])
    hidden = (labels == IGNORE)[:, None]
    altered = torch.where(hidden, nonsense, logits.detach()).requires_grad_()
    losses = criterion(logits, labels), criterion(altered, labels)
    assert torch.equal(*losses)
    before, after = (torch.autograd.grad(loss, x)[0] for loss, x in zip(losses, (logits, altered), strict=True))
    assert torch.equal(before, after)
    assert (after * hidden == 0).all()


@pytest.mark.parametrize("config", CONFIGS)
def test_the_pixels_of_a_batch_are_one_set(config: LossConfig) -> None:
    """Dealt out to the images otherwise, or laid out as one tall image, they have the same loss."""
    logits, labels = batch()
    labels[0] = IGNORE  # an image with a single valid pixel weighs no more than that pixel
    labels[0, 0, 0] = 1
    criterion = loss_of(config)
    tall = torch.cat(list(logits), dim=1)[None], torch.cat(list(labels))[None]
    torch.testing.assert_close(criterion(*tall), criterion(logits, labels))
    order = torch.randperm(labels.numel(), generator=torch.Generator().manual_seed(0))
    dealt = logits.transpose(0, 1).flatten(1)[:, order].view(CLASSES, *labels.shape).transpose(0, 1)
    shuffled = criterion(dealt, labels.flatten()[order].view(labels.shape))
    torch.testing.assert_close(shuffled, criterion(logits, labels))


@pytest.mark.parametrize("config", CONFIGS)
def test_under_autocast_the_arithmetic_is_float32(config: LossConfig) -> None:
    logits, labels = batch()
    half = logits.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(config)(half, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, loss_of(config)(half.float(), labels))


@pytest.mark.parametrize("config", CONFIGS)
def test_a_single_class_is_no_obstacle(config: LossConfig) -> None:
    logits = torch.randn(1, 1, 3, 3, requires_grad=True)
    loss = build_loss(config, 1, 1, (5,))(logits, torch.randint(0, 2, (1, 3, 3)))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)


@given(pixels=st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any))
def test_class_weights_have_mean_one_over_the_training_pixels(pixels: list[int]) -> None:
    shares = np.array(pixels) / sum(pixels)
    for kind, power in (("inverse", 1.0), ("sqrt-inverse", 0.5)):
        weights = class_weights(kind, pixels).double().numpy()
        assert (weights * shares).sum() == pytest.approx(1, rel=1e-5)
        assert [weight > 0 for weight in weights] == [count > 0 for count in pixels]
        present = shares > 0
        assert np.allclose(
            weights[present] * shares[present] ** power, weights[present][0] * shares[present][0] ** power
        )
    assert class_weights("none", pixels).tolist() == [1.0] * len(pixels)


def test_pixels_of_weight_zero_alone_have_no_loss() -> None:
    criterion = build_loss(LossConfig(terms=("cross-entropy", "focal"), class_weights="inverse"), 2, 2, (10, 0))
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = criterion(logits, torch.ones(1, 3, 3, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0


def test_counts_of_pixels_must_be_those_of_the_outputs() -> None:
    with pytest.raises(ValueError, match="3 counts of pixels for 2 classes"):
        build_loss(LossConfig(), 2, 2, (1, 2, 3))


def test_a_million_pixels_lose_no_accuracy() -> None:
    n = 1_000_000
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(3, n, generator=generator), torch.randint(0, 3, (n,), generator=generator)
    weights = torch.tensor([0.5, 1.0, 2.0])
    for term in (cross_entropy, focal, dice):
        exact = term(scores.double(), labels, weights.double())
        assert term(scores, labels, weights).item() == pytest.approx(exact.item(), rel=1e-6)
    truth = labels == 0
    whole, seen = truth.sum().double(), truth.double().cumsum(0)
    jaccard = 1 - (whole - seen) / (whole + (~truth).double().cumsum(0))
    exact_steps = torch.cat([jaccard[:1], jaccard.diff()])
    assert ((jaccard_steps(truth).double() - exact_steps).abs() < 1e-6 * exact_steps + 1e-15).all()


def test_every_term_learns() -> None:
    """A few steps of gradient descent on the logits lower each loss, whatever the class weights."""
    for term, kind in itertools.product(TERMS, ("none", "sqrt-inverse")):
        logits, labels = batch()
        criterion = loss_of(LossConfig(terms=(term,), class_weights=kind))  # type: ignore[arg-type]
        first = criterion(logits, labels)
        for _ in range(10):
            (gradient,) = torch.autograd.grad(criterion(logits, labels), logits)
            logits = (logits - 60 * gradient).detach().requires_grad_()
        assert criterion(logits, labels).item() < 0.95 * first.item(), (term, kind)
