"""The real download code against a real server on the loopback, one that misbehaves as told."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import DataError
from offline.datasets.download import _CHUNK, SOURCES, Source, cache_dir, download

pytestmark = pytest.mark.train

BODY = np.random.default_rng(0).bytes(300_000)
BY_HAND = (
    "Without internet, get a.zip on another machine and pass it: "
    "--dataset ml-1m --data PATH/TO/a.zip (the archive or its unpacked folder)."
)


@dataclass
class Host:
    """What the server has, how it behaves, and what it was asked."""

    body: bytes = BODY
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes sent by each of the next answers before it hangs up
    statuses: list[int] = field(default_factory=list)  # statuses of the next answers
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request
    source: Source = SOURCES["ml-1m"]


@pytest.fixture
def host(monkeypatch):
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            host.asked.append(wanted)
            if host.statuses:
                self.send_error(host.statuses.pop(0))
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
            if start >= len(host.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(host.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            rest = host.body[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(host.body) - 1}/{len(host.body)}")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: host.break_after.pop(0)] if host.break_after else rest)
            self.close_connection = True

        def log_message(self, *args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    host.source = Source(
        "ml-1m", f"http://127.0.0.1:{server.server_port}/a.zip", "a.zip", hashlib.md5(BODY).hexdigest()
    )
    yield host
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(host, folder: Path, **more) -> Path:
    return download(host.source, folder, pause=0, **more)


def refusal(host, folder: Path, **more) -> str:
    with pytest.raises(DataError) as caught:
        fetch(host, folder, **more)
    return str(caught.value)


def test_a_plain_download_reports_progress_and_leaves_only_the_archive(host, tmp_path):
    seen = []
    path = fetch(host, tmp_path / "new", progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "new" / "a.zip"
    assert path.read_bytes() == BODY
    assert [file.name for file in sorted(path.parent.iterdir())] == [".a.zip.lock", "a.zip"]
    assert seen[-1] == (300_000, 300_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_is_cached_is_not_asked_for_again(host, tmp_path):
    fetch(host, tmp_path)
    fetch(host, tmp_path)
    assert host.asked == [None]


def test_a_cached_archive_that_was_damaged_is_replaced(host, tmp_path):
    fetch(host, tmp_path).write_bytes(b"damaged")
    assert fetch(host, tmp_path).read_bytes() == BODY


def test_a_broken_transfer_resumes_where_it_stopped(host, tmp_path):
    host.break_after = [4 * _CHUNK, 3 * _CHUNK + 1]
    assert fetch(host, tmp_path).read_bytes() == BODY
    assert host.asked == [None, f"bytes={4 * _CHUNK}-", f"bytes={7 * _CHUNK}-"]


def test_the_next_call_resumes_too(host, tmp_path):
    host.break_after = [2 * _CHUNK, _CHUNK]
    assert refusal(host, tmp_path, attempts=2) == (
        f"ml-1m from {host.source.url}: found a transfer that broke off 2 times, the last time after 49,152 bytes. "
        f"Run it again: it goes on from there. {BY_HAND}"
    )
    assert (tmp_path / "a.zip.part").stat().st_size == 49_152
    seen = []
    assert fetch(host, tmp_path, progress=lambda *at: seen.append(at)).read_bytes() == BODY
    assert host.asked[-1] == "bytes=49152-"
    assert seen[0][0] > 49_152
    assert seen[-1] == (300_000, 300_000)


def test_a_server_without_ranges_is_asked_from_the_start(host, tmp_path):
    host.ranges, host.break_after = False, [100_000]
    assert fetch(host, tmp_path).read_bytes() == BODY
    assert host.asked == [None, "bytes=98304-"]


def test_a_part_that_was_whole_already_is_taken(host, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY)
    assert fetch(host, tmp_path).read_bytes() == BODY
    assert host.asked == ["bytes=300000-"]


@pytest.mark.parametrize("part", [b"x" * 1_000, b"x" * 300_000, b"x" * 400_000])
def test_a_part_of_something_else_is_thrown_away(part, host, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(part)
    assert fetch(host, tmp_path).read_bytes() == BODY


def test_a_checksum_mismatch_is_refused_and_nothing_stays(host, tmp_path):
    host.body = b"<html>please log in</html>"
    assert refusal(host, tmp_path) == (
        f"{host.source.url}: found 26 bytes with md5 {hashlib.md5(host.body).hexdigest()}, "
        f"expected md5 {host.source.md5}. A proxy may have answered instead, or the archive changed. {BY_HAND}"
    )
    assert [file.name for file in tmp_path.iterdir()] == [".a.zip.lock"]


def test_a_page_that_is_not_there(host, tmp_path):
    host.statuses = [404]
    assert refusal(host, tmp_path) == (
        f"ml-1m cannot be downloaded from {host.source.url}: found HTTP 404 Not Found. {BY_HAND}"
    )
    assert len(host.asked) == 1


def test_a_server_that_is_busy_is_asked_again(host, tmp_path):
    host.statuses = [503, 502]
    assert fetch(host, tmp_path).read_bytes() == BODY
    assert len(host.asked) == 3


def test_no_internet(host, tmp_path):
    source = Source("ml-1m", "http://127.0.0.1:9/a.zip", "a.zip", "0" * 32)
    with pytest.raises(DataError) as caught:
        download(source, tmp_path, attempts=2, pause=0)
    assert str(caught.value) == (
        "ml-1m cannot be downloaded from http://127.0.0.1:9/a.zip: found no connection (ConnectionError). " + BY_HAND
    )


def test_two_at_once_download_once(host, tmp_path):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(host, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [BODY] * 4
    assert host.asked == [None]


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("TILLER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "tiller"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "tiller"
    monkeypatch.setenv("TILLER_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


def test_the_official_sources():
    assert {name: source.url.rpartition("/")[2] for name, source in SOURCES.items()} == {
        "ml-1m": "ml-1m.zip",
        "ml-100k": "ml-100k.zip",
        "lastfm": "hetrec2011-lastfm-2k.zip",
    }
    assert all(source.url.startswith("https://files.grouplens.org/datasets/") for source in SOURCES.values())
    assert all(len(source.md5) == 32 for source in SOURCES.values())


@pytest.mark.data
def test_the_published_checksum_of_hetrec_is_that_of_the_archive_at_hand(data_dir):
    with (data_dir / "hetrec2011-lastfm-2k.zip").open("rb") as file:
        assert hashlib.file_digest(file, "md5").hexdigest() == SOURCES["lastfm"].md5
