"""Memory: how many images at a time fit into it, by trial, and what to change when it was too little."""

import logging
import math
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from headstart.allocator import give_back_freed_memory
from headstart.configs.run import RunConfig
from headstart.data.loaders import Batching
from headstart.errors import MachineError

logger = logging.getLogger(__name__)

USABLE = 0.8
"""Share of the free memory that a training may plan with: looks at the model and loader processes need some, too."""
NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")
"""What torch's allocators say, in lower case: DefaultCPUAllocator on Linux, CUDA, DefaultCPUAllocator on Windows."""
ASKED = re.compile(r"(?:tried|unable) to allocate ([\d.]+) *(bytes|[KMGT]iB)", re.IGNORECASE)
UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
STATUS, CLEAR_REFS, MEMINFO = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


class Meter(Protocol):
    """A device's memory, in bytes."""

    def reset(self) -> None:
        """Begin to look for a new peak."""

    def peak(self) -> float:
        """Most that was in use at a time since then."""

    def used(self) -> float:
        """What this process uses."""

    def free(self) -> float:
        """What it could still have; infinite where the machine does not say."""


class ProcessorMemory:
    """The machine's memory (Linux: proc(5); elsewhere only the peak since the process began is known)."""

    def reset(self) -> None:
        give_back_freed_memory()
        try:
            CLEAR_REFS.write_text("5")
        except OSError:
            return

    def peak(self) -> float:
        return _proc(STATUS, "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def used(self) -> float:
        give_back_freed_memory()
        return _proc(STATUS, "VmRSS") or self.peak()

    def free(self) -> float:
        """The least of: available on the machine, left in the control group, left under ``ulimit -v``."""
        available = _proc(MEMINFO, "MemAvailable")
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return min(
            math.inf if available is None else available,
            _number(CGROUP / "memory.max") - _number(CGROUP / "memory.current", 0),
            math.inf if limit == resource.RLIM_INFINITY else limit - (_proc(STATUS, "VmSize") or 0),
        )


class AcceleratorMemory:
    """The memory of the current CUDA device."""

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        return torch.cuda.max_memory_allocated()

    def used(self) -> float:
        return torch.cuda.memory_allocated()

    def free(self) -> float:
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def meter_of(device: torch.device) -> Meter:
    """What measures the memory that training on ``device`` fills."""
    return AcceleratorMemory() if device.type == "cuda" else ProcessorMemory()


def images_that_fit(
    share: int, step: Callable[[int], None], meter: Meter, agreed: Callable[[bool], bool] = bool
) -> int:
    """The largest divisor of ``share`` images, at least 2, that a training step takes at a time and that fits.

    ``step(n)`` does one with n images. Sizes rise; none is tried before the one below it shows that it fits: a machine
    may kill a process that asks for too much instead of refusing. ``agreed`` makes one answer of all processes'.
    Raises what ``step`` raises where not even the smallest fits.
    """
    sizes = sizes_to_try(share)
    step(sizes[0])  # what is made once, such as the optimiser's moments, is not to count for the images
    base, free = meter.used(), meter.free()
    limit = base + USABLE * free
    fits, need = sizes[0], math.inf
    for images in sizes:
        if images > fits and not agreed(base + (need - base) * images / fits <= limit):
            break
        meter.reset()
        held = _tried(step, images)
        peak = meter.peak()
        if not agreed(held and peak <= limit):
            break
        fits, need = images, peak
    told = "" if math.isinf(need) else f" at a time need {in_words(need - base)} of {in_words(free)} free:"
    logger.info("Memory: %d images%s a step of %d is done in %d part(s).", fits, told, share, share // fits)
    return fits


def sizes_to_try(share: int) -> list[int]:
    """Rising divisors of ``share``, at least 2 (batch norm needs two images), each well above the one before."""
    sizes: list[int] = []
    for size in (n for n in range(share, 1, -1) if share % n == 0):
        if not sizes or 3 * size <= 2 * sizes[-1]:
            sizes.append(size)
    return sizes[::-1] or [share]


def _tried(step: Callable[[int], None], images: int) -> bool:
    try:
        step(images)
    except Exception as error:  # memory runs out in errors of three kinds
        if not is_out_of_memory(error):
            raise
        return False
    return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: MemoryError, torch.OutOfMemoryError, or the RuntimeError of torch's CPU allocator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)


@contextmanager
def shortage_explained(config: RunConfig, batching: Batching, meter: Meter) -> Iterator[None]:
    """MachineError with the setting to lower, what was needed and a value that may fit, where memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MachineError(shortage_words(str(error), config.image_size, batching, meter)) from error


def shortage_words(said: str, image_size: int, batching: Batching, meter: Meter) -> str:
    """What to say when memory ran out; ``said`` is the allocator's own text."""
    images, asked, free = batching.size // batching.parts, bytes_asked(said), meter.free()
    peak = meter.peak()
    need = f"at least {in_words(peak + asked)} were needed ({in_words(asked)} beside" if asked else "(with"
    left = "" if math.isinf(free) else f", {in_words(free)} are free"
    smaller = [size for size in sizes_to_try(images) if size < images]
    remedy = (
        f"Lower --batch-size (now {batching.size}), or keep it and take fewer images at a time: --accumulate "
        f"{batching.parts * images // smaller[-1]} makes that {smaller[-1]}, --batch-size auto measures how many fit"
        if smaller
        else f"Lower --image-size (now {image_size}), or take a smaller network"
    )
    return (
        f"Out of memory with {images} images of {image_size} pixels at a time: {need} {in_words(peak)} in use{left}). "
        f"{remedy}. What was checkpointed is kept."
    )


def bytes_asked(said: str) -> float:
    """Bytes that an allocator says it was asked for; 0 where it does not say."""
    found = ASKED.search(said)
    return float(found[1]) * UNITS[found[2].lower()] if found else 0.0


def in_words(size: float) -> str:
    """Bytes as GiB or MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _proc(file: Path, name: str) -> float | None:
    """A line ``NAME: 12 kB`` of a file of proc(5), in bytes."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def _number(file: Path, otherwise: float = math.inf) -> float:
    """The number in a file of a control group; ``otherwise`` where there is none, or no limit."""
    try:
        return float(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return otherwise
