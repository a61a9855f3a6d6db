"""From a task and a module to trained weights: length, optimiser, resume, loop. All that trains comes through here."""

import copy
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headstart.data.loaders import Batching
from headstart.errors import DataError, TrainingStopped
from headstart.models.distributed_norm import synchronise_batch_norm
from headstart.training.budget import MOST_TIMED, UNTIMED_STEPS, epochs_in, seconds_per_step
from headstart.training.checkpoint import DamagedCheckpointError, load_checkpoint, load_soundest, set_aside
from headstart.training.loop import Batch, Plan, Task, optimise, train
from headstart.training.memory import images_that_fit, meter_of, shortage_explained
from headstart.training.optim import build_optimizer, full_rate
from headstart.training.rundir import read_config, write_config
from headstart.training.saver import Saver
from headstart.training.session import Session
from headstart.training.signals import STOP
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)

LONE_VALUE = re.compile("more than (1|one) value (per|a) channel")
"""How torch's batch norm and ``models.distributed_norm`` refuse a batch of one."""


@dataclass(frozen=True)
class Job:
    """What to train. ``batches_of`` gives the micro-batches of a range of steps on this process; ``task_of`` the task
    for a plan, whose length may have come from a time budget. ``min_steps`` stretches short trainings. ``lr_scale``
    gives the learning rate of a parameter, by its name in ``module``, as a multiple of the schedule's. ``judged``: the
    task's looks say which model is ``healthy``, and a training that is stopped goes back to the last of these; without,
    to the last checkpoint, whose numbers are finite.
    """

    module: nn.Module
    n_images: int
    task_of: Callable[[Plan], Task]
    batches_of: Callable[[Batching, range], Iterable[Batch]]
    min_steps: int = 0
    lr_scale: Callable[[str], float] = full_rate
    judged: bool = False


@dataclass(frozen=True)
class Fitted:
    """What training came to. ``stopped`` says why it ended early; ``state`` is then the last good checkpoint's."""

    state: TrainState
    plan: Plan
    stopped: TrainingStopped | None


def fit(session: Session, job: Job) -> Fitted:
    """Train for the config's length, from the checkpoint where there is one; config.json is written before."""
    config, fabric, run = session.config, session.fabric, session.run
    batching = Batching(job.n_images, config.batch_size, fabric.world_size)
    module = synchronise_batch_norm(job.module) if fabric.world_size > 1 else job.module
    with shortage_explained(config, batching, meter_of(fabric.device)):
        batching = replace(batching, parts=choose_accumulate(session, job, module) * fabric.world_size)
    with troubles_explained(session, batching):
        plan = make_plan(session, job, batching, choose_epochs(session, job, batching, module))
    if session.first:
        write_plan(session, plan)
    state = make_state(session, job, module, batching)
    if run.resumed:
        take_up(session, state, plan)
    task, batches = job.task_of(plan), job.batches_of(batching, range(state.step, plan.steps))
    saver = Saver(run, config, fabric, job.judged)
    with STOP.deferred():
        try:
            with troubles_explained(session, batching):
                train(task, state, plan, batches, saver)
        except TrainingStopped as stopped:
            logger.warning("%s", stopped)
            go_back(state, saver)
            return Fitted(state, plan, stopped)
    return Fitted(state, plan, None)


def write_plan(session: Session, plan: Plan) -> None:
    """Write config.json, with what the settings that leave something open came to."""
    resolved = {
        "epochs": plan.epochs,
        "steps": plan.steps,
        "precision": session.precision,
        "processes": session.fabric.world_size,
        "accumulate": plan.accumulate,
    }
    write_config(session.run.root, session.config, session.verb, resolved=resolved)


@contextmanager
def troubles_explained(session: Session, batching: Batching) -> Iterator[None]:
    """What a batch can fail of that a setting mends, said with that setting."""
    with (
        lone_images_explained(session, batching),
        shortage_explained(session.config, batching, meter_of(session.fabric.device)),
    ):
        yield


@contextmanager
def lone_images_explained(session: Session, batching: Batching) -> Iterator[None]:
    """DataError with the remedy where batch norm is given a single value to normalise by itself."""
    try:
        yield
    except ValueError as error:
        if not LONE_VALUE.search(str(error)):
            raise
        config = session.config
        raise DataError(
            f"Batch norm needs two images at a time, and has one: {config.data} gives {batching.n} training images, a "
            f"step sees {batching.size} of them in {batching.parts} parts (--accumulate x processes). Give it more "
            "images, or lower --accumulate."
        ) from error


def take_up(session: Session, state: TrainState, plan: Plan) -> None:
    """Load the newest sound checkpoint of an interrupted run, where there is one. Damaged ones are set aside; a run
    that has only such begins anew, and so comes to the same result. What a kill left half-written is removed.
    """
    run, fabric = session.run, session.fabric
    found: Path | None = None
    known: dict[str, Any] | None = None
    for half in run.root.rglob("*.part") if session.first else ():
        half.unlink(missing_ok=True)
    if session.first and any(path.is_file() for path in run.to_go_on_from):
        try:
            known, found = load_soundest(run.to_go_on_from)
        except DamagedCheckpointError as damage:
            logger.warning("%s The training begins anew.", damage)
        set_aside(run.to_go_on_from[: run.to_go_on_from.index(found)] if found else run.to_go_on_from)
    found = fabric.broadcast(found)
    if found is not None:
        state.load_state_dict(known or load_checkpoint(found))
        logger.info("Resuming after step %d of %d.", state.step, plan.steps)


def go_back(state: TrainState, saver: Saver) -> None:
    """Load the last good model, which then is the last checkpoint, too; the best one where the good one is damaged."""
    run = saver.run
    state.load_state_dict(load_soundest((run.good, run.best) if saver.keeps_good else run.to_go_on_from)[0])
    if saver.keeps_good:
        saver.save(state)


def make_plan(session: Session, job: Job, batching: Batching, epochs: int) -> Plan:
    """The plan of ``epochs``, or of as many as ``job.min_steps`` take."""
    config, per_epoch = session.config, batching.steps_per_epoch
    needed = -(-job.min_steps // per_epoch)
    if needed > epochs:
        logger.info(
            "%d epochs are %d steps; trained for %d epochs to make %d.",
            epochs,
            epochs * per_epoch,
            needed,
            job.min_steps,
        )
        epochs = needed
    return Plan(
        steps=epochs * per_epoch,
        steps_per_epoch=per_epoch,
        batch_size=batching.size,
        accumulate=batching.parts // session.fabric.world_size,
        seed=config.seed,
        optim=config.optim,
        schedule=config.schedule,
    )


def make_state(session: Session, job: Job, module: nn.Module, batching: Batching) -> TrainState:
    """Module and a fresh optimiser, on the device. ``module`` is the job's, or has its parameters by the same names."""
    module = module.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(module, session.config.optim, batching.size, job.lr_scale)
    model, ready = session.fabric.setup(module, optimizer)
    return TrainState(module, model, ready)


def choose_accumulate(session: Session, job: Job, module: nn.Module) -> int:
    """The config's parts of a batch; or, where it says auto, as few as fit into memory, by trial steps on a throw-away
    copy. A resumed run keeps the number that was chosen when it began.
    """
    config, fabric = session.config, session.fabric
    if config.accumulate != "auto":
        return config.accumulate
    known = read_config(session.run.root).get("resolved", {}) if session.run.resumed else {}
    if "accumulate" in known:
        return int(known["accumulate"])
    whole = Batching(job.n_images, config.batch_size, fabric.world_size)
    share = whole.size // fabric.world_size
    state = make_state(session, job, copy.deepcopy(module), whole)

    def step(images: int) -> None:
        batching = replace(whole, parts=share // images * fabric.world_size)
        plan = replace(make_plan(session, job, batching, config.epochs), accumulate=1)
        task, batch = job.task_of(plan), next(iter(job.batches_of(batching, range(1))))
        optimise(task, state, plan, [batch], fabric)
        task.after_step(state.module, 0)

    def agreed(fits: bool) -> bool:
        votes = torch.tensor(float(fits), device=fabric.device)
        return float(fabric.all_reduce(votes, reduce_op="mean")) == 1  # type: ignore[arg-type]

    return share // images_that_fit(share, step, meter_of(fabric.device), agreed)


def choose_epochs(session: Session, job: Job, batching: Batching, module: nn.Module) -> int:
    """The config's epochs; or, with a time budget, those that fit into it by a timed trial on a throw-away copy.

    A resumed run keeps the number that was chosen when it began.
    """
    config, fabric = session.config, session.fabric
    if config.budget_minutes is None:
        return config.epochs
    if session.run.resumed:
        return int(read_config(session.run.root)["resolved"]["epochs"])
    trial = make_plan(session, job, batching, config.epochs)
    batches = job.batches_of(batching, range(UNTIMED_STEPS + MOST_TIMED))
    state = make_state(session, job, copy.deepcopy(module), batching)
    minutes = config.budget_minutes
    seconds = fabric.broadcast(seconds_per_step(job.task_of(trial), state, trial, batches, fabric, minutes))
    return epochs_in(minutes, seconds, batching.steps_per_epoch)
