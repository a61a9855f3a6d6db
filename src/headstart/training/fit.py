"""From a task and a module to trained weights: length, optimiser, resume, loop. All that trains comes through here."""

import copy
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from headstart.data.loaders import Batching
from headstart.errors import TrainingStopped
from headstart.models.distributed_norm import synchronise_batch_norm
from headstart.training.budget import TIMED_STEPS, TRIAL_SHARE, UNTIMED_STEPS, epochs_in, seconds_per_step
from headstart.training.checkpoint import load_checkpoint
from headstart.training.loop import Batch, Plan, Task, train
from headstart.training.optim import build_optimizer, full_rate
from headstart.training.rundir import read_config, write_config
from headstart.training.saver import Saver
from headstart.training.session import Session
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What to train. ``batches_of`` gives the micro-batches of a range of steps on this process; ``task_of`` the task
    for a plan, whose length may have come from a time budget. ``min_steps`` stretches short trainings. ``lr_scale``
    gives the learning rate of a parameter, by its name in ``module``, as a multiple of the schedule's.
    """

    module: nn.Module
    n_images: int
    task_of: Callable[[Plan], Task]
    batches_of: Callable[[Batching, range], Iterable[Batch]]
    min_steps: int = 0
    lr_scale: Callable[[str], float] = full_rate


@dataclass(frozen=True)
class Fitted:
    """What training came to. ``stopped`` says why it ended early; ``state`` is then the last good checkpoint's."""

    state: TrainState
    plan: Plan
    stopped: TrainingStopped | None


def fit(session: Session, job: Job) -> Fitted:
    """Train for the config's length, from the checkpoint where there is one; config.json is written before."""
    config, fabric, run = session.config, session.fabric, session.run
    batching = Batching(job.n_images, config.batch_size, config.accumulate * fabric.world_size)
    module = synchronise_batch_norm(job.module) if fabric.world_size > 1 else job.module
    plan = make_plan(session, job, batching, choose_epochs(session, job, batching, module))
    if session.first:
        resolved = {"epochs": plan.epochs, "steps": plan.steps, "precision": session.precision}
        write_config(run.root, config, session.verb, resolved=resolved)
    state = make_state(session, job, module, batching)
    if run.resumed and run.checkpoint.is_file():
        state.load_state_dict(load_checkpoint(run.checkpoint))
        logger.info("Resuming after step %d of %d.", state.step, plan.steps)
    task, batches = job.task_of(plan), job.batches_of(batching, range(state.step, plan.steps))
    saver = Saver(run, config, fabric)
    try:
        train(task, state, plan, batches, saver)
    except TrainingStopped as stopped:
        logger.warning("%s", stopped)
        state.load_state_dict(load_checkpoint(run.good))
        saver.save(state)
        return Fitted(state, plan, stopped)
    return Fitted(state, plan, None)


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
        accumulate=config.accumulate,
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
    batches = job.batches_of(batching, range(UNTIMED_STEPS + TIMED_STEPS))
    state = make_state(session, job, copy.deepcopy(module), batching)
    allowed = TRIAL_SHARE * 60 * config.budget_minutes
    seconds = fabric.broadcast(seconds_per_step(job.task_of(trial), state, trial, batches, fabric, allowed))
    return epochs_in(config.budget_minutes, seconds, batching.steps_per_epoch)
