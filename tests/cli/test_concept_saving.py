"""`tiller concepts save` and `delete`, against a real server with a policy folder."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Tiller
from tests.live import live


def test_save_look_use_delete(tiller: Tiller, planted: Path, tmp_path: Path) -> None:
    with live(planted, policies=tmp_path, policy_poll_seconds=0, admin_port=0) as server:
        admin, address = server.addresses.admin, server.addresses.grpc
        ran = tiller("concepts", "save", "custom:cosy", "genre:western + 0.5 genre:horror", "--admin", admin)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith("custom:cosy: saved, ")
        shown = " ".join(tiller("concepts", "show", "custom:cosy", "--server", address).out.split())
        assert "made of 1 genre:western + 0.5 genre:horror stands in concepts.yaml:" in shown
        listed = tiller("concepts", "list", "--server", address, "--family", "custom").out
        assert "1 genre:western + 0.5 genre:horror" in " ".join(listed.split())
        ran = tiller(
            "recommend", "--user", "u1", "--server", address, "--promote", "custom:cosy=0.7", "--demote",
            "like i3, i4; unlike i9=0.4", "--promote", "items i7 toward genre:comedy=1", "--json",
        )  # fmt: skip
        rules = [outcome["rule"]["concept"] for outcome in json.loads(ran.out)["rules"]]
        assert rules == ["like i3, i4; unlike i9", "custom:cosy", "items i7 toward genre:comedy"]
        pictured = tiller("recommend", "--user", "u1", "--server", address, "--promote", "like i3, i4=0.9", "--explain")
        assert (pictured.code, pictured.err) == (0, "")
        assert "like i3, i4" in pictured.out
        ran = tiller("concepts", "delete", "custom:cosy", "--admin", admin)
        assert (ran.code, ran.out[:21]) == (0, "custom:cosy: deleted;")
        ran = tiller("concepts", "save", "custom:a", "items i1 toward genre:comedy", "--admin", admin)
        assert (ran.code, ran.out) == (2, "")
        assert "found toward, expected items. A rule moves items, a concept does not." in ran.err
