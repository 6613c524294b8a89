"""`findings`, and how it and `scan` write findings."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TextIO

from ..findings import Finding, FingerprintError, called
from ..model import Severity
from ..report import iso, record, write_csv
from ..rule import date_text
from ..settings import Settings
from ..silences import Silence, muting
from ..text import amounts, visible
from .arguments import moment
from .output import emit, rich_text

DONE, USAGE = 0, 2


def add(commands: Any, shared: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    """Add this command to a parser."""
    findings = commands.add_parser("findings", parents=[shared, listing], help="list the stored findings")
    findings.add_argument("--all", action="store_true", help="resolved and aged-out ones too")
    findings.add_argument("--since", type=moment, metavar="DATE", help="what changed since then, resolved ones too")
    findings.add_argument(
        "--history",
        metavar="FINGERPRINT",
        help="what became of one finding, and who was told; its first digits are enough",
    )
    findings.set_defaults(run=_findings)


async def _findings(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    async with app.connect(settings) as clients:
        assert clients.tables
        tenant_id = await app.watched_tenant(clients.tables)
        stored = await clients.tables.list_findings(tenant_id) if tenant_id else None
    if options.history:
        return _history(options, stored.findings if stored else ())
    found = [one for one in stored.findings if _wanted(one, options)] if stored else []
    silences = stored.others.silences if stored else ()
    write(options, sorted(found, key=lambda one: (-one.severity, one.resource_name.lower())), now, silences)
    quiet = muted(found, now, silences)
    if quiet:
        print(f"{amounts({'findings': len(found)})}{quiet}", file=sys.stderr)
    if stored is None:
        print("no scan has finished yet", file=sys.stderr)
    elif stored.damaged or stored.foreign:
        rows = amounts({"rows": len(stored.damaged) + len(stored.foreign)})
        print(f"not understood and not listed: {rows}", file=sys.stderr)
    return DONE


def _wanted(finding: Finding, options: argparse.Namespace) -> bool:
    if options.since:
        return bool(finding.changed >= options.since)
    return finding.open or bool(options.all)


def muted(findings: Sequence[Finding], now: datetime, silences: Sequence[Silence]) -> str:
    """How many of these are silenced, as the end of a sentence; empty for none."""
    number = len(muting(findings, now, silences))
    return f", {number} of them silenced" if number else ""


def _history(options: argparse.Namespace, findings: Sequence[Finding]) -> int:
    """What became of one finding, the oldest line first."""
    try:
        found = called(findings, options.history)
    except FingerprintError as error:
        print(f"fusewatch: {visible(str(error), 1000)}", file=sys.stderr)
        return USAGE
    lines = [{"when": iso(one.when), "what": one.what} for one in found.history]
    if options.format == "json":
        text = json.dumps({**record(found), "history": lines}, indent=2) + "\n"
    else:
        told = "".join(f"{line['when']}  {visible(str(line['what']))}\n" for line in lines)
        text = f"{visible(found.title)}\n{told}"
    emit(lambda file: file.write(text), options.output)
    return DONE


def write(options: argparse.Namespace, findings: Sequence[Finding], now: datetime, silences: Sequence[Silence]) -> None:
    """Write findings as the options say: a table, JSON or a sheet, to stdout or a file."""
    # A sheet brings its own line ends.
    newline = "" if options.format == "csv" else None
    emit(lambda file: _print(options.format, findings, now, silences, file), options.output, newline)


def _print(form: str, findings: Sequence[Finding], now: datetime, silences: Sequence[Silence], file: TextIO) -> None:
    if form == "csv":
        write_csv(findings, file)
    elif form == "json":
        # A terminal would obey control characters that a name holds.
        plain = (file.encoding or "").lower().replace("-", "") != "utf8" or file.isatty()
        json.dump([record(finding) for finding in findings], file, indent=2, ensure_ascii=plain)
        file.write("\n")
    else:
        _table(findings, now, silences, file)


def _table(findings: Sequence[Finding], now: datetime, silences: Sequence[Silence], file: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    from ..card import remaining, whose

    colours = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    closed = not all(one.open for one in findings)
    quiet = muting(findings, now, silences)
    table.add_column("FINGERPRINT", no_wrap=True)
    for heading in ("SEVERITY", *(["STATUS"] if closed else []), "FINDING", "END", "OWNER"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        end = f"{date_text(one.expires_on)} ({remaining(one.expires_on, now)})" if one.expires_on else ""
        owner = whose(one).removeprefix("owners ").removeprefix("owner ")
        # Text, not str: rich would read names in square brackets as markup.
        table.add_row(
            Text(one.fingerprint[:DIGITS]),
            Text(
                one.severity.label + (" (silenced)" if one.fingerprint in quiet else ""),
                style=colours[one.severity],
            ),
            *([Text(one.status.value)] if closed else []),
            Text(visible(one.title)),
            Text(end),
            Text(visible(owner)),
        )
    rich_text(file, table if findings else "no findings")


DIGITS = 8
"""How much of a fingerprint a table shows: where more is needed, the commands say so."""
