"""Files read by threads, in order, under watch: one that does not come ends in an error that names it."""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, Literal, TypeVar

from headstart.errors import MachineError

A = TypeVar("A")
B = TypeVar("B")

PATIENCE_SECONDS = 300.0
"""How long reading one file may take, unless told otherwise."""
MOST_THREADS = 8
AHEAD = 16
"""How many items beyond the number of threads are begun before the first is taken."""


def reader_threads(workers: int | Literal["auto"]) -> int:
    """Threads that read files before a training, while nothing else runs: as asked, or one for each core up to 8."""
    return min(MOST_THREADS, os.cpu_count() or 1) if workers == "auto" else workers


class _Pool(Generic[A, B]):
    """Threads that die with the process: those of ``concurrent.futures`` would keep a process from ending whose file
    does not come.
    """

    def __init__(self, read: Callable[[A], B], threads: int) -> None:
        self.read = read
        self.orders: queue.SimpleQueue[tuple[A, Future[B]] | None] = queue.SimpleQueue()
        self.began: dict[Future[B], float] = {}
        self.threads = [threading.Thread(target=self._work, name="reader", daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def order(self, item: A) -> Future[B]:
        future: Future[B] = Future()
        self.orders.put((item, future))
        return future

    def _work(self) -> None:
        while (order := self.orders.get()) is not None:
            item, future = order
            if not future.set_running_or_notify_cancel():
                continue
            self.began[future] = time.monotonic()
            try:
                future.set_result(self.read(item))
            except BaseException as error:
                future.set_exception(error)

    def wait(self, future: Future[B], patience: float) -> bool:
        """Whether it ends; False once it has run for more than ``patience`` seconds."""
        while not future.done():
            waited = time.monotonic() - self.began.get(future, time.monotonic())
            if waited > patience:
                return False
            try:
                future.exception(timeout=max(0.01, min(patience - waited, 1.0)))
            except TimeoutError:
                continue
        self.began.pop(future, None)
        return True

    def leave(self, join: bool) -> None:
        """Let the threads end after what they are at; ``join``: wait for that."""
        for _ in self.threads:
            self.orders.put(None)
        for thread in self.threads if join else ():
            thread.join()


def read_in_threads(
    read: Callable[[A], B],
    items: Iterable[A],
    threads: int,
    patience: float = PATIENCE_SECONDS,
    ahead: int = AHEAD,
    named: Callable[[A], object] = str,
) -> Iterator[tuple[A, Future[B]]]:
    """Each item, in order, with the ended future of ``read(item)``, whose ``result()`` is the value, or raises what
    ``read`` raised. ``threads`` (at least one) read, up to ``threads + ahead`` items before they are asked for.

    MachineError, with the item as ``named``, where reading it takes more than ``patience`` seconds.
    """
    pool = _Pool(read, max(1, threads))
    waiting: deque[tuple[A, Future[B]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.order(item)))
            if len(waiting) > len(pool.threads) + ahead:
                yield _ended(pool, *waiting.popleft(), patience, named)
        while waiting:
            yield _ended(pool, *waiting.popleft(), patience, named)
        pool.leave(join=True)
    finally:
        for _, future in waiting:
            future.cancel()
        pool.leave(join=False)


def _ended(
    pool: _Pool[A, B], item: A, future: Future[B], patience: float, named: Callable[[A], object]
) -> tuple[A, Future[B]]:
    if not pool.wait(future, patience):
        raise does_not_come(str(named(item)), patience)
    return item, future


def does_not_come(file: str, patience: float) -> MachineError:
    """Why reading ends when a file does not come."""
    return MachineError(
        f"Reading {file} has not ended after {patience:g} s. Does its disk or network share answer? Mend that; where "
        "files take so long, raise --file-seconds."
    )
