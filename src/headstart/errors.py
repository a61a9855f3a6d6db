"""Exceptions that name the remedy. The command line prints their text and exits with their code."""

from typing import ClassVar, Literal


class HeadstartError(Exception):
    """Base of all errors a user can mend; ``exit_code`` is what the command line returns."""

    exit_code = 1


class ConfigError(HeadstartError):
    """A setting is unknown, of a wrong type, or impossible together with another one.

    ``problems`` holds one line for each mistake, so that all of them can be mended at once.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DataError(HeadstartError):
    """The source cannot be read as images, or lacks what the task needs (labels, a second class)."""

    exit_code = 2


class WeightsError(HeadstartError):
    """A weights file does not fit the backbone, or needs more than plain tensors to load."""

    exit_code = 2


class MissingExtraError(HeadstartError):
    """An optional dependency is absent; the text gives the ``pip install`` line."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. Install it with: pip install 'headstart[{extra}]'")


class RunError(HeadstartError):
    """A run directory is in the way, is incomplete, or belongs to another task or version."""

    exit_code = 2


class MachineError(HeadstartError):
    """The machine gave out: a disk, its memory or a process. The text says which, where, and what to change."""


class TrainingStopped(HeadstartError):
    """Training cannot usefully go on: the numbers diverged, the features collapsed, or the early word was a stop."""

    def __init__(self, status: Literal["collapsed", "diverged", "stopped"], reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


class StopRequested(KeyboardInterrupt):
    """A signal asked the command to stop, and it did so in order. Like Ctrl-C, it is no error and passes as none.

    ``exit_code`` is 128 + the signal's number, as shells have it, and 0 for SIGUSR1, a scheduler's warning. ``saved``
    says what was saved, where something was.
    """

    EXIT_CODES: ClassVar[dict[str, int]] = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 0}

    def __init__(self, signal_name: str, saved: str = "") -> None:
        self.signal_name = signal_name
        self.saved = saved
        self.exit_code = self.EXIT_CODES[signal_name]
        super().__init__(signal_name)
