"""Results in a few lines, for the terminal."""

from pathlib import Path

from headstart.results import ClassifyResult, Interval, PretrainResult, StudyResult, TsneResult


def summary_lines(result: object, out: Path | None) -> list[str]:
    """What a person wants to know when a command has ended; ``out`` is the directory it wrote."""
    match result:
        case PretrainResult():
            lines = pretrain_lines(result)
        case ClassifyResult():
            lines = classify_lines(result)
        case StudyResult():
            lines = study_lines(result)
        case TsneResult():
            lines = tsne_lines(result)
        case _:
            return [f"Written: {result}"]
    return lines + ([f"Written: {out}"] if out else [])


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
        f"{result.n_val} validation images; {result.n_train} labelled training images, seed {result.seed}, "
        f"{result.epochs} epochs, {result.seconds:.0f} s."
    ]
    if result.quarantined:
        lines.append(f"{result.quarantined} file(s) could not be decoded: see quarantine.csv.")
    return lines


def study_lines(result: StudyResult) -> list[str]:
    """The table, then the verdict."""
    width = max(len(row.setting) for row in result.rows)
    lines = [f"{'setting':<{width}}  labels  accuracy  95 % interval    n"]
    for row in result.rows:
        interval = "" if row.ci95 is None else interval_words(row.ci95)
        lines.append(
            f"{row.setting:<{width}}  {row.label_fraction:>5.0%}  {row.mean:>8.1%}  {interval:<15}  {len(row.seeds)}"
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
        f"Training took {result.seconds:.0f} s in all.",
    ]


def interval_words(interval: Interval) -> str:
    """An interval of an accuracy; one that leaves 0 to 100 % says nothing but that the seeds are too few."""
    low, high = interval
    return f"{low:.1%} to {high:.1%}" if low >= 0 and high <= 1 else "too wide to say"


def tsne_lines(result: TsneResult) -> list[str]:
    """What the features are worth in the first and the last picture."""
    return [
        f"Epoch {layout.epoch}: kNN {layout.knn:.1%}, silhouette {layout.silhouette:+.3f} "
        f"(of the features of {result.n_images} images)"
        for layout in result.layouts
    ]
