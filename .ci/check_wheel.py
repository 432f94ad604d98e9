"""Proves that the built wheel is whole: every package is in it, nothing else is, and it runs away from the source.

    python .ci/check_wheel.py dist

The wheel is unpacked into an empty folder, where `python -m server --help` and `tiller --help` must answer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """0 when the newest wheel of the given folder is whole; else 1, with a sentence."""
    wheels = sorted(Path(sys.argv[1]).glob("tiller-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        return _refuse(f"{sys.argv[1]}: no wheel")
    with zipfile.ZipFile(wheels[-1]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        wanted = _source_files()
        if missing := sorted(wanted - held):
            return _refuse(f"{wheels[-1].name} lacks {', '.join(missing[:5])} ({len(missing)} files)")
        if extra := sorted(held - wanted):
            return _refuse(f"{wheels[-1].name} holds what git does not: {', '.join(extra[:5])} ({len(extra)} files)")
        with tempfile.TemporaryDirectory() as folder:
            archive.extractall(folder)
            for command in (["-m", "server", "--help"], ["-c", "from cli.main import run; run(['--help'])"]):
                done = subprocess.run(
                    [sys.executable, "-P", *command], cwd=folder, env={"PYTHONPATH": folder, "PATH": ""},
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode:
                    return _refuse(f"python {' '.join(command)} from the wheel: {done.stderr.strip()[-500:]}")
    print(f"{wheels[-1].name}: {len(held)} files, server and tiller run from it")
    return 0


def _source_files() -> set[str]:
    """Files of the packages that git knows."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    listed = subprocess.run(
        ["git", "ls-files", "--", *packages["packages"]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
