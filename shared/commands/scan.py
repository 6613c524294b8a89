"""`scan`: read the tenant and judge it, with progress on a terminal."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from ..text import amounts
from .arguments import severity
from .findings import muted, write
from .output import tell_unread

if TYPE_CHECKING:
    from ..app import Progress

DONE, FOUND, PARTIAL = 0, 1, 3


def add(commands: Any, shared: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    """Add this command to a parser."""
    scan = commands.add_parser("scan", parents=[shared, listing], help="read the tenant and judge it")
    scan.add_argument("--dry-run", action="store_true", help="store and send nothing; needs no storage")
    scan.add_argument("--fail-on", type=severity, metavar="SEVERITY", help="exit 1 if a finding is at least that bad")
    scan.set_defaults(run=_scan)


async def _scan(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    async with app.connect(settings, storage=not options.dry_run) as clients:
        with _Bars() as progress:
            report = await app.scan(clients, settings, now, progress)
    snapshot = report.snapshot
    write(options, report.findings, now, report.silences)
    number = amounts({"open_findings": len(report.findings)})
    print(
        f"read {amounts(snapshot.counts)}; {number}{muted(report.findings, now, report.silences)}",
        file=sys.stderr,
    )
    tell_unread(snapshot.unread)
    if snapshot.unread:
        return PARTIAL
    worst = max((one.severity for one in report.findings), default=None)
    return FOUND if options.fail_on is not None and worst is not None and worst >= options.fail_on else DONE


class _Bars:
    """Progress bars on stderr, and only on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        self._progress.start()
        return self._show

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def _show(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)
