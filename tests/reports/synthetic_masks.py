"""Segmentation runs on disk, alone, in a study and beside one, with scores worked out from masks made up by formula."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tests.reports import synthetic
from tests.reports.synthetic import IMAGE, SCRIPT

from headstart.results import (
    ClassScore,
    DataFacts,
    MaskPicture,
    MaskSample,
    SegmentResult,
    SegmentScores,
    StudyResult,
)

CLASSES = ["urban & suburban", "agriculture", SCRIPT, "forest", "water", "barren", IMAGE]
"""The last one is not scored."""
COLOURS = [(0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]
N_SCORED = 6
ABSENT = 5
EPOCHS = (1, 10, 20)
SAMPLES = (("0013_sat.jpg", "best"), (f"north/0062{SCRIPT}.jpg", "median"), ("0104_sat.jpg", "worst"))


def truth_of(seed: int, side: int) -> np.ndarray:
    """Class indices (side, side) uint8: patches with smooth borders, some of them unknown, none of class ABSENT."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(6.3 * (a * x + b * y) + seed + k) for k, (a, b) in enumerate(((1.3, 0.4), (0.3, 1.7), (0.9, -1.1)))]
    level = (waves[0] + waves[1] + waves[2] + 3) / 6
    indices = (level * 5).clip(0, 4.99).astype(np.uint8)
    indices[(x - 0.85) ** 2 + (y - 0.15) ** 2 < 0.02] = N_SCORED
    return indices


def predicted_at(truth: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """``truth`` with blocks of it given any class, the fewer the higher ``skill`` in [0, 1] is."""
    rng = np.random.default_rng(seed)
    cell = max(1, len(truth) // 16)
    wrong = np.kron(rng.random((17, 17)) > skill, np.ones((cell, cell), bool))[: len(truth), : len(truth)]
    other = np.kron(rng.integers(0, ABSENT, (17, 17)), np.ones((cell, cell), int))[: len(truth), : len(truth)]
    return np.where(wrong | (truth == N_SCORED), other, truth).astype(np.uint8)


def counted(truth: np.ndarray, predicted: np.ndarray, times: int = 1) -> np.ndarray:
    size = len(CLASSES)
    return times * np.bincount((truth.astype(int) * size + predicted).ravel(), minlength=size**2).reshape(size, size)


def make_scores(counts: np.ndarray, protocol: str, n_images: int = 257) -> SegmentScores:
    inner = counts[:N_SCORED]
    columns = (counts if protocol == "deepglobe6" else inner)[:, :N_SCORED].sum(0)
    rows, both = inner.sum(1), inner.diagonal()
    union = rows + columns - both
    iou = [float(b / u) if u else None for b, u in zip(both, union, strict=True)]
    dice = [float(2 * b / (r + c)) if r + c else None for b, r, c in zip(both, rows, columns, strict=True)]
    present = [value for value in iou if value is not None]
    classes = [
        ClassScore(
            name=CLASSES[i], iou=iou[i], dice=dice[i], boundary_f1=None if iou[i] is None else iou[i] * 0.8,
            truth_pixels=int(rows[i]), predicted_pixels=int(columns[i]),
        )
        for i in range(N_SCORED)
    ]  # fmt: skip
    mean = sum(present) / len(present)
    return SegmentScores(
        protocol=protocol, miou=mean, pixel_accuracy=float(both.sum() / rows.sum()),
        mean_dice=sum(value for value in dice if value is not None) / len(present), boundary_f1=0.8 * mean,
        boundary_px=5, classes=classes, absent=[score.name for score in classes if score.iou is None],
        labels=CLASSES, counts=counts.tolist(), n_images=n_images,
    )  # fmt: skip


def make_segment(
    skill: float = 0.8, seed: int = 0, samples: list[MaskSample] | None = None, **changes
) -> SegmentResult:
    truth = truth_of(seed, 128)
    counts = counted(truth, predicted_at(truth, skill, seed), times=1200)
    scores = {protocol: make_scores(counts, protocol) for protocol in ("deepglobe6", "ignore", "per-image")}
    protocol = changes.get("protocol", "ignore")
    shape = {
        "setting": "supervised/full", "start": "supervised", "trained": "full", "model": "unet",
        "encoder": "tu-mobilenetv3_large_100", "recipe": "default", "label_fraction": 1.0, "seed": seed,
        "protocol": protocol, "miou": scores[protocol].miou, "scores": scores[protocol],
        "miou_by_protocol": {name: each.miou for name, each in scores.items()}, "n_parameters": 6_712_345,
        "n_train": 2000, "n_val": 257, "classes": CLASSES, "colours": COLOURS, "samples": samples or [], "epochs": 20,
        "steps": 2500, "weights": None, "precision": "bf16", "seconds": 1834.0, "quarantined": 2,
        "warnings": [f"No pixel of {CLASSES[ABSENT]} in the training masks.", f"A hostile warning {SCRIPT}"],
    }  # fmt: skip
    return SegmentResult(**shape | changes)


def save_picture(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_masks(folder: Path, side: int, skill: float) -> list[MaskSample]:
    """The pictures of the kept images below ``folder``/masks, and the records that name them."""
    table, rng, samples = np.array(COLOURS), np.random.default_rng(3), []
    for number, (name, chosen) in enumerate(SAMPLES):
        stem, truth = f"{number}", truth_of(number, side)
        photo = (table[truth] * 0.35 + 60 + rng.normal(0, 12, (side, side, 1))).clip(0, 255)
        save_picture(photo, folder / f"masks/images/{stem}.png")
        save_picture(table[truth], folder / f"masks/truth/{stem}.png")
        pictures = []
        for epoch in EPOCHS:
            predicted = predicted_at(truth, skill * (0.3 + 0.7 * epoch / EPOCHS[-1]) - 0.1 * number, epoch)
            file = f"masks/epoch_{epoch:04}/{stem}.png"
            save_picture(table[predicted], folder / file)
            pictures.append(MaskPicture(epoch=epoch, file=file, iou=float((predicted == truth).mean())))
        errors = np.where((predicted == truth)[..., None], (235, 235, 235), (200, 30, 30))
        errors[truth == N_SCORED] = (140, 140, 160)
        save_picture(errors, folder / f"masks/error/{stem}.png")
        samples.append(
            MaskSample(
                name=name, chosen=chosen, image=f"masks/images/{stem}.png", truth=f"masks/truth/{stem}.png",
                error=f"masks/error/{stem}.png", epochs=pictures,
            )
        )  # fmt: skip
    return samples


def make_pixel_data() -> DataFacts:
    return DataFacts(
        spec="deepglobe/", kind="pairs", classes=CLASSES, counted="pixels",
        description=f"Pairs NNNN_sat.jpg and NNNN_mask.png in train/ and validation/. {SCRIPT}",
        train_counts=[56_000_000, 301_000_000, 44_100_000, 57_000_000, 17_500_000, 0, 812_000],
        val_counts=[7_100_000, 38_200_000, 5_900_000, 7_800_000, 2_300_000, 0, 94_000],
        n_train=2000, n_val=257, n_unlabelled=0, quarantined=2, split="The folders train/ and validation/ as they are.",
    )  # fmt: skip


def write_segment(folder: Path, side: int = 512, skill: float = 0.8, **changes) -> Path:
    """A run directory; ``changes`` are those of its result."""
    samples = write_masks(folder, side, skill)
    synthetic.save(make_segment(skill, samples=samples, **changes), folder)
    make_pixel_data().save(folder / "data.json")
    synthetic.write_picture(folder / "crops.png", 900, 300)
    synthetic.write_config(folder, "segment", {"data": "deepglobe", "out": "run", "model": "unet", "epochs": 20})
    rows = []
    for step in range(10, 2501, 10):
        rows += [(step, "train", "loss", 1.8 * 0.999**step), (step, "train", "lr", 1e-3 * (1 - step / 2500))]
        if step % 250 == 0:
            rows += [(step, "val", name, skill * step / 2600) for name in ("miou", "pixel_accuracy", "dice")]
    records = [
        {"step": step, "epoch": -(-step // 125), "split": split, "name": name, "value": value, "time": 1.0}
        for step, split, name, value in rows
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return folder


def make_segment_study(**shape) -> StudyResult:
    """The study of classifiers with all that makes it one of segmentations."""
    study = synthetic.make_study(**shape)
    rows = [row.model_copy(update={"metric": "miou"}) for row in study.rows]
    verdict = study.verdict.model_copy(
        update={
            "sentence": "Start from ssl+supervised and train everything: with 10 % of the labels it reaches 63.1 % "
            "mean IoU (protocol ignore), 19.0 points more than scratch (95 % interval +16.2 to +21.8, n = 3 seeds)."
        }
    )
    warnings = ["In 3 of 48 runs: No pixel of barren in the training masks."]
    return study.model_copy(
        update={"task": "segment", "metric": "miou", "protocol": "ignore", "rows": rows, "verdict": verdict,
                "backbone": "mobilenetv3_large_100", "n_val": 257, "warnings": warnings}
    )  # fmt: skip


def write_segment_study(folder: Path, with_runs: bool = True, **shape) -> Path:
    """A study of segmentations; the masks of seed 0 with all labels are kept, as a study does."""
    study = make_segment_study(**shape)
    synthetic.save(study, folder)
    make_pixel_data().save(folder / "data.json")
    synthetic.write_config(folder, "study", {"out": "o", "data": "deepglobe", "task": "segment", "model": "unet"})
    if not with_runs:
        return folder
    synthetic.write_picture(folder / "samples.png", 960, 320)
    for start in study.pretrained:
        synthetic.write_pretrain(folder / start.run, start.start, start.status)
    for row in study.rows:
        for seed in row.seeds:
            run = folder / "runs" / row.start / row.trained / f"labels-{row.label_fraction:g}" / f"seed-{seed}"
            setting = {"setting": row.setting, "start": row.start, "trained": row.trained, "letter": row.letter}
            keeps = seed == 0 and row.label_fraction == 1.0
            samples = write_masks(run, 48, row.mean) if keeps else None
            made = make_segment(row.values[seed], seed, samples, label_fraction=row.label_fraction, **setting)
            synthetic.save(made, run)
    return folder


def write_shelf(folder: Path, side: int = 48) -> Path:
    """A study of classifiers with segmentation/ beside it: two models, a run that has not finished, and a study."""
    synthetic.write_study(folder)
    shelf = folder / "segmentation"
    write_segment(shelf / "model-a", side, 0.55, model="fcn32s-seed", encoder="vgg16", n_parameters=134_712_345,
                  warnings=[])  # fmt: skip
    write_segment(shelf / "model-b", side, 0.9)
    (shelf / "model-c").mkdir()
    synthetic.write_config(shelf / "model-c", "segment", {})
    write_segment_study(shelf / "study", with_runs=False)
    notes = ["Both models had the same 12 minutes.", f"The first one has no skip connections. {SCRIPT}"]
    (shelf / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
    return folder
