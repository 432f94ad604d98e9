"""Flags and environment: the flag wins, what is unknown is refused, every fault is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.arguments import PREFIX, SettingsRefused, read_settings
from server.settings import Limits, Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def _refusal(*argv: str) -> str:
    with pytest.raises(SettingsRefused) as caught:
        read_settings(argv)
    return str(caught.value)


def test_only_the_bundle_must_be_given() -> None:
    settings = read_settings(["--bundle", "b"])
    assert settings == Settings(bundle=Path("b"))
    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 50051, 9464)
    assert settings.limits == Limits()
    assert not settings.reuse_port


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLER_BUNDLE", "from-env")
    monkeypatch.setenv("TILLER_MAX_K", "7")
    monkeypatch.setenv("TILLER_PORT", "1234")
    settings = read_settings(["--port", "0", "--no-allow-ignore-policies", "--policies=p"])
    assert (settings.bundle, settings.port, settings.policies) == (Path("from-env"), 0, Path("p"))
    assert settings.limits == Limits(max_k=7, allow_ignore_policies=False)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    # As docker compose writes it for ${POLICIES:-}: not the folder "", which would be the working directory.
    monkeypatch.setenv("TILLER_POLICIES", "")
    assert read_settings(["--bundle", "b"]).policies is None


def test_every_fault_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLER_POLCIES", "examples")
    monkeypatch.setenv("TILLER_DATA", "another program's")
    assert _refusal("--port", "70000", "--max-k=0", "--log-level", "loud", "--prot", "3") == (
        "6 settings are wrong:\n"
        "  TILLER_POLCIES: no such setting (did you mean TILLER_POLICIES?)\n"
        "  --max-k (TILLER_MAX_K): found '0', expected: greater than or equal to 1\n"
        "  --bundle (TILLER_BUNDLE): not given, expected: folder of the bundle to serve; its checksums are proved at "
        "start\n"
        "  --port (TILLER_PORT): found '70000', expected: less than or equal to 65535\n"
        "  --log-level (TILLER_LOG_LEVEL): found 'loud', expected: 'debug', 'info', 'warning' or 'error'\n"
        "  no such argument: '--prot' (did you mean --port?)\n"
        "python -m server --help lists them all."
    )


def test_a_stray_word_and_a_flag_without_value() -> None:
    assert _refusal("--bundle", "b", "stray") == (
        "1 setting is wrong:\n  no such argument: 'stray'\npython -m server --help lists them all."
    )
    assert _refusal("--bundle") == (
        "1 setting is wrong:\n  argument --bundle: expected one argument\npython -m server --help lists them all."
    )


def test_what_kubernetes_puts_into_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLER_PORT", "tcp://10.0.0.1:50051")
    assert _refusal("--bundle", "b") == (
        "1 setting is wrong:\n"
        "  --port (TILLER_PORT): found 'tcp://10.0.0.1:50051', expected: a valid integer, unable to parse string as an "
        "integer. Kubernetes sets it for a Service named tiller: set enableServiceLinks: false.\n"
        "python -m server --help lists them all."
    )


def test_help_has_every_flag_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert [
        name for name in Settings.model_fields if f"--{name.replace('_', '-')} " not in text.replace(",", " ")
    ] == []
    assert "python -m server --bundle bundles/demo" in text


def test_settings_are_frozen_and_refuse_unknown_keys() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Settings(bundle=Path("b"), prot=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="frozen"):
        Settings(bundle=Path("b")).port = 1  # type: ignore[misc]
