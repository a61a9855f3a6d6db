"""Where a program spends its time: a thread looks, every few milliseconds, at which function the main one is in."""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import CodeType, FrameType, TracebackType
from typing import Self

EVERY_SECONDS = 0.005
ELSE = "everything else"


class Sampler(threading.Thread):
    """Seconds of the thread that makes it, by place, from ``with`` or ``resume`` on; ``pause`` stops the counting.

    ``places``: label -> parts of "file::function". A moment belongs to the innermost function that has a label, and to
    the first label that fits it; a call into compiled code to the function that called.
    """

    def __init__(self, places: Mapping[str, Sequence[str]]) -> None:
        super().__init__(name="sampler", daemon=True)
        self.places, self.watched = places, threading.get_ident()
        self.seconds: dict[str, float] = defaultdict(float)
        self.known: dict[CodeType, str | None] = {}
        self.counting, self.ended = False, threading.Event()

    def __enter__(self) -> Self:
        self.start()
        self.resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.ended.set()
        self.join()

    def resume(self) -> None:
        """Count from now on."""
        self.counting = True

    def pause(self) -> None:
        """Count no more."""
        self.counting = False

    def run(self) -> None:
        """Look, until the end."""
        last = time.perf_counter()
        while not self.ended.wait(EVERY_SECONDS):
            now = time.perf_counter()
            if self.counting:
                self.seconds[self.place(sys._current_frames().get(self.watched))] += now - last
            last = now

    def place(self, frame: FrameType | None) -> str:
        """The label of the innermost function that has one."""
        while frame is not None:
            code = frame.f_code
            if code not in self.known:
                self.known[code] = self.label(f"{code.co_filename}::{code.co_qualname}")
            if label := self.known[code]:
                return label
            frame = frame.f_back
        return ELSE

    def label(self, function: str) -> str | None:
        """The first label that fits a function."""
        return next((name for name, parts in self.places.items() if any(part in function for part in parts)), None)
