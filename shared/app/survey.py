"""Everything that a report shows: a scan that keeps nothing and looks a year ahead, and what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..clients.scan_rows import ScanRow, scan_key, scan_of
from ..clients.tables import Tables
from ..clients.values import UNCLEAR
from ..ends import YEAR
from ..settings import Settings
from .connect import Clients
from .estate import Progress, silent
from .scan import Report, scan

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The tenant as it is now, and how the watch has been going."""

    report: Report
    scans: tuple[ScanRow, ...] = ()
    """The finished scans of the last seven days, the newest first."""
    stored: bool = False
    """Whether there is storage, so that scans and silences are known."""


async def survey(clients: Clients, settings: Settings, now: datetime, progress: Progress = silent) -> Survey:
    """Read the tenant and what is stored of it; writes nothing. Raises ReadError and StorageError as scan() does."""
    report = await scan(clients, settings, now, progress, keep=False, ahead=YEAR)
    tables = clients.tables
    scans = await _scans(tables, now) if tables else ()
    return Survey(report=report, scans=scans, stored=tables is not None)


async def _scans(tables: Tables, now: datetime) -> tuple[ScanRow, ...]:
    found = []
    condition = "PartitionKey eq 'scan' and RowKey le @oldest"
    async for row in tables.list_rows("scans", condition, oldest=scan_key(now - WEEK)):
        try:
            one = scan_of(row)
        except UNCLEAR:
            continue
        # A clock that was wrong, or --now, may have written one of the future.
        if one.finished <= now + timedelta(days=1):
            found.append(one)
    return tuple(found)
