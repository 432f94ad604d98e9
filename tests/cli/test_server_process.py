"""The server that the demo starts is stopped whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.server_process import ServerFailed, served
from client import TillerClient
from tests.docs_reader import ROOT

HOLD = """
import sys, time
from pathlib import Path
from cli.demo_run import ending_in_order
from cli.server_process import served
with ending_in_order(), served(Path(sys.argv[1])) as address:
    print(address, flush=True)
    time.sleep(60)
"""


def serving(bundle: Path) -> list[int]:
    """Processes that serve a bundle."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # ended meanwhile
                continue
            if b"server" in command and os.fsencode(bundle) in command:
                found.append(int(entry.name))
    return found


@pytest.fixture
def copy(planted: Path, tmp_path: Path) -> Path:
    """The planted bundle under a name that no other test serves."""
    link = tmp_path / "copy"
    link.symlink_to(planted)
    return link


def test_it_serves_and_is_stopped(copy: Path) -> None:
    with served(copy) as address, TillerClient(address) as client:
        client.wait_ready()
        assert len(client.recommend(user_id="u1", k=3).items) == 3
        assert len(serving(copy)) == 1
    assert serving(copy) == []


def test_it_is_stopped_when_the_work_fails(copy: Path) -> None:
    with pytest.raises(ZeroDivisionError), served(copy):
        raise ZeroDivisionError
    assert serving(copy) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_is_stopped_when_we_are(copy: Path, number: signal.Signals) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(copy)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline().startswith("127.0.0.1:")
        assert len(serving(copy)) == 1
        holder.send_signal(number)
    assert holder.returncode in {-signal.SIGINT, 128 + number}
    assert serving(copy) == []


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed) as failed, served(tmp_path / "none"):
        pass
    assert str(failed.value).startswith("the server ended with code 2: found error: no bundle at ")


def test_a_server_package_of_the_caller_is_not_taken_for_ours(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__main__.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    with served(copy) as address, TillerClient(address) as client:
        client.wait_ready()
