"""Fixtures every test may ask for, and the two declared reasons not to collect a test."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import settings

# A property is right or wrong, not fast or slow. Where CI is set hypothesis also draws the same examples every time.
settings.register_profile("tiller", settings(), deadline=None)
settings.load_profile("tiller")

# A shell that puts the suite into its background has it ignore Ctrl-C, and so would every process that tests interrupt.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
HAS_TRAIN = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("sklearn") is not None

# The no-torch job runs the serving side's tests in an environment that cannot import these, nor has the tools of `dev`.
# What can be imported there, and not run, is marked `train`.
NEED_TRAIN = [
    "sae",
    "offline",
    "cli/test_train.py",
    "cli/test_calibrating.py",
    "cli/test_reproduce.py",
    "cli/test_bundle_align.py",
    "test_demo.py",
    "test_readme.py",
]
NEED_DEV = ["test_imports.py", "test_protos.py"]
collect_ignore = [] if HAS_TRAIN else [*NEED_TRAIN, *NEED_DEV]


def find_data() -> Path | None:
    """Folder of the real archives: $TILLER_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("TILLER_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without torch, ``train`` tests are left out; without data, ``data`` tests are skipped, with the reason."""
    if not HAS_TRAIN:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("train")])
        items[:] = [item for item in items if not item.get_closest_marker("train")]
    if find_data() is not None:
        return
    absent = pytest.mark.skip(reason="real data not found: set TILLER_DATA or put the archives into ../shared/data")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(absent)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skipped test fails the run: what is not meant to run there is deselected, aloud, in .ci/run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None or hasattr(session.config, "workerinput"):
        return
    if skipped := reporter.stats.get("skipped", []):
        reporter.write_line(f"\nCI=true: {len(skipped)} skipped, none may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder that holds the real archives."""
    folder = find_data()
    assert folder is not None, "a test that asks for data_dir must be marked with pytest.mark.data"
    return folder
