"""Watching pre-training: what the features are worth while they are being learned."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from headstart.analysis.features import features_of
from headstart.analysis.probes import Hits, effective_rank, feature_std, gain_error, mean_gain_error, share_of
from headstart.analysis.view_probes import alignment, retrieval_of, uniformity
from headstart.configs.byol import WatchConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.data.imageset import ImageSet
from headstart.data.seeds import derive
from headstart.data.views import View, plain_view
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.results import EarlyWord, LookFigures
from headstart.tasks.pretrain.early_rule import Ground
from headstart.tasks.pretrain.early_word import compared_with_end, early_word
from headstart.tasks.pretrain.watched import Watched, choose_watched
from headstart.training.health import collapsed, diverged, judge_collapse, stopped_early
from headstart.training.loop import Look
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)

Figures = dict[str, float]


@dataclass(frozen=True)
class Measured:
    """Figures by name; and, image by image, what two of them are means of, to compare looks by.

    ``retrieval`` is float (p,), in [0, 1]; ``hits`` is bool (n,), the images that kNN puts into their class, or None.
    """

    figures: Figures
    retrieval: NDArray[np.float64]
    hits: Hits | None


@dataclass(frozen=True)
class Watch:
    """What is looked at, and what was found before the first step, with which every look is compared."""

    config: WatchConfig
    fabric: Fabric
    watched: Watched
    before: Measured
    ground: Ground

    def look(self, state: TrainState, of_steps: int | None = None) -> Look:
        """Measure, say it, and judge: stop when features are no numbers, or have collapsed (unless only to warn).

        ``of_steps``, the length of the training, makes this the look that the early word is said on.
        """
        assert isinstance(state.module, Byol)
        measured = self.figures(state.module)
        logger.info("step %d: %s", state.step, ", ".join(f"{name} {value:.3f}" for name, value in measured.items()))
        word = None if of_steps is None else self.say(measured, state.step, of_steps)
        if not all(math.isfinite(value) for value in measured.values()):
            return Look({"watch": measured}, stop=diverged())
        spread = measured["feature_std"], measured["projection_std"]
        down = collapsed(*spread)
        state.memory["collapsed_looks"] = looks = state.memory.get("collapsed_looks", 0) + 1 if down else 0
        stop = judge_collapse(looks, *spread) if self.config.on_collapse == "stop" else None
        if word is not None and word.verdict == "stop" and self.config.stop_early and stop is None:
            # Neither good nor best: what is kept is from before it became worse, as at a collapse.
            return Look({"watch": measured}, stop=stopped_early())
        return Look({"watch": measured}, score=measured.get("knn"), healthy=not down, stop=stop)

    def figures(self, byol: Byol) -> Figures:
        """What a look finds, with the standard errors of what was gained since before the first step."""
        before, now = self.before, measure(byol, self.watched, self.fabric)
        errors = {"retrieval_gain_se": mean_gain_error(before.retrieval, now.retrieval)}
        if "knn" in now.figures:
            errors["knn_gain_se"] = gain_error(before.hits, now.hits)
        return now.figures | errors

    def say(self, measured: Figures, step: int, steps: int) -> EarlyWord:
        """The early word, into the log."""
        word = early_word(self.ground, as_record(measured), step, steps)
        level = logging.INFO if word.verdict == "go on" else logging.WARNING
        logger.log(level, "Early word: %s. %s", word.verdict, word.sentence)
        return word

    def word_in(self, looks: Mapping[int, Figures], step: int, steps: int) -> EarlyWord | None:
        """The early word, from the ``looks`` that the log holds by step; the last of them says whether it was right.

        Words are made of the log alone, so that an interrupted run has the same word. None where there was no look
        after ``step``, or that was the end.
        """
        if step not in looks or step >= steps:
            return None
        word, last = early_word(self.ground, as_record(looks[step]), step, steps), max(looks)
        return compared_with_end(word, as_record(looks[last]), last) if last > step else word


def measure(byol: Byol, watched: Watched, fabric: Fabric) -> Measured:
    """Spread, effective rank and uniformity of the features of plain images, alignment and retrieval of those of two
    views, spread of the projections, and kNN accuracy where labels are. All with the network frozen.
    """
    was_training = byol.training
    byol.eval()
    backbone = byol.backbone
    features = features_of(backbone, watched.images, fabric)
    first, second = (features_of(backbone, views, fabric) for views in watched.pairs.unbind(1))
    with torch.no_grad(), fabric.autocast():
        projected = byol.online[1:](torch.from_numpy(features).to(fabric.device)).float().cpu().numpy()
    retrieval = retrieval_of(first, second)
    figures = {
        "feature_std": feature_std(features),
        "effective_rank": effective_rank(features),
        "projection_std": feature_std(projected),
        "alignment": alignment(first, second),
        "uniformity": uniformity(features),
        "retrieval": float(np.mean(retrieval)),
    }
    hits = None
    if watched.labels is not None:
        val = None if watched.val is None else features_of(backbone, watched.val[0], fabric)
        hits = watched.knn(features, val)
        figures["knn"] = share_of(hits)
    byol.train(was_training)
    return Measured(figures, retrieval, hits)


def make_watch(
    config: PretrainConfig, sides: tuple[ImageSet, ImageSet | None], views: Sequence[View], byol: Byol, fabric: Fabric
) -> Watch:
    """A watch over images of both ``sides`` of the split, with a first look at ``byol`` as it is before training."""
    byol = byol.to(fabric.device)
    plain = plain_view(config.views, config.image_size, byol.backbone.mean, byol.backbone.std)
    watched = choose_watched(config.watch.images, *sides, plain, views, config.seed)
    before = measure(byol, watched, fabric)
    from_scratch = config.start == "scratch" and config.init_from is None
    ground = Ground(
        before=as_record(before.figures),
        n_knn=watched.n_knn,
        n_pairs=len(watched.pairs),
        floors=knn_floors(config, watched, before, from_scratch, fabric),
        from_scratch=from_scratch,
    )
    return Watch(config.watch, fabric, watched, before, ground)


def knn_floors(
    config: PretrainConfig, watched: Watched, before: Measured, from_scratch: bool, fabric: Fabric
) -> Figures:
    """kNN accuracy without any training, of raw pixels and of random weights; nothing without labels."""
    if watched.labels is None:
        return {}
    floors = {"pixels": share_of(watched.knn_of_pixels())}
    if from_scratch:
        return floors | {"untrained": before.figures["knn"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "untrained"))
        untrained = build_backbone(config.backbone, config.image_size).to(fabric.device).eval()
    return floors | {"untrained": share_of(watched.knn_of(untrained, fabric))}


def as_record(figures: Mapping[str, float]) -> LookFigures:
    """The figures of a look as part of a result; what is no finite number is left out."""
    return LookFigures(
        **{name: figures[name] for name in LookFigures.model_fields if math.isfinite(figures.get(name, math.nan))}
    )
