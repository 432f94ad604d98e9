"""Each part is one command, its figures one file: OUT/PART.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.reliability import bundles, policies, requests, soak
from benchmarks.reliability.faults import parts as faults

PARTS = {
    "requests": (requests, "hostile requests over gRPC: a clear refusal or a right answer"),
    "policies": (policies, "mutated policy files: refused by name, or they do what they say"),
    "bundles": (bundles, "mutated bundles: every damage is found before anything is served"),
    "faults": (faults, "SIGKILL, full and read-only disks, clock jumps, rude clients"),
    "soak": (soak, "half an hour at 70 %% of capacity: does anything grow?"),
}


def main() -> int:
    """Run a part; 0 where every promise held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    for name, (module, help_text) in PARTS.items():
        part = parts.add_parser(
            name, help=help_text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        part.add_argument("--out", type=Path, default=Path("runs/reliability"), help="folder of the figures")
        module.arguments(part)
        part.set_defaults(run=module.run)
    asked = parser.parse_args()
    status: int = asked.run(asked)
    return status


if __name__ == "__main__":
    sys.exit(main())
