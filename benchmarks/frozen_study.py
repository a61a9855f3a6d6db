"""Frozen settings of a study beside the same trainings with the backbone run in every epoch.

    python -m benchmarks.frozen_study
    python -m benchmarks.frozen_study --quick

Two starts (seeded random weights in a file each: what the weights are does not change the time), each on a frozen
backbone, for several seeds and two shares of the labels of the embedded images. Ours is what a study does; the other
way decodes the plain images and runs the backbone, in evaluation mode, for every batch of every epoch and for the
validation images. Both have the recipe's number of steps. Slow: with all defaults a round takes many minutes.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from benchmarks.harness import Row, measure_here
from benchmarks.report import parsed, parser, publish
from benchmarks.seeded_weights import write_starts
from torch import Tensor, nn

from headstart.analysis.confusion import accuracy
from headstart.analysis.store import Store
from headstart.configs.classify import ClassifyConfig
from headstart.configs.run import RunConfig
from headstart.configs.study import StudyConfig
from headstart.data.sources import open_source
from headstart.data.views import normalisation
from headstart.models.backbones import Backbone, build_backbone
from headstart.models.classifier import FeatureClassifier
from headstart.models.weights import load_start
from headstart.studies.execute import Configs, run_all, run_config
from headstart.studies.plan import PlannedRun, plan
from headstart.studies.tasks import TASKS
from headstart.tasks.classify.data import LabelledData, read_labelled
from headstart.tasks.classify.verb import evaluate, job_of
from headstart.tasks.classify.ways import Frozen, Full
from headstart.training.fit import fit
from headstart.training.session import Session, begin

Scores = Mapping[tuple[str, float, int], float]
"""(setting, label fraction, seed) -> accuracy."""


class BackboneThenHead(nn.Module):
    """A frozen backbone, and the scaled linear layer behind it."""

    def __init__(self, backbone: Backbone, head: FeatureClassifier) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, n_classes)."""
        with torch.no_grad():
            features = self.backbone(images_bchw).float()
        logits: Tensor = self.head(features)
        return logits


class EveryEpoch(Full):
    """The way of a fully trained network, with a backbone that stays as it is, on plain images."""

    def __init__(
        self, session: Session, config: ClassifyConfig, backbone: Backbone, data: LabelledData, store: Store
    ) -> None:
        plain = replace(data, views=data.views.model_copy(update={"style": "none"}))
        super().__init__(session, config, backbone, plain, store)
        cached = Frozen(session, config, backbone, data, store)  # the scaling of the features, once for each start
        self.module = BackboneThenHead(backbone, cached.module)


def slowly(config: ClassifyConfig, store: Store) -> float:
    """The accuracy of one run, its backbone run in every epoch."""
    session = begin(config, "classify", lambda: build_backbone(config.backbone, config.image_size))
    data = read_labelled(session, config, open_source(config.data), store)
    backbone = build_backbone(config.backbone, config.image_size)
    load_start(backbone, config.start)
    backbone.mean, backbone.std = normalisation(config.views, backbone.mean, backbone.std)
    way = EveryEpoch(session, config, backbone, data, store)
    fit(session, job_of(session, config, way, data))
    return accuracy(evaluate(way, way.module, data))


def frozen_runs(config: StudyConfig, out: Path) -> Configs:
    """The frozen settings of a study, but for that of random weights, each in a directory below ``out``."""
    there = config.model_copy(update={"out": out})
    task = TASKS[there.task]
    chosen = [run for run in plan(there) if run.trained == "frozen" and run.start != "scratch"]
    return {run: run_config(there, task, run) for run in chosen}


def one_by_one(configs: Configs) -> Scores:
    """All runs the slow way."""
    store = Store(shared=True)
    scores: dict[tuple[str, float, int], float] = {}
    for run, config in configs.items():
        assert isinstance(config, ClassifyConfig)
        scores[key(run)] = slowly(config, store)
    return scores


def as_a_study(config: StudyConfig, configs: Mapping[PlannedRun, RunConfig]) -> Scores:
    """All runs as a study does them."""
    results, left_out = run_all(config, TASKS[config.task], configs, Store(shared=True))
    assert not left_out, left_out
    return {key(run): result.score for run, result in zip(configs, results, strict=True)}


def key(run: PlannedRun) -> tuple[str, float, int]:
    """Setting, label fraction and seed of a run."""
    return run.setting, run.label_fraction, run.seed


def differences(ours: Scores, theirs: Scores) -> list[str]:
    """For each setting and share of the labels, mean accuracies over the seeds and the largest difference of one."""
    lines = []
    for setting, fraction in dict.fromkeys((each[0], each[1]) for each in ours):
        cells = [each for each in ours if each[:2] == (setting, fraction)]
        most = max(abs(ours[cell] - theirs[cell]) for cell in cells)
        means = [mean(scores[cell] for cell in cells) for scores in (ours, theirs)]
        lines.append(
            f"- {setting}, {fraction:.0%} of the labels: accuracy {means[0]:.4f}, the other way {means[1]:.4f}; "
            f"largest difference of a seed {most:.4f}."
        )
    return lines


def main() -> None:
    """Measure, compare the accuracies, and write the table."""
    known = parser(__doc__)
    known.add_argument("--data", default="demo:bluemarble:48", help="labelled images, as a study takes them")
    known.add_argument("--backbone", default=None, help="resnet18, quick test_resnet")
    known.add_argument("--size", type=int, default=48, help="side of the images in pixels")
    known.add_argument("--epochs", type=int, default=None, help="the recipe's, quick 3")
    known.add_argument("--seeds", type=int, default=3)
    asked = parsed(known)
    backbone = asked.backbone or ("test_resnet" if asked.quick else "resnet18")
    length = {"epochs": asked.epochs or 3, "min_steps": 0} if asked.quick or asked.epochs else {}
    torch.set_num_threads(asked.threads)
    scores: dict[str, Scores] = {}
    with tempfile.TemporaryDirectory() as beside:
        starts = write_starts(backbone, asked.size, Path(beside))
        config = StudyConfig(
            data=asked.data, starts=starts, trained=("frozen",), seeds=asked.seeds, backbone=backbone,
            image_size=asked.size, out=Path(beside) / "study", **length,
        )  # fmt: skip

        def fresh() -> Configs:
            return frozen_runs(config, Path(tempfile.mkdtemp(dir=beside)))

        def ours() -> None:
            scores["ours"] = as_a_study(config, fresh())

        def theirs() -> None:
            scores["theirs"] = one_by_one(fresh())

        found = measure_here({"ours": ours, "theirs": theirs}, asked.rounds, warm_ups=0)
    work = f"D + E, {asked.seeds} seeds, 2 fractions, {backbone} at {asked.size} px"
    row = Row(work, "the backbone run in every epoch", found["ours"], found["theirs"], 20.0, "s")
    settings = {"data": config.data, "epochs": asked.epochs or ("3" if asked.quick else "of the recipe")}
    publish("frozen_study", [row], asked, settings, differences(scores["ours"], scores["theirs"]))


if __name__ == "__main__":
    main()
