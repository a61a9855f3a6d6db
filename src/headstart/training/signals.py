"""Asked to stop: SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 (a scheduler's warning) end a command in order.

A training finishes its step and writes a checkpoint first; anything else is left where it is, because every file is
written beside its place and renamed. A second SIGINT leaves at once. Only the command line listens; a program that
calls ``pretrain`` keeps its own handlers.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from headstart.errors import StopRequested

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LEAVES_WITHIN_SECONDS = 8.0
"""How long a command that has nothing to save may take to come back from where it is."""
ECHO_SECONDS = 2.0
"""A launcher passes on a Ctrl-C that its processes have had already: so soon, it is not a second one."""


class StopSignals:
    """What was asked for, and whether this is a moment to obey."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self.asked_at = 0.0
        self.deferring = False
        self.saves_first = False
        self.timer: threading.Timer | None = None

    @contextmanager
    def listen(self, launched: bool = False, speaks: bool = True) -> Iterator[None]:
        """Handle the signals within the context. ``launched``: a launcher started this process with others;
        ``speaks``: it is the one that talks to the user. Does nothing outside of the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, _: FrameType | None) -> None:
            self.handle(signal.Signals(number), launched, speaks)

        before = {each: signal.signal(each, handle) for each in STOP_SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
            if self.timer is not None:
                self.timer.cancel()
            self.asked, self.timer = None, None

    def handle(self, asked: signal.Signals, launched: bool, speaks: bool) -> None:
        """Note what is asked for, and obey where nothing would be lost."""
        now = time.monotonic()
        if self.asked is not None:
            if asked == signal.SIGINT and not (launched and now - self.asked_at < ECHO_SECONDS):
                os._exit(StopRequested(asked.name).exit_code)
            return
        self.asked, self.asked_at = asked, now
        if self.deferring:
            if speaks:
                tell(f"\n{asked.name}: finishing this step, then saving. Ctrl-C leaves at once.\n")
            return
        self.obey()

    def obey(self) -> None:
        """Raise StopRequested if a stop was asked for; leave anyway where that does not get through in time."""
        if self.asked is None:
            return
        request = StopRequested(self.asked.name)
        if self.timer is None and not self.saves_first:
            self.timer = threading.Timer(LEAVES_WITHIN_SECONDS, os._exit, [request.exit_code])
            self.timer.daemon = True
            self.timer.start()
        raise request

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within the context a signal is only noted (``asked``), so that there is time to save; at the end it is
        obeyed. One such context does not lie in another.
        """
        self.deferring = self.saves_first = True
        try:
            yield
        finally:
            self.deferring = self.saves_first = False
        self.obey()

    @contextmanager
    def obeyed(self, here: bool = True) -> Iterator[None]:
        """Within the context, inside a deferred one, a signal is obeyed at once; unless ``here`` is false."""
        before, self.deferring = self.deferring, self.deferring and not here
        try:
            if here:
                self.obey()
            yield
        finally:
            self.deferring = before


def tell(text: str) -> None:
    """Write to standard error from within a handler, where a logger could be half-way through a line."""
    try:
        os.write(sys.stderr.fileno(), text.encode())
    except (OSError, ValueError):  # closed, or a stream that has no file
        return


STOP = StopSignals()
"""A process has one set of signal handlers, and so one of these."""
