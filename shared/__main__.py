"""`python -m shared COMMAND`: the command line."""

import os
import sys
from datetime import UTC, datetime

from .cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, datetime.now(UTC)))
