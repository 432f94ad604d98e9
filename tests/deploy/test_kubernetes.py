"""deploy/kubernetes: held against the OpenAPI schemas of Kubernetes, and against what the server is and takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from server import health
from server.arguments import read_settings
from server.policy import load_policies
from server.rpc import recommend
from server.settings import Settings
from tests.deploy.reader import DEPLOY, environment, last_stage, load

FOLDER = DEPLOY / "kubernetes"
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
FOREIGN = {"monitoring.coreos.com/v1"}
"""A resource of an operator: Kubernetes has no schema for it."""

OLDEST, NEWEST = "1.29", "1.33"


def _documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path.read_text()))


def _one(kind: str) -> dict[str, Any]:
    (found,) = [one for path in MANIFESTS for one in _documents(path) if one["kind"] == kind]
    return found


def _pod() -> dict[str, Any]:
    pod: dict[str, Any] = _one("Deployment")["spec"]["template"]["spec"]
    return pod


def _container() -> dict[str, Any]:
    (container,) = _pod()["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_manifest_is_what_kubernetes_takes(path: Path, version: str) -> None:
    for document in _documents(path):
        if document["apiVersion"] not in FOREIGN:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_find_what_is_wrong() -> None:
    for broken in (
        {"spec": {**_one("Deployment")["spec"], "replicas": "three"}},
        {"spec": {**_one("Deployment")["spec"], "replica": 3}},
    ):
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate({**_one("Deployment"), **broken}, NEWEST, strict=True)


def test_the_kustomization_names_every_file() -> None:
    kustomization = load(FOLDER / "kustomization.yaml")
    optional = {"autoscaler.yaml", "monitor.yaml"}
    assert set(kustomization["resources"]) == {path.name for path in MANIFESTS} - optional
    text = (FOLDER / "kustomization.yaml").read_text()
    assert all(f"# - {name}" in text for name in optional)
    (policies,) = kustomization["configMapGenerator"]
    for file in policies["files"]:
        assert (FOLDER / file).is_file()
    assert load_policies(FOLDER / "policies").policies


def test_the_policies_are_swapped_and_not_restarted() -> None:
    """One name, without a hash; the folder is mounted and no file of it, which the kubelet would never update."""
    kustomization = load(FOLDER / "kustomization.yaml")
    assert kustomization["generatorOptions"] == {"disableNameSuffixHash": True}
    (volume,) = [one for one in _pod()["volumes"] if "configMap" in one]
    assert volume["configMap"]["name"] == kustomization["configMapGenerator"][0]["name"]
    assert not any("subPath" in mount for mount in _container()["volumeMounts"])


def test_the_server_takes_its_arguments_and_finds_its_mounts() -> None:
    settings = read_settings(_container()["args"])
    mounts = {mount["mountPath"]: mount for mount in _container()["volumeMounts"]}
    assert mounts[str(settings.policies)]["readOnly"] is True
    assert mounts[str(settings.bundles_root)]["readOnly"] is True
    assert settings.bundle.parent == settings.bundles_root
    assert _pod()["terminationGracePeriodSeconds"] > settings.drain_delay_seconds + settings.drain_seconds
    readiness = _container()["readinessProbe"]
    assert settings.drain_delay_seconds > readiness["periodSeconds"] + readiness["timeoutSeconds"]
    assert {volume["name"] for volume in _pod()["volumes"]} == {mount["name"] for mount in mounts.values()}


def test_probes_ask_for_what_the_server_says() -> None:
    container, port = _container(), Settings.model_fields["port"].default
    services = {name: container[f"{name}Probe"]["grpc"] for name in ("startup", "readiness", "liveness")}
    assert services == {
        "startup": {"port": port, "service": recommend.NAME},
        "readiness": {"port": port, "service": recommend.NAME},
        "liveness": {"port": port, "service": health.LIVE},  # a draining pod is not killed for it
    }


def test_the_pod_is_locked_down_as_the_image_is() -> None:
    pod, container = _pod()["securityContext"], _container()["securityContext"]
    (user,) = [rest for word, rest in last_stage() if word == "USER"]
    assert user == f"{pod['runAsUser']}:{pod['runAsGroup']}"
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert _pod()["automountServiceAccountToken"] is False
    assert _pod()["enableServiceLinks"] is False
    assert environment()["TILLER_HOST"] == "0.0.0.0"
    resources = _container()["resources"]
    assert "memory" in resources["limits"]
    assert set(resources["requests"]) == {"cpu", "memory"}


def test_everything_selects_the_same_pods_and_ports() -> None:
    labels = _one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert _one("Service")["spec"]["selector"] == labels
    assert _one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert _one("ServiceMonitor")["spec"]["selector"]["matchLabels"] == labels
    ports = {port["name"]: port["containerPort"] for port in _container()["ports"]}
    assert ports == {
        name: Settings.model_fields[f"{name}_port" if name == "metrics" else "port"].default for name in ports
    }
    assert {port["targetPort"] for port in _one("Service")["spec"]["ports"]} == set(ports)
    assert [one["port"] for one in _one("ServiceMonitor")["spec"]["endpoints"]] == ["metrics"]
    assert _one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == _one("Deployment")["metadata"]["name"]
    (claim,) = [volume for volume in _pod()["volumes"] if "persistentVolumeClaim" in volume]
    assert claim["persistentVolumeClaim"]["claimName"] == _one("PersistentVolumeClaim")["metadata"]["name"]


def test_a_rollout_and_a_drained_node_leave_servers() -> None:
    deployment, budget = _one("Deployment")["spec"], _one("PodDisruptionBudget")["spec"]
    assert deployment["replicas"] > budget["maxUnavailable"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
