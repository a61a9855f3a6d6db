"""The environment of the peers: made from ``peers.txt``, each with its own version, on the same torch as headstart.

python -m benchmarks.peers            what ``make peers`` runs; makes .venv-peers, one peer after the other

It sees the packages of the environment that makes it (a .pth file), so that torch, torchvision and timm are the very
same files and several GB are not copied; what a peer brings stays in it. ``peers.json`` in it says what came of each.
"""

import json
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.learning.conditions import REPOSITORY, write_json

PINS = Path(__file__).with_name("peers.txt")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install")


def environment() -> Path:
    """The folder of the peers' environment: $HEADSTART_PEERS, or .venv-peers in the repository."""
    return Path(os.environ.get("HEADSTART_PEERS") or REPOSITORY / ".venv-peers")


def interpreter() -> Path:
    """Its Python."""
    return environment() / "bin" / "python"


def pins() -> dict[str, str]:
    """Package -> its requirement line."""
    lines = (line.strip() for line in PINS.read_text(encoding="utf-8").splitlines())
    return {line.partition("==")[0]: line for line in lines if line and not line.startswith("#")}


def why_missing(peer: str) -> str | None:
    """Why ``peer`` cannot be measured, or None where it can."""
    found = installed().get(peer)
    if found is None:
        return f"{peer} is not installed; `make peers` makes the environment of the peers"
    error = found.get("error")
    return None if error is None else f"{pins()[peer]} cannot be installed: {error}"


@cache
def installed() -> dict[str, dict[str, Any]]:
    """What came of each peer, by package; empty without an environment."""
    facts = environment() / "peers.json"
    if not facts.is_file() or not interpreter().is_file():
        return {}
    known: dict[str, dict[str, Any]] = json.loads(facts.read_text(encoding="utf-8"))
    return known


def make() -> dict[str, dict[str, Any]]:
    """Make the environment and install every peer that can be."""
    place = environment()
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    own = subprocess.run(
        [str(interpreter()), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shared = Path(own.stdout.strip()) / "zz_shared.pth"
    shared.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    facts = {peer: install(pin) for peer, pin in pins().items()}
    write_json(place / "peers.json", facts)
    installed.cache_clear()
    return facts


def install(pin: str) -> dict[str, Any]:
    """Install what a peer needs and is not there, then the peer itself; ``error`` is the last word of pip's."""
    limits = ("-c", str(REPOSITORY / "constraints.txt"))
    for words in ((pin, *limits), ("--ignore-installed", "--no-deps", pin)):
        done = subprocess.run([str(interpreter()), *PIP, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"])[-1]}
    return {"version": pin.partition("==")[2]}


if __name__ == "__main__":
    for peer, came in make().items():
        print(f"{peer}: {came.get('version') or 'not installed: ' + came['error']}")
