"""`report`: the tenant on one page, or what ends as a calendar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model import Application, ManagedCluster, ServicePrincipal, Subscription
from ..settings import Settings
from ..text import visible
from .output import emit, tell_unread

if TYPE_CHECKING:
    from ..app import Survey

DONE, USAGE, PARTIAL = 0, 2, 3
ASSETS = Path(__file__).parent.parent / "assets"


def add(commands: Any, shared: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add this command to a parser."""
    del env
    parser = commands.add_parser(
        "report",
        parents=[shared],
        help="the whole tenant on one page, or a calendar of what ends",
        description="Reads the tenant, and what is stored of it where storage is set; keeps and sends nothing.",
    )
    parser.add_argument("--output", metavar="FILE", required=True, help="the file to write; - is stdout")
    parser.add_argument("--format", choices=("html", "ics"), default="html")
    parser.set_defaults(run=_report, dry_run=True)


async def _report(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    storage = bool(settings.tables_endpoint or settings.storage.reveal())
    async with app.connect(settings, storage=storage) as clients:
        found = await app.survey(clients, settings, now)
    try:
        text = _calendar(found, options) if options.format == "ics" else _page(found, settings)
    except OSError as error:
        print(f"fusewatch: could not read {visible(str(error.filename))}: {error.strerror}", file=sys.stderr)
        return USAGE
    # Line ends as they are: a calendar's are CR LF.
    emit(lambda file: file.write(text), "" if options.output == "-" else options.output, newline="")
    unread = found.report.snapshot.unread
    tell_unread(unread)
    return PARTIAL if unread else DONE


def _page(found: Survey, settings: Settings) -> str:
    from ..overview import Pulse, overview
    from ..page import Assets, document
    from ..rules import BY_ID

    report = found.report
    pulses = [Pulse(finished=one.finished, partial=one.partial) for one in found.scans] if found.stored else None
    data = overview(
        report.snapshot,
        (*report.findings, *report.closed),
        report.silences,
        BY_ID,
        pulses=pulses,
        problems=settings.warnings,
        portal=settings.cloud.portal,
    )
    style, script, page = ((ASSETS / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js", "html"))
    return document(data, Assets(document=page, style=style, script=script))


def _calendar(found: Survey, options: argparse.Namespace) -> str:
    from ..ends import ends
    from ..ics import calendar

    before = ""
    if options.output != "-" and Path(options.output).exists():
        # What it replaces tells how often each event was changed before.
        before = Path(options.output).read_bytes().decode("utf-8", "replace")
    snapshot = found.report.snapshot
    partial = any(one.kind in (Application, ServicePrincipal, ManagedCluster, Subscription) for one in snapshot.unread)
    return calendar(ends(snapshot), snapshot.taken, snapshot.tenant_id, before, partial=partial)
