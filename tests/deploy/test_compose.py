"""docker-compose.yml: its schema; what it mounts is there, what it opens is loopback, what is ours is locked down."""

from __future__ import annotations

import pytest
from compose_spec import PyCompose

from server.arguments import read_settings
from server.settings import Settings
from tests.deploy.reader import ROOT, bind_mounts, compose_text, load, services

OURS = ("demo-bundle", "users", "server", "redis")


def test_it_is_what_the_compose_specification_asks_for() -> None:
    text = compose_text()
    compose = PyCompose.from_yaml(text)
    compose.validate()
    assert set(compose.service_names()) == set(services())
    for good, bad in (
        ("restart: unless", "restrat: unless"),
        ("read_only: true", "read_only: maybe"),
        ("20s", "soon"),
        ('"127.0.0.1:9090', '"x:'),
    ):
        assert good in text
        with pytest.raises(ValueError, match=r"\w"):
            PyCompose.from_yaml(text.replace(good, bad, 1)).validate()


def test_services() -> None:
    assert set(services()) == {*OURS, "prometheus", "grafana"}
    for name, service in services().items():
        image, _, tag = service["image"].partition(":")
        assert tag, f"{name}: {image} without a version"
        assert tag != "latest"
        for other in service.get("depends_on", ()):
            assert other in services()


def test_mounts_exist_and_are_read_only() -> None:
    for service in services().values():
        for source, target, read_only in bind_mounts(service):
            assert read_only, target
            assert (ROOT / source).exists(), source


def test_only_what_makes_bundles_may_write_them() -> None:
    mounted = {
        name: mount
        for name, service in services().items()
        for mount in service.get("volumes", ())
        if isinstance(mount, str) and mount.startswith("bundles:")
    }
    assert mounted == {
        "demo-bundle": "bundles:/bundles", "users": "bundles:/bundles:ro", "server": "bundles:/bundles:ro"
    }  # fmt: skip
    assert set(load(ROOT / "docker-compose.yml")["volumes"]) == {"bundles", "prometheus", "grafana"}


def test_a_policy_folder_that_is_not_there_is_an_error() -> None:
    """Docker would make an empty folder, owned by root: a server without policies."""
    (mount,) = [volume for volume in services()["server"]["volumes"] if isinstance(volume, dict)]
    assert mount["bind"]["create_host_path"] is False


def test_the_server_takes_its_arguments_and_finds_its_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    service = services()["server"]
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    settings = read_settings(service["command"])
    assert str(settings.policies) in {target for _, target, _ in bind_mounts(service)}
    assert (
        str(settings.bundle) == services()["demo-bundle"]["environment"]["BUNDLE"] == services()["users"]["command"][0]
    )
    assert str(settings.bundles_root) == "/bundles"
    assert settings.redis_url.get_secret_value() == services()["users"]["command"][2] == "redis://redis:6379/0"
    assert int(service["stop_grace_period"].removesuffix("s")) > settings.drain_delay_seconds + settings.drain_seconds
    assert settings.admin_host == Settings.model_fields["admin_host"].default == "127.0.0.1"


def test_what_waits_for_what() -> None:
    assert services()["server"]["depends_on"]["demo-bundle"] == {"condition": "service_completed_successfully"}
    assert services()["users"]["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert "users" not in services()["server"]["depends_on"]  # the bundle's own serve until then


def test_every_port_is_bound_to_loopback() -> None:
    for service in services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_is_locked_down(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_stages_that_are_built_are_the_dockerfile_s() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    for service in services().values():
        if "build" in service:
            assert f" AS {service['build']['target']}\n" in text
