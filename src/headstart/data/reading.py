"""Batches read from files by loader processes, under watch: a file that cannot be read, a process that dies and one
that is stuck each end in one error that names the file.
"""

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from headstart.allocator import give_back_freed_memory
from headstart.data.decode import DecodeError
from headstart.data.threads import PATIENCE_SECONDS, does_not_come
from headstart.data.worker_signals import outlive_signals
from headstart.errors import DataError, HeadstartError, MachineError

Item = tuple[int, int]
"""(epoch, index)"""

LOOK_EVERY_SECONDS = 2.0
"""How long a death or a file that does not come may go unnoticed."""
SETTLING_SECONDS = 0.5
"""From the first sign that a process is dying to its end."""
IDLE = -1.0
DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)")
"""How PyTorch says that a loader process ended by itself or was killed."""
TIMED_OUT = "DataLoader timed out"
KEPT = "What was checkpointed is kept; go on with --resume."


class Items(Protocol):
    """A dataset of what lies in files."""

    def read(self, item: Item) -> Any:
        """What a batch is made of: an item's files, read, under watch."""

    def batch(self, found: Sequence[Any]) -> Any:
        """The batch of what was read, tensors in a list."""

    def file_of(self, index: int) -> str:
        """The file or files of an item, in words."""


@dataclass(frozen=True)
class Failure:
    """What a loader process hands over in place of a batch. An exception raised there would arrive as another one."""

    error: HeadstartError


class Watched(Dataset[Any]):
    """The items of a dataset; each loader process notes which one it is at, since when, where all processes see it."""

    def __init__(self, items: Items, workers: int, patience: float) -> None:
        self.items, self.patience = items, patience
        self.desk = torch.full((workers, 3), IDLE, dtype=torch.float64).share_memory_()
        """A row for each loader process: its id, the index it is at, and since when (monotonic seconds)."""

    def __getitems__(self, items: Sequence[Item]) -> Any:
        """The batch of ``items``, or the Failure of the first that cannot be had."""
        info = get_worker_info()
        found = []
        for item in items:
            if info is not None:
                self.desk[info.id] = torch.tensor([os.getpid(), item[1], time.monotonic()], dtype=torch.float64)
            try:
                with alarm(self.patience if info is None else None):
                    found.append(self.items.read(item))
            except _Overdue:
                return Failure(self.stuck(item[1]))
            except DecodeError as error:
                return Failure(broken_since(error))
            except HeadstartError as error:
                return Failure(error)
        if info is not None:
            self.desk[info.id, 1] = IDLE
        return self.items.batch(found)

    def overdue(self) -> MachineError | None:
        """The error of the loader process that has been at one file for too long, if one has."""
        for _, index, since in self.desk.tolist():
            if index != IDLE and time.monotonic() - since > self.patience:
                return self.stuck(int(index))
        return None

    def stuck(self, index: int) -> MachineError:
        """Why loading ends when a file does not come."""
        return MachineError(f"{does_not_come(self.items.file_of(index), self.patience)} {KEPT}")

    def dead_since(self, error: Exception) -> list[int]:
        """The ids of the loader processes that ended by themselves, after an error that this may have caused."""
        told = DEAD.search(str(error))
        if told:
            return [int(pid) for pid in told[1].split(",")]
        if isinstance(error, RuntimeError):
            return []
        time.sleep(SETTLING_SECONDS)
        alive = {process.pid for process in multiprocessing.active_children()}
        return [int(pid) for pid in self.desk[:, 0].tolist() if pid != IDLE and int(pid) not in alive]

    def died(self, pids: Sequence[int]) -> MachineError:
        """Why loading ends when loader processes are no longer there."""
        at = [int(index) for pid, index, _ in self.desk.tolist() if int(pid) in pids and index != IDLE]
        files = " and ".join(self.items.file_of(index) for index in at)
        where = f"while it read {files}" if files else "between two files"
        return MachineError(
            f"A loader process (pid {', '.join(map(str, pids))}) died {where}: it was killed, as by a machine short of "
            f"memory, or crashed on the file. Look at that file; with --workers 0 no loader process is needed. {KEPT}"
        )


class WatchedBatches:
    """What a DataLoader of ``Watched`` items gives, its failures raised as errors."""

    def __init__(self, loader: DataLoader[Any], items: Watched) -> None:
        self.loader, self.items = loader, items

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        if self.loader.num_workers:
            give_back_freed_memory()
        with _deaths_told_by_looking():
            batches = iter(self.loader)
        while (batch := self._next(batches)) is not None:
            if isinstance(batch, Failure):
                raise batch.error
            yield batch

    def _next(self, batches: Iterator[Any]) -> Any:
        while True:
            try:
                return next(batches, None)
            except (RuntimeError, OSError, EOFError) as error:  # the latter two from a pipe whose other end died
                overdue = self.items.overdue()
                if overdue:
                    raise overdue from None
                if str(error).startswith(TIMED_OUT):
                    continue
                dead = self.items.dead_since(error)
                if not dead:
                    raise
                raise self.items.died(dead) from None


@contextmanager
def _deaths_told_by_looking() -> Iterator[None]:
    """Take back the handler of SIGCHLD that PyTorch sets with a loader's first processes: it raises wherever the
    program is, amid a training step or while the death itself is being handled. The loader looks whether they live.
    """
    before = signal.getsignal(signal.SIGCHLD)
    yield
    if signal.getsignal(signal.SIGCHLD) is not before:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def file_batches(
    items: Items, batches: Iterable[list[Item]], workers: int, patience: float = PATIENCE_SECONDS, ahead: int = 2
) -> WatchedBatches:
    """The batches of ``items``, read by ``workers`` processes, each of them ``ahead`` batches in advance.

    Iterating raises DataError when a file cannot be read, MachineError when a loader process died, or was at one file
    for more than ``patience`` seconds.
    """
    watched = Watched(items, workers, patience)
    loader = DataLoader(
        watched,
        batch_sampler=batches,
        num_workers=workers,
        prefetch_factor=ahead if workers else None,
        timeout=min(patience, LOOK_EVERY_SECONDS) if workers else 0,
        pin_memory=torch.cuda.is_available(),
        collate_fn=_as_it_is,
        worker_init_fn=outlive_signals,
    )
    return WatchedBatches(loader, watched)


def broken_since(error: DecodeError) -> DataError:
    """A file that was sound when the images were checked: the rule is to stop, not to train on other images."""
    return DataError(
        f"{error}. It could be read when the images were checked. Put it back as it was and go on with --resume, or "
        "begin anew without it."
    )


def _as_it_is(batch: Any) -> Any:
    return batch


class _Overdue(BaseException):
    """The alarm rang; no ``except Exception`` on the way may take it for a damaged file."""


@contextmanager
def alarm(seconds: float | None) -> Iterator[None]:
    """Interrupt what runs within after ``seconds`` (None: never), where there are such signals and this is the main
    thread. A timer that runs already goes on afterwards.
    """
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(_: int, __: FrameType | None) -> None:
        raise _Overdue

    before, began = signal.signal(signal.SIGALRM, ring), time.monotonic()
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3) if left else 0)
        signal.signal(signal.SIGALRM, before)
