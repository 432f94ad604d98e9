"""``python -m client.probe [HOST:PORT]``: exit 0 if the server there says it serves, 1 if not. For health checks.

HEALTHCHECK CMD ["python", "-m", "client.probe"]         livenessProbe: exec: command: [python, -m, client.probe]
"""

from __future__ import annotations

import sys

from client.client import TillerClient
from client.errors import TillerRpcError

DEFAULT_TARGET = "127.0.0.1:50051"
TIMEOUT = 2.0


def main(arguments: list[str]) -> int:
    """Ask once, for two seconds at most."""
    target = arguments[0] if arguments else DEFAULT_TARGET
    with TillerClient(target) as client:
        try:
            client.wait_ready(TIMEOUT)
        except TillerRpcError as error:
            print(f"{target}: not serving: {error}", file=sys.stderr)
            return 1
    print(f"{target}: serving")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
