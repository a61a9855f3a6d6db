"""Asked to stop: SIGTERM, SIGINT and SIGUSR1 finish the step, save, say how to resume, and lose nothing."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.short_runs import CLASSIFY, PRETRAIN, SEGMENT, STUDY

from headstart.cli import main
from headstart.tasks.pretrain.watch import Watch
from headstart.training import loop
from headstart.training.checkpoint import load_checkpoint
from headstart.training.log import read_lines

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 0}


def strike(patch: pytest.MonkeyPatch, place: Any, name: str, call: int, number: signal.Signals) -> None:
    """Send this process a signal in the ``call``-th call of a function."""
    calls, original = [0], getattr(place, name)

    def struck(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), number)
        return original(*arguments, **options)

    patch.setattr(place, name, struck)


def exported(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(next((run / "export").glob("[bm]*.safetensors")))


def logged(run: Path) -> list[str]:
    return [line.split(', "time"')[0] for line in read_lines(run / "metrics.jsonl")]


def assert_same(run: Path, whole: Path) -> None:
    ours, theirs = exported(run), exported(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert logged(run) == logged(whole)
    assert not [*run.rglob("*.part")]


@pytest.fixture(scope="module")
def whole(flat_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(["pretrain", "--data", str(flat_images), "--out", str(out), *PRETRAIN.split()]) == 0
    return out


def stop_and_resume(
    words: list[str], place: tuple[Any, str, int], number: signal.Signals, err: Callable[[], str]
) -> str:
    """Stop a command with a signal, check its exit code, and go on by the command that it told; what it said."""
    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        strike(patch, *place, number)
        assert main(words) == CODES[number]
    said = err()
    assert f"Stopped by {number.name}" in said
    told = shlex.split(said.split("To go on: headstart ")[1].splitlines()[0])
    assert main(told) == 0
    assert signal.getsignal(number) == before
    return said


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (signal.SIGTERM, (loop, "optimise", 2)),
        (signal.SIGINT, (loop, "optimise", 3)),  # a look is due after this step, and taken when resumed
        (signal.SIGUSR1, (loop, "optimise", 9)),  # the last step
        (signal.SIGTERM, (Watch, "look", 2)),  # during a look
        (signal.SIGTERM, (loop, "note", 1)),  # while the best model is being saved
    ],
    ids=["step", "before-a-look", "last-step", "look", "note"],
)
def test_a_pretraining_stops_saves_and_goes_on(
    flat_images: Path,
    tmp_path: Path,
    whole: Path,
    number: signal.Signals,
    place: Any,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = ["pretrain", "--data", str(flat_images), "--out", str(tmp_path / "run"), *PRETRAIN.split()]
    said = stop_and_resume(words, place, number, lambda: capfd.readouterr().err)
    assert " of 9; checkpoint " in said
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("verb", ["classify", "segment"])
def test_the_other_trainings_too(
    gratings: Path, pairs: Path, tmp_path: Path, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = (CLASSIFY if verb == "classify" else SEGMENT).split()
    words = [verb, "--data", str(gratings if verb == "classify" else pairs), *flags]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    capfd.readouterr()
    place = (loop, "optimise", 2)
    stop_and_resume(
        [*words, "--overwrite", "--out", str(tmp_path / "run")], place, signal.SIGTERM, lambda: capfd.readouterr().err
    )
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_study_goes_on_in_the_training_it_was_stopped_in(
    gratings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With --overwrite in the command, which the command to go on with must not have."""
    words = [
        "study",
        "--data",
        str(gratings),
        *STUDY.replace("--epochs 1", "--epochs 4").split(),  # four steps in scratch/full
        "--lr-grid",
        "1",
        "--overwrite",
        "--label-fractions",
        "1",
    ]
    place = (loop, "optimise", 2)
    said = stop_and_resume(
        [*words, "--out", str(tmp_path / "s")], place, signal.SIGUSR1, lambda: capfd.readouterr().err
    )
    assert "after step 1 of" in said or "after step 2 of" in said
    assert (tmp_path / "s" / "result.json").is_file()


def test_before_the_first_step_there_is_nothing_to_save(
    flat_images: Path, tmp_path: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", "--data", str(flat_images), "--out", str(tmp_path / "run"), *PRETRAIN.split()]
    place = (sys.modules["headstart.tasks.pretrain.verb"], "audit_views", 1)
    stop_and_resume(words, place, signal.SIGTERM, lambda: capfd.readouterr().err)
    assert_same(tmp_path / "run", whole)


DRIVER = """
import os, signal, subprocess, sys, time
from headstart.training import loop
from headstart.cli import main
calls, optimise = 0, loop.optimise
def struck(*arguments):
    global calls, began
    calls += 1
    began = time.process_time()
    {strike}
    return optimise(*arguments)
loop.optimise = struck
code = main(sys.argv[1:])
print("LEFT", time.process_time() - began, file=sys.stderr)
sys.exit(code)
"""


def driver(strike: str, words: list[str], **environment: str) -> subprocess.Popen[str]:
    """A process of its own, in a group of its own, that does ``strike`` at each step."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(strike=strike), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def test_a_second_ctrl_c_leaves_at_once(flat_images: Path, tmp_path: Path) -> None:
    """Within the step, which would else have been saved."""
    words = ["pretrain", "--data", str(flat_images), "--out", str(tmp_path / "run"), *PRETRAIN.split()]
    process = driver("calls == 2 and [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]", words)
    _, said = process.communicate(timeout=250)
    assert process.returncode == 130
    assert "SIGINT: finishing this step, then saving. Ctrl-C leaves at once." in said
    assert "Stopped by" not in said
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["step"] == 0


def test_a_signal_to_the_whole_group_spares_the_loaders(flat_images: Path, tmp_path: Path, whole: Path) -> None:
    """Sent from outside, as a scheduler does, with two loader processes; 10 s of processor time at most to leave."""
    words = ["pretrain", "--data", str(flat_images), "--out", str(tmp_path / "run"), *PRETRAIN.split()]
    words[words.index("--workers") + 1] = "2"
    kill = 'subprocess.run(["sh", "-c", f"kill -TERM -{os.getpgrp()}"], start_new_session=True)'
    process = driver(f"calls == 5 and {kill}", words)
    _, said = process.communicate(timeout=250)
    assert process.returncode == 143, said
    assert "Stopped by SIGTERM after step 5 of 9" in said
    assert main([*words, "--resume"]) == 0
    assert_same(tmp_path / "run", whole)
    assert float(said.rsplit("LEFT ", 1)[1]) < 10


def test_two_processes_stop_at_the_same_step(flat_images: Path, tmp_path: Path) -> None:
    """One of them gets the signal; both finish its step, the first saves, and neither waits for the other for ever."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["pretrain", "--data", str(flat_images), "--out", str(tmp_path / "run"), *PRETRAIN.split()]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    strikes = ["pass", "calls == 4 and os.kill(os.getpid(), signal.SIGUSR1)"]
    processes = [driver(each, words, RANK=str(i), LOCAL_RANK=str(i), **shared) for i, each in enumerate(strikes)]
    said = [process.communicate(timeout=280)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "Stopped by SIGUSR1 after step 4 of 9" in said[0]
    assert "Stopped" not in said[1]
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["step"] == 4
    assert not (tmp_path / "run" / "result.json").exists()
