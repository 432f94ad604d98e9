"""Known vulnerabilities of what is installed: python .ci/audit.py (after `make .venv/.installed-dev`).

Exits with 1 where pip-audit finds one. Where no advisory source can be reached it says so, loudly, and exits with 0: a
gate that cannot look must not pretend it did, nor stop everybody. With TILLER_AUDIT=required it exits with 2 then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

FOUND, BLIND = 1, 2


def main() -> int:
    """Audit this interpreter's environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return _blind(f"pip-audit could not run: {reason}")
    verdict, told = judge(packages)
    print(told)
    return verdict if verdict != BLIND else _blind("no advisory source answers from here")


def judge(packages: list[dict[str, Any]]) -> tuple[int, str]:
    """The verdict over pip-audit's list, and what to say."""
    looked = [one for one in packages if "vulns" in one and "skip_reason" not in one]
    skipped = [one for one in packages if "skip_reason" in one and "editable" not in one["skip_reason"]]
    found = [(one, vuln) for one in looked for vuln in one["vulns"]]
    lines = [f"{len(looked)} packages audited, {len(skipped)} not, {len(found)} vulnerabilities"]
    lines += [
        f"  {one['name']} {one['version']}: {vuln['id']}, fixed in {', '.join(vuln['fix_versions']) or 'none yet'}"
        for one, vuln in found
    ]
    return (FOUND if found else 0 if looked else BLIND), "\n".join(lines)


def _blind(reason: str) -> int:
    required = os.environ.get("TILLER_AUDIT") == "required"
    print(f"NOT AUDITED: {reason}. Nothing is known about vulnerabilities of the installed packages.", file=sys.stderr)
    return BLIND if required else 0


if __name__ == "__main__":
    sys.exit(main())
