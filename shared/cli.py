"""The command line: the same use cases as the functions, for a person at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .findings import Finding
from .model import TENANT, Severity
from .rule import date_text
from .settings import Settings, SettingsError
from .text import visible

if TYPE_CHECKING:
    from .app import Progress

DONE, FOUND, USAGE, PARTIAL = 0, 1, 2, 3
"""Exit statuses: done; findings at or above --fail-on; wrong usage or settings; the scan was partial or failed."""


class OutputError(Exception):
    """The findings could not be written where --output says."""


def main(arguments: Sequence[str], env: Mapping[str, str], now: datetime) -> int:
    """Run one command and return its exit status; errors are one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter gets its number.
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        settings = Settings.from_env(env)
    except SettingsError as error:
        print(f"fusewatch: {error}", file=sys.stderr)
        return USAGE
    for warning in settings.warnings:
        print(f"fusewatch: warning: {warning}", file=sys.stderr)
    if getattr(options, "dry_run", False) is False and not (settings.tables_endpoint or settings.storage.reveal()):
        print(
            "fusewatch: no storage: set TABLES_ENDPOINT, or AzureWebJobsStorage=UseDevelopmentStorage=true for "
            "Azurite; `scan --dry-run` needs none",
            file=sys.stderr,
        )
        return USAGE
    return asyncio.run(_run(options, settings, options.now or now))


async def _run(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    # Imported here: the SDKs take a second to load, and --help needs none of them.
    from .clients.http import ReadError
    from .clients.storage import StorageError
    from .clients.teams import DeliveryError

    try:
        status: int = await options.run(options, settings, now)
    except SettingsError as error:
        print(f"fusewatch: {error}", file=sys.stderr)
        return USAGE
    except (ReadError, StorageError, DeliveryError, OutputError) as error:
        print(f"fusewatch: {visible(str(error), 1000)}", file=sys.stderr)
        return USAGE if isinstance(error, OutputError) else PARTIAL
    return status


async def _scan(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from . import app

    async with app.connect(settings, storage=not options.dry_run) as clients:
        with _Bars() as progress:
            report = await app.scan(clients, settings, now, progress)
    snapshot = report.snapshot
    _write(options, report.findings, now)
    counts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in snapshot.counts.items())
    print(f"read {counts}; {len(report.findings)} open findings", file=sys.stderr)
    for unread in snapshot.unread:
        where = "" if unread.scope == TENANT else f" of {unread.scope}"
        mend = f"; it needs {unread.permission}" if unread.permission else ""
        text = f"NOT read: {unread.kind.__name__}{where}: {unread.reason}{mend}"
        print(f"fusewatch: {visible(text, 1000)}", file=sys.stderr)
    if snapshot.unread:
        return PARTIAL
    worst = max((one.severity for one in report.findings), default=None)
    return FOUND if options.fail_on is not None and worst is not None and worst >= options.fail_on else DONE


async def _findings(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from . import app

    async with app.connect(settings) as clients:
        assert clients.tables
        tenant_id = await app.watched_tenant(clients.tables)
        stored = await clients.tables.list_findings(tenant_id) if tenant_id else None
    found = [one for one in stored.findings if one.open or options.all] if stored else []
    _write(options, sorted(found, key=lambda one: (-one.severity, one.resource_name.lower())), now)
    if stored is None:
        print("no scan has finished yet", file=sys.stderr)
    elif stored.damaged or stored.foreign:
        print(f"{len(stored.damaged) + len(stored.foreign)} rows are not understood and not listed", file=sys.stderr)
    return DONE


async def _settle(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from . import app

    async with app.connect(settings) as clients:
        settled = await app.settle(clients, settings, now)
    print(
        f"{settled.accepted} cards accepted, {settled.refused} refused, {settled.waiting} findings still to be told",
        file=sys.stderr,
    )
    return PARTIAL if settled.refused else DONE


async def _webhook_test(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .clients.http import Patience, session
    from .clients.teams import Teams
    from .owners import team_key

    team = team_key(options.team) if options.team else ""
    receiver = settings.receivers.get(team)
    if receiver is None:
        known = ", ".join(sorted(one.name for one in settings.receivers.values())) or "none"
        print(f"fusewatch: no receiver is set for {options.team or 'the fallback'}; set are: {known}", file=sys.stderr)
        return USAGE
    from .card import greeting

    async with session(Patience()) as pool:
        await Teams(pool).send(receiver, greeting(now))
    print(f"{receiver.name} accepted a test card; look whether it shows in the channel", file=sys.stderr)
    return DONE


def _write(options: argparse.Namespace, findings: Sequence[Finding], now: datetime) -> None:
    try:
        if options.output:
            with Path(options.output).open("w", encoding="utf-8") as file:
                _print(options.format, findings, now, file)
        else:
            _print(options.format, findings, now, sys.stdout)
            sys.stdout.flush()
    except OSError as error:
        if not options.output:
            # What is left in the buffer would fail once more when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"could not write {options.output or 'the findings'}: {error.strerror}") from error


def _print(form: str, findings: Sequence[Finding], now: datetime, file: TextIO) -> None:
    if form == "json":
        plain = (file.encoding or "").lower().replace("-", "") != "utf8"
        json.dump([record(finding) for finding in findings], file, indent=2, ensure_ascii=plain)
        file.write("\n")
    else:
        _table(findings, now, file)


def record(finding: Finding) -> dict[str, Any]:
    """A finding as the JSON that scripts read; these keys are stable."""
    return {
        "fingerprint": finding.fingerprint,
        "rule": finding.rule,
        "severity": finding.severity.label,
        "status": finding.status.value,
        "resource_id": finding.resource_id,
        "title": finding.title,
        "facts": dict(finding.facts),
        "owners": [owner.label for owner in finding.owners],
        "expires_on": _iso(finding.expires_on),
        "first_seen": _iso(finding.first_seen),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _table(findings: Sequence[Finding], now: datetime, file: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .card import remaining, whose

    colours = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    closed = not all(one.open for one in findings)
    for heading in ("SEVERITY", *(["STATUS"] if closed else []), "FINDING", "END", "OWNER"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        end = f"{date_text(one.expires_on)} ({remaining(one.expires_on, now)})" if one.expires_on else ""
        owner = whose(one).removeprefix("owners ").removeprefix("owner ")
        # Text, not str: rich would read names in square brackets as markup.
        table.add_row(
            Text(one.severity.label, style=colours[one.severity]),
            *([Text(one.status.value)] if closed else []),
            Text(visible(one.title)),
            Text(end),
            Text(visible(owner)),
        )
    console = Console(file=file, highlight=False, width=None if file.isatty() else 160)
    # On a broken pipe rich would end the program itself, and with status 1.
    with console.capture() as text:
        console.print(table if findings else "no findings")
    file.write(text.get())


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


def _moment(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date, such as 2026-11-24 or 2026-11-24T06:00Z") from None
    if not 1970 <= parsed.year < 9000:
        raise argparse.ArgumentTypeError(f"{text!r} is outside the years 1970 to 8999")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _severity(text: str) -> Severity:
    try:
        return Severity.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--verbose", action="store_true", help="log what is done to stderr")
    shared.add_argument("--now", type=_moment, metavar="DATE", help="judge as of this moment (UTC) instead of now")
    listing = argparse.ArgumentParser(add_help=False)
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.add_argument("--output", metavar="FILE", help="write the findings there instead of to stdout")

    parser = argparse.ArgumentParser(
        prog="python -m shared",
        description="Fusewatch: watches the identities that AKS clusters run on. Settings come from the environment.",
        epilog="Exit status: 0 done, 1 findings at or above --fail-on, 2 wrong usage or settings, 3 the scan was "
        "partial or failed.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    scan = commands.add_parser("scan", parents=[shared, listing], help="read the tenant and judge it")
    scan.add_argument("--dry-run", action="store_true", help="store and send nothing; needs no storage")
    scan.add_argument("--fail-on", type=_severity, metavar="SEVERITY", help="exit 1 if a finding is at least that bad")
    scan.set_defaults(run=_scan)
    settle = commands.add_parser("settle", parents=[shared], help="tell the owners what is due")
    settle.set_defaults(run=_settle)
    findings = commands.add_parser("findings", parents=[shared, listing], help="list the stored findings")
    findings.add_argument("--all", action="store_true", help="resolved and aged-out ones too")
    findings.set_defaults(run=_findings)
    test = commands.add_parser("webhook-test", parents=[shared], help="send a test card")
    test.add_argument("--team", help="to that team's receiver instead of the fallback")
    test.set_defaults(run=_webhook_test, dry_run=True)
    return parser
