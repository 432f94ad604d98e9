"""``python -m server --bundle DIR [--policies DIR] [--host] [--port] ...``; ``--help`` lists every flag."""

import os
import sys

# Read by OpenMP, BLAS and the gRPC core when they are first imported, so they are set before anything else is.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from server.app import main

if __name__ == "__main__":
    sys.exit(main())
