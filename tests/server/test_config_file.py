"""Settings of a file: precedence, and every fault of file, environment and flags at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.arguments import PREFIX, SettingsRefused, read_settings
from server.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tiller.yaml"


def _refusal(*argv: str) -> str:
    with pytest.raises(SettingsRefused) as caught:
        read_settings(argv)
    return str(caught.value)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        "bundle: from-file\nmax-k: 7\nmax_rules: 8\nport: 1\nreuse-port: true\nallow-ignore-policies: true\n"
    )
    monkeypatch.setenv("TILLER_MAX_RULES", "9")
    monkeypatch.setenv("TILLER_PORT", "2")
    settings = read_settings([f"--config={file}", "--port", "3", "--no-allow-ignore-policies"])
    assert (settings.bundle, settings.max_k, settings.max_rules, settings.port) == (Path("from-file"), 7, 9, 3)
    assert (settings.reuse_port, settings.allow_ignore_policies) == (True, False)


def test_a_variable_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("bundle: b\nmetrics-host: null\n")
    monkeypatch.setenv("TILLER_CONFIG", str(file))
    assert read_settings([]) == Settings(bundle=Path("b"), config=file)


def test_all_faults_of_all_three_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("# ours\nbundel: b\nport: high\nmax-k: 0\nmax_k: 3\nrules: [a]\nmax-batch: [1]\nconfig: x\n")
    monkeypatch.setenv("TILLER_LOG_LEVEL", "loud")
    told = _refusal("--config", str(file), "--drain-seconds", "-1").replace(str(file), "F")
    assert sorted(told.splitlines()) == sorted(
        (
            "10 settings are wrong:\n"
            "  F:2: bundel: no such setting (did you mean bundle?)\n"
            "  F:5: max_k: given twice\n"
            "  F:6: rules: no such setting (did you mean max-rules?)\n"
            "  F:8: config: no such setting\n"
            "  --drain-seconds (TILLER_DRAIN_SECONDS): found '-1', expected: greater than or equal to 0\n"
            "  --log-level (TILLER_LOG_LEVEL): found 'loud', expected: 'debug', 'info', 'warning' or 'error'\n"
            "  F:4: max-k: found 0, expected: greater than or equal to 1\n"
            "  F:7: max-batch: found [1], expected: a valid integer\n"
            "  --bundle (TILLER_BUNDLE): not given, expected: folder of the bundle to serve; "
            "its checksums are proved at start\n"
            "  F:3: port: found 'high', expected: a valid integer, unable to parse string as an integer\n"
            "python -m server --help lists them all."
        ).splitlines()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", ":1: no YAML: "),
        ("bundle: a\nbundle: b\n", ":2: no YAML: found duplicate key"),
        ("- bundle", ": found CommentedSeq, expected: settings, KEY: VALUE"),
        ("just words", "expected: settings, KEY: VALUE"),
        ("bundle: !!python/object/apply:os.system ['touch /tmp/owned']", "bundle: found"),
    ],
)
def test_a_file_that_is_none(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    assert said in _refusal("--config", str(file)).replace(str(file), "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert f"--config {tmp_path}/none.yaml: cannot be read: No such file or directory" in _refusal(
        "--bundle", "b", "--config", f"{tmp_path}/none.yaml"
    )


def test_an_empty_file_says_nothing(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert read_settings(["--bundle", "b", "--config", str(file)]) == Settings(bundle=Path("b"), config=file)


def test_what_contradicts_itself_is_told_before_anything_is_opened() -> None:
    told = _refusal("--bundle", "b", "--tls-cert", "c.pem", "--admin-port", "0", "--admin-host", "10.0.0.1")
    assert re.findall(r"^  (--[a-z-]+)", told, re.MULTILINE) == ["--tls-key", "--admin-host"]
