"""Results in a few lines, for the terminal."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headstart.comparison.words import compare_lines
from headstart.results import (
    ClassifyResult,
    ClassScore,
    CompareResult,
    DataCheckResult,
    DataPackResult,
    EvaluateResult,
    Interval,
    LearningRate,
    MasksResult,
    MiouResult,
    PredictResult,
    PretrainResult,
    Protocol,
    SegmentResult,
    SegmentScores,
    StudyResult,
    TsneResult,
)

SHOWN = 10


def summary_lines(result: object, out: Path | None) -> list[str]:
    """What a person wants to know when a command has ended; ``out`` is the directory it wrote."""
    lines_of = LINES.get(type(result))
    if lines_of is None:
        return [f"Written: {result}"]
    return lines_of(result) + ([f"Written: {out}"] if out else [])


def pretrain_lines(result: PretrainResult) -> list[str]:
    """Status, length, loss, and what the features are worth."""
    lines = [
        f"Pre-training {result.status}: {result.n_images} images, {result.steps} steps of {result.epochs} epochs, "
        f"{result.seconds:.0f} s ({result.images_per_second:.0f} images/s) in {result.precision}."
    ]
    if result.loss_first is not None and result.loss_last is not None:
        lines.append(f"Loss {result.loss_first:.3f} at the first step, {result.loss_last:.3f} at the last.")
    if result.knn is not None and result.knn_before is not None:
        lines.append(f"kNN accuracy of the frozen features: {result.knn_before:.1%} before, {result.knn:.1%} after.")
    if result.early_word is not None:
        word = result.early_word
        lines.append(f"Early word: {word.verdict}. {word.sentence}")
        lines += [word.end_sentence] if word.end_sentence else []
    if result.quarantined:
        lines.append(f"{result.quarantined} file(s) could not be decoded: see quarantine.csv.")
    return lines + result.warnings + ([result.reason] if result.reason else [])


def classify_lines(result: ClassifyResult) -> list[str]:
    """The accuracy with its definition."""
    frozen = "" if result.trained == "full" else " (linear layer on cached features of "
    if frozen:
        frozen += f"{result.frozen_views} augmented copies)" if result.frozen_views else "plain images)"
    lines = [
        f"{result.setting}{frozen}: accuracy {result.accuracy:.1%}, balanced {result.balanced_accuracy:.1%} on "
        f"{result.n_val} {result.judged_images}; {result.n_train} labelled training images, seed {result.seed}, "
        f"{result.epochs} epochs, {result.seconds:.0f} s."
    ]
    if result.quarantined:
        lines.append(f"{result.quarantined} file(s) could not be decoded: see quarantine.csv.")
    return lines


def segment_lines(result: SegmentResult) -> list[str]:
    """The scores under their protocol, class by class, and the length of the training."""
    others = [f"{share(value)} ({name})" for name, value in result.miou_by_protocol.items() if name != result.protocol]
    lines = [
        f"{result.model} with {result.encoder}, {result.setting}: mean IoU {share(result.miou)} (protocol "
        f"{result.protocol}) on {result.n_val} {result.judged_images}; {', '.join(others)}.",
        *score_lines(result.scores),
        f"{result.n_train} training pairs, seed {result.seed}, {result.epochs} epochs of {result.steps} steps in all, "
        f"{result.seconds:.0f} s in {result.precision}.",
    ]
    if result.quarantined:
        lines.append(f"{result.quarantined} file(s) or pair(s) were left out: see quarantine.csv.")
    return lines + result.warnings


def predict_lines(result: PredictResult) -> list[str]:
    """How many files there are now, and what was left out."""
    speed = f", {result.pixels / 1e6 / result.seconds:.1f} Mpx/s" if result.pixels else ""
    lines = [
        f"{len(result.files)} file(s), {result.pixels / 1e6:.1f} Mpx predicted now, in {result.seconds:.0f} s{speed}."
    ]
    if result.failed:
        lines.append(f"{len(result.failed)} input(s) could not be decoded: see quarantine.csv.")
    return lines


def masks_lines(result: MasksResult) -> list[str]:
    """Masks and coverage, by which model, and what was left out."""
    n = len(result.images)
    lines = [
        f"{result.n_masks} masks in {n} image(s) by {result.checkpoint or result.model}; they cover "
        f"{result.coverage:.1%} of the pixels.",
        f"{result.pixels / 1e6:.1f} Mpx looked at now, in {result.seconds:.0f} s.",
    ]
    if result.classified_by is not None:
        totals = Counter[str]()
        for image in result.images:
            totals.update(image.classes or {})
        told = ", ".join(f"{name} {number}" for name, number in totals.items())
        lines.append(f"Masks of each class, by {result.classified_by}: {told}.")
    lines += [f"Weights: {result.weights}"] * bool(result.weights)
    if result.failed:
        lines.append(f"{len(result.failed)} input(s) could not be decoded: see quarantine.csv.")
    return lines + result.warnings


def evaluate_lines(result: EvaluateResult) -> list[str]:
    """The accuracy with its definition."""
    lines = [
        f"{result.run}: accuracy {result.accuracy:.1%}, balanced {result.balanced_accuracy:.1%} on {result.n} images "
        f"of {result.data}."
    ]
    return lines + [f"{len(result.left_out)} image(s) could not be decoded."] * bool(result.left_out)


def study_lines(result: StudyResult) -> list[str]:
    """The table, then the verdict."""
    width = max(len(row.setting) for row in result.rows)
    score = max(len(result.metric_words), len("100.0%"))
    tuned = any(len(rate.grid) > 1 for rate in result.rates)
    rate_head = "  rate" if tuned else ""
    lines = [f"{'setting':<{width}}  labels  {result.metric_words:>{score}}  95 % interval    n{rate_head}"]
    for row in result.rows:
        interval = "" if row.ci95 is None else interval_words(row.ci95)
        rate = f"  x {row.lr.chosen:g}" if tuned and row.lr else ""
        lines.append(
            f"{row.setting:<{width}}  {row.label_fraction:>6.0%}  {row.mean:>{score}.1%}  {interval:<15}  "
            f"{len(row.seeds)}{rate}"
        )
    lines += [
        f"Pre-training of {start.start} {start.status}: {start.reason}"
        for start in result.pretrained
        if start.status != "finished"
    ]
    return [
        *lines,
        *result.left_out,
        result.verdict.sentence,
        *result.verdict.details,
        f"Training took {result.seconds:.0f} s in all{rate_cost(result.rates)}.",
    ]


def rate_cost(rates: list[LearningRate]) -> str:
    """What the choice of learning rates took of it; nothing where there was none."""
    trainings, seconds = sum(rate.trainings for rate in rates), sum(rate.seconds for rate in rates)
    return f", {seconds:.0f} s of it in {trainings} trainings to choose learning rates" if trainings else ""


def interval_words(interval: Interval) -> str:
    """An interval of a score; one that leaves 0 to 100 % says nothing but that the seeds are too few."""
    low, high = interval
    return f"{low:.1%} to {high:.1%}" if low >= 0 and high <= 1 else "too wide to say"


PROTOCOL_WORDS: dict[Protocol, str] = {
    "deepglobe6": "counts summed over the images, pixels of unknown truth against the class predicted there",
    "ignore": "counts summed over the images, pixels of unknown truth left out",
    "per-image": "the mean over the images, pixels of unknown truth left out",
}


def miou_lines(result: MiouResult) -> list[str]:
    """The scores, and what they are not about."""
    lines = score_lines(result.scores)
    if result.refined is not None:
        lines += refined_lines(result.scores, result.refined, result.refined_by or "")
    if result.left_out:
        lines.append(f"Left out, {len(result.left_out)} file(s) without a partner:")
        lines += capped([f"  {name}" for name in result.left_out])
    return lines


def refined_lines(own: SegmentScores, refined: SegmentScores, method: str) -> list[str]:
    """IoU and boundary F1 before and after a refinement, class by class, with the differences in percentage points."""
    names = ["class", *(each.name for each in own.classes), "mean"]
    width = max(map(len, names))
    rows = [(each.iou, after.iou, each.boundary_f1, after.boundary_f1) for each, after in pairs_of(own, refined)]
    rows.append((own.miou, refined.miou, own.boundary_f1, refined.boundary_f1))
    head = f"{'own':>6}  {'refined':>7}  {'change':>6}"
    lines = [
        f"Refined ({method}), against the model's own masks of the same images; changes in percentage points:",
        f"{'':<{width}}     {'IoU':<23}  boundary F1",
        f"{'class':<{width}}  {head}  {head}",
    ]
    return lines + [
        f"{name:<{width}}  {change_words(iou, iou_after)}  {change_words(f1, f1_after)}"
        for name, (iou, iou_after, f1, f1_after) in zip(names[1:], rows, strict=True)
    ]


def pairs_of(own: SegmentScores, refined: SegmentScores) -> list[tuple[ClassScore, ClassScore]]:
    """The classes before and after."""
    return list(zip(own.classes, refined.classes, strict=True))


def change_words(before: float | None, after: float | None) -> str:
    """Two shares and what came to the first."""
    change = "-" if before is None or after is None else f"{100 * (after - before):+.1f}"
    return f"{share(before):>6}  {share(after):>7}  {change:>6}"


def score_lines(scores: SegmentScores) -> list[str]:
    """A line for each class, then the means with their definition."""
    width = max(map(len, [*(each.name for each in scores.classes), "class"]))
    lines = [f"{'class':<{width}}     IoU    Dice  boundary F1     true pixels  predicted pixels"]
    lines += [
        f"{each.name:<{width}}  {share(each.iou):>6}  {share(each.dice):>6}  "
        f"{share(each.boundary_f1):>11}  {each.truth_pixels:>14,}  {each.predicted_pixels:>16,}"
        for each in scores.classes
    ]
    there = len(scores.classes) - len(scores.absent)
    within = "" if scores.boundary_px is None else f" (within {scores.boundary_px} px)"
    lines.append(
        f"mIoU {share(scores.miou)} of {there} classes in {scores.n_images} image(s), protocol {scores.protocol}: "
        f"{PROTOCOL_WORDS[scores.protocol]}."
    )
    lines.append(
        f"Pixel accuracy {share(scores.pixel_accuracy)}, mean Dice {share(scores.mean_dice)}, boundary F1 "
        f"{share(scores.boundary_f1)}{within}."
    )
    if scores.absent:
        lines.append(f"Without a pixel in truth and prediction, so left out of the means: {', '.join(scores.absent)}.")
    return lines


def share(value: float | None) -> str:
    """A share in per cent, or a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"


def tsne_lines(result: TsneResult) -> list[str]:
    """What the features are worth in the first and the last picture."""
    return [
        f"Epoch {layout.epoch}: kNN {layout.knn:.1%}, silhouette {layout.silhouette:+.3f} "
        f"(of the features of {result.n_images} images)"
        for layout in result.layouts
    ]


def data_pack_lines(result: DataPackResult) -> list[str]:
    """How large the images are kept, and each pack with what is not in it."""
    lines = [result.description, f"Shorter side at most {result.side} px; {result.seconds:.0f} s."]
    for pack in result.packs:
        lines.append(f"{pack.n_images} images, {pack.n_bytes / 1e6:.1f} MB: {pack.folder}")
        lines += capped([f"  left out: {path}: {reason}" for path, reason in pack.quarantined.items()])
    return lines


def data_check_lines(result: DataCheckResult) -> list[str]:
    """What was found, the classes in a table, what cannot be used, and the warnings last."""
    what = "pairs" if result.counted == "pixels" else "images"
    lines = [result.description, f"Usable {what}: {result.n_train} for training, {result.n_val} for validation."]
    lines += [f"Split: {result.split}."] * bool(result.split)
    sizes = ", ".join(f"{width} x {height} ({number})" for width, height, number in result.sizes)
    lines.append(f"Sizes: {sizes}{', ...' if sum(number for *_, number in result.sizes) < n_images(result) else ''}.")
    mean, std = (" ".join(f"{value:.3f}" for value in values) for values in (result.mean, result.std))
    lines.append(f"Red, green and blue of the training images, from 0 to 1: mean {mean}, standard deviation {std}.")
    lines += share_lines(result)
    if result.quarantined:
        lines.append(f"{len(result.quarantined)} file(s) cannot be used:")
        lines += capped([f"  {path}: {reason}" for path, reason in result.quarantined.items()])
    repeats = [group for group in result.duplicates if group not in result.leaks]
    for title, groups in (("more than once on one side", repeats), ("on both sides of the split", result.leaks)):
        if groups:
            lines.append(f"{len(groups)} image(s) are there {title}, pixel for pixel:")
            lines += capped([f"  {' = '.join(group)}" for group in groups])
    return lines + [f"Warning: {warning}" for warning in result.warnings] + ["No warnings."] * (not result.warnings)


def n_images(result: DataCheckResult) -> int:
    """Images of either side that were looked at and can be used."""
    return result.n_train + result.n_val


def share_lines(result: DataCheckResult) -> list[str]:
    """A line for each class with its share of either side."""
    if not result.classes:
        return []
    width = max(map(len, [*result.classes, "class"]))
    lines = [f"{'class':<{width}}  training  validation   (shares of the {result.counted})"]
    for i, name in enumerate(result.classes):
        val = f"{result.val_shares[i]:>10.2%}" if result.val_shares else f"{'-':>10}"
        lines.append(f"{name:<{width}}  {result.train_shares[i]:>8.2%}  {val}")
    return lines


def capped(lines: list[str]) -> list[str]:
    """The first ten lines, and how many more there are."""
    return [*lines[:SHOWN], f"  ... and {len(lines) - SHOWN} more (--json lists all)"] if len(lines) > SHOWN else lines


LINES: dict[type, Callable[[Any], list[str]]] = {
    PretrainResult: pretrain_lines,
    ClassifyResult: classify_lines,
    SegmentResult: segment_lines,
    PredictResult: predict_lines,
    MasksResult: masks_lines,
    EvaluateResult: evaluate_lines,
    StudyResult: study_lines,
    MiouResult: miou_lines,
    TsneResult: tsne_lines,
    DataCheckResult: data_check_lines,
    DataPackResult: data_pack_lines,
    CompareResult: compare_lines,
}
