"""Downloads from a local server that breaks connections, sends wrong bytes, or is not there."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headstart.errors import WeightsError
from headstart.sam import fetch
from headstart.sam.checkpoints import CHECKPOINTS, Checkpoint
from headstart.sam.fetch import fetched

CONTENT = bytes(range(256)) * 12000  # 3 MB, in which every place can be told
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; ``breaks`` are after how many bytes the next connections end."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.breaks, self.asked, self.ranges, self.linked = CONTENT, [], [], True, ""
        self.tells_length = True
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.path, asked))
        if self.path.startswith("/resolve"):  # as the hub does
            self.send_response(302)
            self.send_header("Location", f"{server.url}/file.pth")
            self.send_header("X-Linked-ETag", f'"{server.linked}"')
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else None
        self.wfile.write(server.content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "require_https", lambda *_: None)
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)
    with Server() as local:
        thread = threading.Thread(target=local.serve_forever, daemon=True)
        thread.start()
        yield local
        local.shutdown()


def test_a_whole_download_is_kept_and_not_repeated(server: Server, tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{server.url}/file.pth", 3, SUM)
    file = fetched("vit_x", checkpoint, tmp_path)
    assert file == tmp_path / "vit_x" / "file.pth"
    assert file.read_bytes() == CONTENT
    assert fetched("vit_x", checkpoint, tmp_path) == file
    assert server.asked == [("/file.pth", None)]


def test_a_broken_download_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [1_000_000, 700_000]
    file = fetched("vit_x", Checkpoint(f"{server.url}/file.pth", 3, SUM), tmp_path)
    assert file.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1000000-", "bytes=1700000-"]
    assert not list(tmp_path.rglob("*.part"))


def test_the_next_command_resumes(server: Server, tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{server.url}/file.pth", 3, SUM)
    server.breaks = [1_500_000, *[0] * fetch.ATTEMPTS]
    with pytest.raises(WeightsError, match=r"1\.5 MB are kept, and the same command goes on from there"):
        fetched("vit_x", checkpoint, tmp_path)
    server.breaks, server.asked = [], []
    assert fetched("vit_x", checkpoint, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/file.pth", "bytes=1500000-")]


def test_a_server_without_ranges_sends_it_anew(server: Server, tmp_path: Path) -> None:
    server.breaks, server.ranges = [1_000_000], False
    assert fetched("vit_x", Checkpoint(f"{server.url}/file.pth", 3, SUM), tmp_path).read_bytes() == CONTENT


def test_a_complete_part_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "vit_x").mkdir()
    (tmp_path / "vit_x" / "file.pth.part").write_bytes(CONTENT)
    assert fetched("vit_x", Checkpoint(f"{server.url}/file.pth", 3, SUM), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_server_that_does_not_tell_the_length_is_not_believed(server: Server, tmp_path: Path) -> None:
    """Where no sum is known either, a download that broke off would pass for the file."""
    server.tells_length = False
    with pytest.raises(WeightsError, match="does not say how large the file is"):
        fetched("vit_x", Checkpoint(f"{server.url}/file.pth", 3), tmp_path)
    assert not list(tmp_path.rglob("file.pth"))


@pytest.mark.parametrize("known", [True, False])
def test_a_corrupted_download_is_refused_and_removed(server: Server, tmp_path: Path, known: bool) -> None:
    """Whether the sum is known here or is the hub's."""
    server.content = CONTENT[:-1] + b"x"
    server.linked = SUM
    with pytest.raises(WeightsError, match=f"SHA-256 is not {SUM[:12]}.*--checkpoint FILE"):
        fetched("vit_x", Checkpoint(f"{server.url}/resolve/file.pth", 3, SUM if known else ""), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_changed_in_the_cache_is_refused(server: Server, tmp_path: Path, known: bool) -> None:
    server.linked = SUM
    checkpoint = Checkpoint(f"{server.url}/resolve/file.pth", 3, SUM if known else "")
    file = fetched("vit_x", checkpoint, tmp_path)
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="removed; run the command again"):
        fetched("vit_x", checkpoint, tmp_path)
    assert fetched("vit_x", checkpoint, tmp_path).read_bytes() == CONTENT


def test_off_line_one_line_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as gone:
        url = gone.url
    monkeypatch.setattr(fetch, "require_https", lambda *_: None)
    with pytest.raises(WeightsError) as refused:
        fetched("vit_x", Checkpoint(f"{url}/sam_vit_x.pth", 375), tmp_path)
    text = str(refused.value)
    assert "\n" not in text
    for part in ("vit_x", f"{url}/sam_vit_x.pth", "375 MB", "--checkpoint FILE"):
        assert part in text
    assert refused.value.exit_code == 2


def test_only_https(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no HTTPS address.*--checkpoint FILE"):
        fetched("vit_x", Checkpoint("http://example.org/file.pth", 3), tmp_path)
    assert all(checkpoint.url.startswith("https://") for checkpoint in CHECKPOINTS.values())


def test_a_redirection_to_plain_http_is_not_followed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    first = iter([True])
    allow_the_first = lambda url, _: None if next(first, False) else real(url, fetch.FLAG)  # noqa: E731
    real = fetch.require_https
    monkeypatch.setattr(fetch, "require_https", allow_the_first)
    with pytest.raises(WeightsError, match="no HTTPS address"):
        fetched("vit_x", Checkpoint(f"{server.url}/resolve/file.pth", 3, SUM), tmp_path)
    assert [path for path, _ in server.asked] == ["/resolve/file.pth"]
