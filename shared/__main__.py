"""`python -m shared COMMAND`: the command line."""

import os
import sys
import traceback
from datetime import UTC, datetime

from .cli import PARTIAL, main

if __name__ == "__main__":
    try:
        status = main(sys.argv[1:], os.environ, datetime.now(UTC))
    except Exception:
        # Python's own status for an error is 1, and that says "findings" here.
        traceback.print_exc()
        status = PARTIAL
    sys.exit(status)
