"""Published checkpoints, downloaded once: over HTTPS, with progress, resumed where a download broke, checked by sum."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO, Any

from headstart.data.bluemarble import cache_folder
from headstart.errors import WeightsError
from headstart.files import make_folder
from headstart.models.downloads import SHA256_DIGITS, require_https, require_sum
from headstart.sam.checkpoints import Checkpoint
from headstart.training.progress import Progress

_log = logging.getLogger(__name__)

FLAG = "--checkpoint FILE"
"""The flag that takes a checkpoint from this disk."""
ATTEMPTS = 5
"""Connections that may break one after the other without a byte before a download is given up."""
TIMEOUT_SECONDS = 30
CHUNK = 2**20
SUM_HEADER = "X-Linked-ETag"
"""Where the Hugging Face Hub gives a large file's SHA-256."""


def place_of(name: str, checkpoint: Checkpoint, folder: Path | None = None) -> Path:
    """Where the file of a checkpoint is kept, below ``folder`` (the cache)."""
    return (folder or cache_folder() / "sam") / name / checkpoint.file


def fetched(name: str, checkpoint: Checkpoint, folder: Path | None = None) -> Path:
    """The file of a checkpoint, from ``folder`` (the cache), or downloaded into it.

    What is there already is checked by its sum like what comes.

    Raises:
        WeightsError: no HTTPS address, no connection, not the published file. The text says which file to fetch, how
            large it is, and the flag that takes it from disk.
    """
    target = place_of(name, checkpoint, folder)
    part, sum_file = target.with_name(f"{checkpoint.file}.part"), target.with_name("sha256")
    if target.is_file():
        _require(target, checkpoint.sha256 or (sum_file.read_text().strip() if sum_file.is_file() else ""))
        return target
    require_https(checkpoint.url, FLAG)
    make_folder(target.parent)
    try:
        said = _download(name, checkpoint, part)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"cannot download {name} ({reason}): fetch {checkpoint.url} ({checkpoint.megabytes} MB) on a machine with "
            f"network and give it as {FLAG}{_kept(part)}"
        ) from None
    _require(part, checkpoint.sha256 or said)
    sum_file.write_text(checkpoint.sha256 or said)
    part.replace(target)
    return target


def _require(file: Path, published: str) -> None:
    """Check a sum where there is one; a file that fails is removed, so that the next command fetches it anew."""
    if not published:
        _log.warning("%s: its server gave no SHA-256, so the file is not checked", file)
        return
    try:
        require_sum(file, published)
    except WeightsError:
        file.unlink()
        raise WeightsError(
            f"{file.name} is not the file that was published: its SHA-256 is not {published[:12]}... It was removed; "
            f"run the command again, or fetch the file otherwise and give it as {FLAG}"
        ) from None


def _kept(part: Path) -> str:
    """What is said of a download that broke."""
    size = part.stat().st_size if part.is_file() else 0
    return f"; {size / 1e6:.1f} MB are kept, and the same command goes on from there" if size else ""


def _download(name: str, checkpoint: Checkpoint, part: Path) -> str:
    """Append to ``part`` until it is whole; the sum that the server gave, empty where it gave none."""
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            return _continued(name, checkpoint, part, before)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            after = part.stat().st_size if part.is_file() else 0
            failures = 0 if after > before else failures + 1
            if failures >= ATTEMPTS or (failures and isinstance(error, urllib.error.URLError)):
                raise
            _log.info("%s: the connection broke at %.1f MB; going on from there", name, after / 1e6)
            time.sleep(min(2**failures, 10) * 0.1)


def _continued(name: str, checkpoint: Checkpoint, part: Path, begun: int) -> str:
    """One connection. ConnectionError where it ends before the file does."""
    sums = _Redirects()
    opener = urllib.request.build_opener(sums)
    headers = {"User-Agent": "headstart", "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    try:
        answer = opener.open(urllib.request.Request(checkpoint.url, headers=headers), timeout=TIMEOUT_SECONDS)  # noqa: S310 - HTTPS was required
    except urllib.error.HTTPError as error:
        if error.code != 416 or not begun:
            raise
        return _sum_in(error.headers) or sums.found  # nothing is left to send
    with answer:
        begun = begun if answer.status == 206 else 0
        if "Content-Length" not in answer.headers:
            raise ConnectionError("the server does not say how large the file is, so a part of it could pass for it")
        expected = begun + int(answer.headers["Content-Length"])
        _append(answer, part, begun, expected, name)
        if part.stat().st_size < expected:
            raise ConnectionError("the connection ended before the file did")
        return _sum_in(answer.headers) or sums.found


def _append(answer: Any, part: Path, begun: int, expected: int, name: str) -> None:
    """Write what comes to ``part``, which already holds ``begun`` bytes."""
    _log.info("downloading %s, %.0f MB, to %s", name, expected / 1e6, part.parent)
    total = max(1, expected // 10**6)
    with (
        part.open("ab" if begun else "wb") as file,
        Progress(total, begun // 10**6, 1, shown=True, noun="MB", units="MB") as progress,
    ):
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            progress.update(min(total, file.tell() // 10**6))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, to HTTPS addresses only, and keeps the sum that comes with one of them."""

    def __init__(self) -> None:
        self.found = ""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        require_https(newurl, FLAG)
        self.found = self.found or _sum_in(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _sum_in(headers: Message) -> str:
    """The SHA-256 in a server's answer; empty where there is none."""
    value = (headers.get(SUM_HEADER) or "").strip('"').removeprefix("W/").strip('"').lower()
    return value if len(value) == SHA256_DIGITS else ""
