"""`python -m rlvr.trainer CONFIG`, and under `torchrun` with `-m rlvr.trainer CONFIG`."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
