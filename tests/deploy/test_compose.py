"""docker-compose.yml, by parsing: what it mounts is there, what it opens is loopback, the server is locked down."""

from __future__ import annotations

from pathlib import Path

from cli.demo import DEFAULT_OUT
from server.settings import Settings
from tests.deploy.reader import ROOT, bind_mounts, environment, services


def test_services() -> None:
    assert set(services()) == {"server", "prometheus", "grafana"}
    for name, service in services().items():
        image, _, tag = service["image"].partition(":")
        assert tag, f"{name}: {image} without a version"
        assert tag != "latest"


def test_mounts_exist_and_are_read_only() -> None:
    for service in services().values():
        for source, target, read_only in bind_mounts(service):
            assert read_only, target
            # The bundle is what `make demo` makes, and is never committed.
            assert source == "./bundles/demo" or (ROOT / source).exists(), source


def test_a_bundle_that_is_not_there_is_an_error() -> None:
    """Docker would make an empty folder, owned by root, where `make demo` wants to write."""
    assert [volume["bind"]["create_host_path"] for volume in services()["server"]["volumes"]] == [False, False]


def test_the_default_bundle_is_what_the_demo_makes() -> None:
    (bundle,) = [source for source, target, _ in bind_mounts(services()["server"]) if target == "/bundle"]
    assert Path(bundle) == DEFAULT_OUT


def test_the_server_finds_its_mounts() -> None:
    targets = {target for _, target, _ in bind_mounts(services()["server"])}
    command = services()["server"]["command"]
    assert targets == {environment()["TILLER_BUNDLE"], command[command.index("--policies") + 1]}


def test_every_port_is_bound_to_loopback() -> None:
    """No TLS and no authentication yet."""
    for service in services().values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_server_is_locked_down() -> None:
    server = services()["server"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    drain = Settings.model_fields["drain_seconds"].default
    assert int(server["stop_grace_period"].removesuffix("s")) > drain
