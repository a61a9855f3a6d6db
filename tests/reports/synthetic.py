"""A study and single runs on disk, with numbers made up by formula and names that mean harm."""

import json
import math
import random
from pathlib import Path

from PIL import Image

from headstart.results import (
    ClassifyResult,
    DataFacts,
    EarlyWord,
    LabelSaving,
    Layout,
    LookFigures,
    PairedDifference,
    PretrainedStart,
    PretrainResult,
    Record,
    StudyResult,
    StudyRow,
    TsneResult,
    Verdict,
    ViewsAudit,
    WeightsReport,
)

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
CLOSING = "</script>"
HOSTILE = (SCRIPT, IMAGE, CLOSING)
CLASSES = ["arid & dry", SCRIPT, IMAGE, CLOSING, "{{ 7 * 7 }} %{x} <b>bold</b>"]
SETTINGS = (
    ("A", "scratch", "full", 0.44, 0.61),
    ("B", "supervised", "full", 0.60, 0.72),
    ("C", "ssl", "full", 0.47, 0.625),
    ("D", "supervised", "frozen", 0.52, 0.58),
    ("E", "ssl", "frozen", 0.40, 0.47),
    (None, "ssl+supervised", "full", 0.63, 0.735),
    (None, "scratch", "frozen", 0.31, 0.36),
    (None, "ssl+supervised", "frozen", 0.55, 0.60),
)
T975 = {2: 12.706, 3: 4.303}
N_VAL = 640


def mean_sd_interval(values: list[float]) -> tuple[float, float | None, tuple[float, float] | None]:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None, None
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = T975[len(values)] * sd / math.sqrt(len(values))
    return mean, sd, (mean - half, mean + half)


def make_rows(fractions: tuple[float, ...], seeds: int) -> list[StudyRow]:
    chance = random.Random(5)
    rows = []
    for letter, start, trained, low, high in SETTINGS:
        for fraction in fractions:
            level = low + (high - low) * (1 + math.log10(fraction))
            values = [round(level + chance.gauss(0, 0.006), 4) for _ in range(seeds)]
            mean, sd, interval = mean_sd_interval(values)
            rows.append(
                StudyRow(
                    setting=f"{start}/{trained}", start=start, trained=trained, letter=letter,
                    label_fraction=fraction, n_labels=round(2562 * fraction), metric="accuracy",
                    seeds=list(range(seeds)), values=values, mean=mean, sd=sd, ci95=interval, seconds=41.5,
                )
            )  # fmt: skip
    return rows


def differences(rows: list[StudyRow]) -> list[PairedDifference]:
    base = {row.label_fraction: row for row in rows if row.setting == "scratch/full"}
    pairs = []
    for row in rows:
        if row.setting != "scratch/full":
            values = [a - b for a, b in zip(row.values, base[row.label_fraction].values, strict=True)]
            mean, _, interval = mean_sd_interval(values)
            pairs.append(
                PairedDifference(
                    setting=row.setting, baseline="scratch/full", label_fraction=row.label_fraction,
                    values=values, mean=mean, ci95=interval,
                )
            )  # fmt: skip
    return pairs


def make_study(fractions: tuple[float, ...] = (0.1, 1.0), seeds: int = 3) -> StudyResult:
    rows = make_rows(fractions, seeds)
    savings = [
        LabelSaving(setting="scratch/full", target=0.612, status="reached", label_fraction=1.0),
        LabelSaving(setting="supervised/full", target=0.612, status="reached", label_fraction=0.127),
        LabelSaving(setting="ssl+supervised/full", target=0.612, status="at_most", label_fraction=0.1),
        LabelSaving(setting="scratch/frozen", target=0.612, status="not_reached", label_fraction=None),
    ]
    verdict = Verdict(
        sentence="Start from ssl+supervised and train everything: with 10 % of the labels it reaches 63.1 %, 19.0 "
        "points more than scratch (95 % interval +16.2 to +21.8, n = 3 seeds).",
        details=[
            "ssl+supervised/full and supervised/full cannot be told apart at n = 3.",
            f"A hostile detail {SCRIPT}",
        ],
        winner="ssl+supervised/full",
        label_fraction=0.1,
    )
    pretrained = [
        PretrainedStart(start="ssl", run="runs/pretrain/ssl", status="finished", reason=None, seconds=181.0),
        PretrainedStart(
            start="ssl+supervised", run="runs/pretrain/ssl+supervised", status="collapsed",
            reason="The network gives all images nearly the same vector (spread 0.0041).", seconds=95.0,
        ),
    ]  # fmt: skip
    return StudyResult(
        task="classify", backbone="tf_efficientnet_lite0", recipe="default", metric="accuracy",
        split="by spatial blocks of 8 tiles", n_val=N_VAL, rows=rows, differences=differences(rows),
        label_savings=savings if 1.0 in fractions else [], verdict=verdict, pretrained=pretrained,
        left_out=["seed 2 of supervised/frozen with 10 % of the labels: it diverged."], seconds=845.0,
    )  # fmt: skip


def make_data(classes: list[str]) -> DataFacts:
    return DataFacts(
        spec="demo:bluemarble", kind="demo", classes=classes,
        description=f"Blue Marble tiles of 64 px with main climate groups, as train/val pairs. {SCRIPT}",
        train_counts=[900 // (i + 1) for i in range(len(classes))],
        val_counts=[220 // (i + 1) for i in range(len(classes))],
        n_train=2562, n_val=N_VAL, n_unlabelled=2562, quarantined=3,
        split="By spatial blocks of 8 x 8 tiles, so that no validation tile touches a training tile's block.",
        provenance="Imagery: NASA Blue Marble Next Generation, public domain.\nClimate: Koeppen-Geiger, BSD-3 package.",
        fingerprint="9f86d081884c7d65",
    )  # fmt: skip


def make_early_word(verdict: str = "go on", labelled: bool = True) -> EarlyWord:
    before = LookFigures(
        feature_std=0.41, projection_std=0.52, effective_rank=61.5, alignment=0.512, uniformity=-1.51, retrieval=0.307,
        knn=0.4123 if labelled else None,
    )  # fmt: skip
    now = before.model_copy(update={"retrieval": 0.449, "knn": 0.4432 if labelled else None})
    end = now.model_copy(update={"retrieval": 0.613, "knn": 0.4812 if labelled else None, "uniformity": -2.213})
    return EarlyWord(
        verdict=verdict, sentence=f"After 20 of 200 steps, -3.1 points, 44.3 % of it: {SCRIPT} go on.",
        measure="knn" if labelled else "retrieval", n_images=640 if labelled else 512, step=20, steps=200,
        before=before, now=now, floors={"pixels": 0.3333, "untrained": 0.4123} if labelled else {},
        verdict_without_labels="stop", end_step=200, end=end, held=True,
        end_sentence="At the last look, so it was. The early word was right.",
    )  # fmt: skip


def make_pretrain(start: str, status: str = "finished", warning: str | None = None) -> PretrainResult:
    weights = WeightsReport(
        source="efficientnet_lite0.pth",
        matched=247,
        missing=[],
        unexpected=["classifier.weight"],
        reshaped=[],
        share=1.0,
    )
    return PretrainResult(
        status=status, reason=None if status == "finished" else "The loss became nan at step 20.", backbone="resnet18",
        start=start, recipe="default", feature_size=512, image_size=64, n_images=2562, quarantined=3, epochs=20,
        steps=200, batch_size=128, loss_first=3.912, loss_last=0.73512, feature_std=0.7213, effective_rank=83.3,
        knn=0.4812, knn_before=0.4123, early_word=make_early_word(),
        views=ViewsAudit(n_views=512, near_constant_share=0.082, threshold=4.0, warning=warning, sheet="views.png"),
        weights=weights, precision="bf16", seconds=181.3, images_per_second=141.2,
    )  # fmt: skip


def write_metrics(path: Path, lines: int, labelled: bool = True, rate: float = 3.0) -> None:
    """``lines`` steps of training, a look each tenth step, one value that is not finite, and a torn last line."""
    rows = []
    for step in range(1, lines + 1):
        share = step / lines
        loss = 4 * math.exp(-abs(rate) * share) + 0.05 * math.sin(step)
        values = {"loss": float("nan") if step == 7 else loss, "lr": 0.06 * (1 - share), "tau": 0.99 + 0.01 * share}
        rows += [("train", step, name, value) for name, value in values.items()]
        if step % 10 == 0:
            watched = {
                "feature_std": 0.4 + 0.1 * rate * share,
                "projection_std": 0.5 + 0.2 * share,
                "effective_rank": 60 + 15 * rate * share,
                "alignment": 0.5 - 0.1 * share,
                "uniformity": -1.5 - 0.7 * share,
                "retrieval": 0.31 + 0.3 * share,
            }
            watched |= {"knn": 0.41 + 0.023 * rate * share} if labelled else {}
            rows += [("watch", step, name, value) for name, value in watched.items()]
    records = [
        {"step": step, "epoch": 1 + step // 10, "split": split, "name": name, "value": value, "time": step * 0.9}
        for split, step, name, value in rows
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"step": 3, "epo', encoding="utf-8")


def make_tsne(classes: list[str], n: int = 400) -> TsneResult:
    chance = random.Random(3)
    labels = [i % len(classes) for i in range(n)]
    layouts = []
    for epoch, apart, knn, silhouette in ((1, 4.0, 0.4311, -0.0312), (12, 14.0, 0.8123, 0.2891)):
        centres = [(apart * math.cos(2.4 * c), apart * math.sin(2.4 * c)) for c in range(len(classes))]
        points = [(centres[c][0] + chance.gauss(0, 3), centres[c][1] + chance.gauss(0, 3)) for c in labels]
        layouts.append(Layout(epoch=epoch, points=points, knn=knn, silhouette=silhouette))
    return TsneResult(
        setting="ssl/full", n_images=n, n_total=2562, perplexity=30.0, labels=labels, classes=classes, layouts=layouts,
        seconds=12.0,
    )  # fmt: skip


def make_classify(row: StudyRow, seed: int, classes: list[str]) -> ClassifyResult:
    size = len(classes)
    confusion = [[40 if i == j else (i + 2 * j + seed) % 9 for j in range(size)] for i in range(size)]
    return ClassifyResult(
        setting=row.setting, start=row.start, trained=row.trained, letter=row.letter, backbone="resnet18",
        recipe="default", label_fraction=row.label_fraction, seed=seed, accuracy=row.values[seed],
        balanced_accuracy=row.values[seed] - 0.02, n_train=row.n_labels, n_val=N_VAL, classes=classes,
        confusion=confusion, frozen_views=None, epochs=12, steps=240, weights=None, precision="bf16", seconds=41.5,
        quarantined=0,
    )  # fmt: skip


def write_picture(path: Path, width: int, height: int) -> None:
    image = Image.linear_gradient("L").resize((width, height))
    Image.merge("RGB", (image, image.rotate(90).resize((width, height)), image)).save(path)


def write_config(folder: Path, verb: str, config: dict) -> None:
    record = {
        "schema_version": 1, "headstart": "0.1.0", "verb": verb, "config": config,
        "versions": {"torch": "2.14.1", "timm": "1.0.31", "plotly": "7.1.0"},
        "machine": {"system": "Linux", "python": "3.11.9", "processor": "AMD EPYC 9R14", "cores": 2},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(record), encoding="utf-8")


def save(record: Record, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record.save(folder / "result.json")


def write_pretrain(folder: Path, start: str = "ssl", status: str = "finished", labelled: bool = True) -> Path:
    warning = (
        "8 % of the views are nearly one colour: raise the smaller --views.crop-scale." if start == "ssl" else None
    )
    result = make_pretrain(start, status, warning)
    blind = {"knn": None, "knn_before": None, "early_word": make_early_word(labelled=False)}
    save(result if labelled else result.model_copy(update=blind), folder)
    write_metrics(folder / "metrics.jsonl", 200, labelled, rate=3.0 if status == "finished" else -3.9)
    write_picture(folder / "views.png", 780, 260)
    write_config(folder, "pretrain", {"data": "tiles", "out": "ssl", "epochs": 20, "init_from": "runs/first half"})
    return folder


def write_study(folder: Path, classes: list[str] | None = None, **shape) -> Path:
    """A whole study directory; ``shape`` goes to ``make_study``."""
    classes = CLASSES if classes is None else classes
    study = make_study(**shape)
    save(study, folder)
    make_data(classes).save(folder / "data.json")
    write_picture(folder / "samples.png", 960, 320)
    write_config(
        folder, "study",
        {
            "out": "demo report", "data": "demo:bluemarble", "task": "classify", "seeds": 3, "strict": True,
            "starts": ["scratch", "supervised"], "label_fractions": [0.05, 1.0], "note": SCRIPT,
        },
    )  # fmt: skip
    for start in study.pretrained:
        write_pretrain(folder / start.run, start.start, start.status)
    for row in study.rows:
        for seed in row.seeds:
            run = folder / "runs" / row.start / row.trained / f"labels-{row.label_fraction:g}" / f"seed-{seed}"
            save(make_classify(row, seed, classes), run)
    make_tsne(classes).save(folder / "runs" / "ssl" / "full" / "labels-1" / "seed-0" / "tsne.json")
    return folder


def write_classify(folder: Path, classes: list[str] | None = None) -> Path:
    save(make_classify(make_rows((1.0,), 1)[3], 0, CLASSES if classes is None else classes), folder)
    rows = [
        {"step": step, "epoch": step, "split": split, "name": name, "value": value, "time": 1.0}
        for step in range(1, 21)
        for split, name, value in (("train", "loss", 2 / step), ("train", "lr", 0.001), ("val", "accuracy", 0.5))
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder
