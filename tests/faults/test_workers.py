"""Loading under faults: a loader process that dies, a file that does not come, a file that breaks after the check."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from headstart.data.decode import DecodeError
from headstart.data.reading import Item, alarm, file_batches
from headstart.errors import DataError, MachineError

ROTTEN = 5
BATCHES = [[(0, 2 * i), (0, 2 * i + 1)] for i in range(4)]


class Numbers:
    """Eight items, one of which has a ``fault``."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def read(self, item: Item) -> tuple[Tensor, int]:
        if item[1] == ROTTEN and self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if item[1] == ROTTEN and self.fault == "left":
            os._exit(3)
        if item[1] == ROTTEN and self.fault == "stuck":
            time.sleep(60)
        if item[1] == ROTTEN and self.fault == "damaged":
            raise DecodeError(Path("/images/005.png"), "image file is truncated")
        return torch.tensor(float(item[1])), item[1]

    def batch(self, found: Sequence[tuple[Tensor, int]]) -> list[Tensor]:
        return [torch.stack([value for value, _ in found]), torch.tensor([index for _, index in found])]

    def file_of(self, index: int) -> str:
        return f"/images/{index:03}.png"


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_sound_batches_come_whole_and_in_order(workers: int) -> None:
    found = [indices.tolist() for _, indices in file_batches(Numbers("none"), BATCHES, workers)]
    assert found == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("fault", ["killed", "left"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_dead_loader_process_ends_in_an_error_that_names_its_file(fault: str, workers: int) -> None:
    with pytest.raises(MachineError, match=r"died while it read /images/005\.png.*--workers 0"):
        list(file_batches(Numbers(fault), BATCHES, workers))


def test_a_death_is_told_at_the_next_batch_and_not_amid_other_work() -> None:
    """PyTorch's handler of SIGCHLD raises wherever the program is, which no reader of batches could catch."""
    batches = iter(file_batches(Numbers("killed"), BATCHES, workers=1))
    next(batches)
    _other_work(seconds=1.5)
    with pytest.raises(MachineError, match=r"died while it read /images/005\.png"):
        list(batches)


def _other_work(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except RuntimeError as error:
        raise AssertionError("the death of a loader process came out of other work") from error


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_file_that_does_not_come_ends_in_an_error_that_names_it(workers: int) -> None:
    began = time.monotonic()
    with pytest.raises(
        MachineError, match=r"Reading /images/005\.png has not ended after 1 s.*--file-seconds.*--resume"
    ):
        list(file_batches(Numbers("stuck"), BATCHES, workers, patience=1.0))
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_file_that_broke_after_the_check_ends_in_one_error_from_any_process(workers: int) -> None:
    with pytest.raises(DataError, match=r"^/images/005\.png: image file is truncated\. It could be read") as caught:
        list(file_batches(Numbers("damaged"), BATCHES, workers))
    assert "Traceback" not in str(caught.value)


def test_a_slow_batch_of_files_that_come_is_waited_for() -> None:
    """Patience is for one file: a batch that takes longer than that is none of its business."""

    class Slow(Numbers):
        def read(self, item: Item) -> tuple[Tensor, int]:
            time.sleep(0.7)
            return super().read(item)

    assert len(list(file_batches(Slow("none"), BATCHES[:2], 1, patience=1.2))) == 2


def test_an_alarm_leaves_the_timer_and_the_handler_of_others_alone() -> None:
    rung: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    timer = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with alarm(10):
            pass
        time.sleep(0.5)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
