"""Progress: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from types import TracebackType

logger = logging.getLogger(__name__)

LINE_SECONDS = 15.0


class Progress:
    """Reports the steps of one training; ``loss`` is shown beside them when it is known.

    ``noun`` is what a step is called, and ``units`` what ``batch_size`` of are done in one.
    """

    def __init__(
        self, steps: int, done: int, batch_size: int, shown: bool, noun: str = "step", units: str = "images"
    ) -> None:
        self.steps, self.begun_at, self.batch_size = steps, done, batch_size
        self.noun, self.units = noun, units
        self.shown = shown and logger.isEnabledFor(logging.INFO)
        self.on_terminal = sys.stderr.isatty()
        self.loss: float | None = None
        self.began = self.said = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.shown and self.on_terminal:
            sys.stderr.write("\n")

    def update(self, step: int) -> None:
        """Say where the training is, if it is time to."""
        now = time.monotonic()
        if not self.shown or (now - self.said < (0.2 if self.on_terminal else LINE_SECONDS) and step < self.steps):
            return
        self.said = now
        rate = (step - self.begun_at) / max(now - self.began, 1e-9)
        left = (self.steps - step) / max(rate, 1e-9)
        loss = "" if self.loss is None else f", loss {self.loss:.4f}"
        speed = rate * self.batch_size
        digits = 0 if speed >= 10 else 1
        text = f"{self.noun} {step}/{self.steps}{loss}, {speed:.{digits}f} {self.units}/s, {clock(left)} left"
        if self.on_terminal:
            filled = 24 * step // self.steps
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (24 - filled)}] {text}\033[K")
            sys.stderr.flush()
        else:
            logger.info("%s", text)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
