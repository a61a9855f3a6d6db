"""What the end-to-end tests share: runs in processes of their own, killed and taken up again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Resumed = Callable[[Sequence[str], Path, int], tuple[Path, Path]]


@pytest.fixture
def killed_and_whole(tmp_path: Path) -> Resumed:
    """A function: run ``headstart`` with the given words twice, once killed (SIGKILL) after some logged losses and then
    resumed, once in peace; the two run directories.
    """

    def run_both(words: Sequence[str], folder: Path, losses: int) -> tuple[Path, Path]:
        command = [sys.executable, "-m", "headstart", *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        run, whole = folder / "killed", folder / "whole"
        process = subprocess.Popen([*command, "--out", str(run)], env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            log = run / "metrics.jsonl"
            if log.is_file() and log.read_text().count('"loss"') >= losses:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.002)
        assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
        assert not (run / "result.json").is_file()
        for out, extra in ((run, ["--resume"]), (whole, [])):
            subprocess.run([*command, "--out", str(out), *extra], env=environment, check=True, capture_output=True)
        return run, whole

    return run_both
