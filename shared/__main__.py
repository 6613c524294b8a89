"""`python -m shared COMMAND`: the command line."""

import os
import sys
import traceback
from datetime import UTC, datetime

USAGE, PARTIAL = 2, 3


def _command() -> int:
    try:
        # Imported here: without the packages, this is where it ends.
        from .cli import main

        return main(sys.argv[1:], os.environ, datetime.now(UTC))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package == "shared" or package in sys.stdlib_module_names:
            raise
        print(
            f"fusewatch: packages are missing ({package}): pip install --require-hashes -r requirements.txt",
            file=sys.stderr,
        )
        return USAGE


if __name__ == "__main__":
    try:
        status = _command()
    except Exception:
        # Python's own status for an error is 1, and that says "findings" here.
        traceback.print_exc()
        status = PARTIAL
    sys.exit(status)
