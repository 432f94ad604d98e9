"""`tiller top --once` against real servers: every figure is the one in /metrics; friendly when nobody is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cli.console import UNICODE, make_console
from cli.scrape import fetch, window
from cli.top import _look
from cli.top_screen import Seen, frame
from client import TillerClient, demote, filter_out
from tests.cli.conftest import Tiller
from tests.live import Live, live
from tests.world import make_world, write_world

POLICIES = """
policies:
  - {name: kids, owner: safety, when: {surface: kids}, rules: [{action: filter, concept: "genre:horror"}]}
  - {name: trial, owner: shop, mode: shadow, rules: [{action: promote, concept: "genre:western"}]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that has answered 12 calls, refused one, and seen 30 users of its training and 10 strangers."""
    folder = tmp_path_factory.mktemp("top")
    world = make_world(users=500)
    bundle = write_world(world, folder / "planted")
    (folder / "policies").mkdir()
    (folder / "policies" / "a.yaml").write_text(POLICIES)
    users = world.contents.user_vectors
    assert users is not None
    strangers = np.random.default_rng(0).random((10, world.contents.sae.latents)) < 0.5
    vectors = np.vstack([users[:30], 9 * (strangers @ world.contents.sae.user.w_dec)])
    with (
        live(bundle.path, policies=folder / "policies", drift_sample=1.0) as running,
        TillerClient(running.addresses.grpc) as client,
    ):
        for _ in range(8):
            client.recommend(user_id="u1", rules=[demote("genre:comedy"), filter_out("genre:western")])
        for _ in range(4):
            client.recommend(user_id="u2", attributes={"surface": "kids"})
        with pytest.raises(Exception, match="unknown concept"):
            client.recommend(user_id="u2", rules=[demote("genre:nothing")])
        for vector in vectors:
            client.recommend(embedding=vector.tolist())
        while running.metrics()["tiller_user_error_count"] < 40:
            pass
        yield running


def address(server: Live) -> str:
    return server.addresses.metrics.removeprefix("http://").removesuffix("/metrics")


def shown(tiller: Tiller, *addresses: str) -> str:
    ran = tiller("top", "--once", *(word for one in addresses for word in ("--metrics", one)))
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def test_one_frame_has_the_figures_of_the_metrics(tiller: Tiller, server: Live) -> None:
    text = shown(tiller, address(server))
    metrics = server.metrics()
    assert re.search(r"^tiller top  1 server  since the start  \d\d:\d\d:\d\d", text)
    (line,) = [line for line in text.splitlines() if line.strip().startswith(address(server))]
    assert server.addresses.bundle_id in line
    assert server.addresses.policy_revision in line
    assert "0.0%" in line
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    for stage in ("decode", "user", "plan", "mask", "search", "edit", "explain", "encode"):
        assert re.fullmatch(r"\d+(\.\d)?", rows[stage][1]), rows[stage]
    parts = [float(rows[stage][5].removesuffix("%")) for stage in ("decode", "user", "plan", "mask", "search", "edit")]
    assert 0 < sum(parts) <= 100.5
    before, after = (
        metrics[f'tiller_concept_share_sum{{action="demote",concept="genre:comedy",when="{when}"}}'] / 8
        for when in ("before", "after")
    )
    comedy = rows["genre:comedy"]
    assert comedy[1] == "demote"
    assert [word for word in comedy if word.endswith("%")] == [f"{100 * before:.1f}%", f"{100 * after:.1f}%"]
    assert comedy[-1] == "8"
    assert [word for word in rows["genre:horror"] if word.endswith("%")][1] == "0.0%"
    assert rows["kids"][:2] == ["kids", "enforce"]
    assert rows["kids"][-1] == f"{100 * 4 / 52:.1f}%"
    assert rows["trial"][:2] == ["trial", "shadow"]
    assert rows["trial"][-1] == "100.0%"
    overlap = metrics["tiller_overlap_sum"] / metrics["tiller_overlap_count"]
    assert f"overlap with the unsteered list {overlap:.0%}" in text
    outside = metrics['tiller_user_vectors_total{verdict="outside"}'] / 40
    assert f"drift    40 vectors: {100 * outside:.1f}% outside" in text
    assert "applied" in rows["rules/s"]
    assert "NOT_FOUND" in rows["calls/s"]


def test_a_window_counts_what_came_since_the_last_look(server: Live) -> None:
    known = {}
    _look([address(server)], known, first=True)
    with TillerClient(server.addresses.grpc) as client:
        for _ in range(5):
            client.recommend(user_id="u3")
    (seen,) = _look([address(server)], known)
    assert seen.window is not None
    assert seen.window.count("tiller_requests_total") == 5
    assert seen.window.count("tiller_stage_seconds_count", stage="search") == 5


def test_several_servers_and_one_that_is_away(tiller: Tiller, server: Live, planted: Path) -> None:
    with live(planted) as second, TillerClient(second.addresses.grpc) as client:
        client.recommend(user_id="u1")
        text = shown(tiller, address(server), address(second), "127.0.0.1:1")
    assert "3 servers, 1 away" in text
    (line,) = [line for line in text.splitlines() if line.strip().startswith("127.0.0.1:1 ")]
    assert "away" in line
    assert "refused" in line


def test_nobody_there_is_said_with_what_to_do(tiller: Tiller) -> None:
    ran = tiller("top", "--once", "--metrics", "127.0.0.1:1")
    assert ran.code == 1
    assert "away" in ran.out
    assert "Start one: tiller serve --bundle DIR --metrics-port 9464" in ran.out


def test_a_server_that_comes_back_waits_for_its_next_look(server: Live) -> None:
    known = {}
    (seen,) = _look([address(server)], known)
    assert (seen.window, seen.away) == (None, "it is back: figures with the next look")
    (seen,) = _look([address(server)], known)
    assert seen.window is not None


def test_a_fresh_server_s_frame_says_that_there_is_nothing_yet(planted: Path) -> None:
    with live(planted) as fresh:
        seen = Seen("x", window(None, fetch(fresh.addresses.metrics)))
    console = make_console()
    with console.capture() as got:
        console.print(frame([seen], UNICODE, since_start=True))
    text = got.get()
    for told in ("none yet", "no steered list was compared", "no vectors from callers yet"):
        assert told in text


def test_the_frame_is_drawn_again_in_a_terminal(server: Live) -> None:
    """A real pseudo-terminal, as long as a person looks: two frames, then Ctrl-C."""
    import os
    import pty
    import signal
    import subprocess
    import sys

    parent, child = pty.openpty()
    command = [sys.executable, "-m", "cli", "top", "--metrics", address(server), "--interval", "0.2"]
    process = subprocess.Popen(command, stdout=child, stderr=subprocess.STDOUT, env={**os.environ, "TERM": "xterm"})
    os.close(child)
    text = ""
    try:
        while text.count("tiller top") < 3:
            text += os.read(parent, 65536).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        while True:
            try:
                if not os.read(parent, 65536):
                    break
            except OSError:  # Linux says so at the end of a terminal
                break
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    assert "the last 0." in text
