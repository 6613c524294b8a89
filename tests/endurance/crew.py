"""What each process of `make faults` does: it keeps an Azurite of its own and lives through one seed after the other."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import traceback
from multiprocessing.util import Finalize
from pathlib import Path

from simulator.azurite import Azurite

from .faults import tell
from .ledger import Full

_azurite: Azurite | None = None


def begin() -> None:
    """Start a worker's own Azurite; it is stopped with the worker."""
    global _azurite
    logging.disable(logging.CRITICAL)
    _azurite = Azurite(Path(tempfile.mkdtemp(prefix="endurance-")))
    _azurite.start()
    Finalize(_azurite, _azurite.stop, exitpriority=10)


def attempt(seed: int) -> tuple[int, str | None]:
    """What went wrong with a seed; empty if nothing did, None if its story outgrew the model."""
    assert _azurite
    try:
        asyncio.run(tell(seed, _azurite))
    except Full:
        return seed, None
    except Exception as error:
        if not _azurite.running:
            _azurite.start()
        return seed, "".join(traceback.format_exception_only(error)).strip()
    return seed, ""
