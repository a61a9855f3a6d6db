"""One arm at one length: pre-trained, or named with the reason why not."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.learning.arms import ARMS, Arm, obstacle
from benchmarks.learning.conditions import clocked, read_json
from benchmarks.learning.config import Shape

from headstart import PretrainConfig, PretrainResult, pretrain
from headstart.errors import HeadstartError


@dataclass(frozen=True)
class Trial:
    """An arm that was tried for ``minutes`` (None: it takes no pre-training). ``start`` is what a study takes, None
    where there is nothing to take, and ``skipped`` says why; ``facts`` are those of the pre-training.
    """

    arm: str
    minutes: float | None
    start: str | None
    skipped: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique within a data set; also the name of the run's folder, and so in the study's tables."""
        return trial_name(self.arm, self.minutes)


def trial_name(arm: str, minutes: float | None) -> str:
    """``ssl-20min``, or the arm alone."""
    return arm if minutes is None else f"{arm}-{minutes:g}min"


def try_arm(name: str, shape: Shape, minutes: tuple[float, ...], folder: Path) -> list[Trial]:
    """The trials of an arm, pre-trained in ``folder``; finished ones are not repeated."""
    arm = ARMS[name]
    reason = obstacle(arm, shape.backbone)
    if arm.pretrainer == "none":
        return [Trial(name, None, None if reason else arm.kind, reason)]
    if reason:
        return [Trial(name, length, None, reason) for length in minutes]
    return [pretrain_arm(name, arm, shape, length, folder) for length in minutes]


def pretrain_arm(name: str, arm: Arm, shape: Shape, minutes: float, folder: Path) -> Trial:
    """Pre-train an arm for ``minutes``; a mistake that the user can mend becomes the reason to skip it."""
    out = folder / trial_name(name, minutes)
    note = folder / f"{out.name}.seconds.json"
    finished = (out / "result.json").is_file() and note.is_file()

    def work() -> dict[str, Any]:
        return (
            lightly_facts(shape, minutes, out) if arm.pretrainer == "lightly" else own_facts(arm, shape, minutes, out)
        )

    if arm.pretrainer == "lightly" and not finished:
        note.unlink(missing_ok=True)  # what an interrupted one learned is lost, so its time does not count
    try:
        facts = work() if finished else clocked(note, work)
    except HeadstartError as error:
        return Trial(name, minutes, None, str(error))
    facts |= read_json(note)
    if arm.pretrainer == "lightly":
        if facts["status"] != "finished":
            return Trial(name, minutes, None, f"the training {facts['status']}", facts)
        return Trial(name, minutes, f"supervised={(out / f'{out.name}.safetensors').resolve()}", None, facts)
    return Trial(name, minutes, f"{arm.kind}={out.resolve()}", None, facts)


def lightly_facts(shape: Shape, minutes: float, out: Path) -> dict[str, Any]:
    """Pre-train by lightly's loop."""
    from benchmarks.learning.lightly_byol import pretrain_lightly

    return pretrain_lightly(shape, minutes, out)


def own_facts(arm: Arm, shape: Shape, minutes: float, out: Path) -> dict[str, Any]:
    """Pre-train by headstart; an interrupted run goes on."""
    return facts_of(pretrain(pretrain_config(shape, minutes, out, **arm.settings())))


def pretrain_config(shape: Shape, minutes: float | None, out: Path, **settings: Any) -> PretrainConfig:
    """What headstart's pre-training is told; ``settings`` name the recipe and what else makes an arm different, and win
    over the shape. Without ``minutes`` the length is the number of epochs.
    """
    common: dict[str, Any] = {
        "data": shape.data,
        "out": out,
        "backbone": shape.backbone,
        "image_size": shape.image_size,
        "seed": shape.seed,
        "budget_minutes": minutes,
        "resume": True,
    }
    return PretrainConfig(**common | settings)


def facts_of(result: PretrainResult) -> dict[str, Any]:
    """What the bench keeps of a pre-training's result; ``early_word`` is None where the product gives none."""
    wanted = ("status", "reason", "recipe", "start", "n_images", "epochs", "steps", "batch_size", "image_size")
    measured = ("loss_first", "loss_last", "feature_std", "effective_rank", "knn", "knn_before", "early_word")
    told = result.model_dump(mode="json")
    return {key: told.get(key) for key in (*wanted, *measured, "precision", "seconds", "images_per_second")}
