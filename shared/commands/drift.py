"""`event`, `accept` and `impact`: what a person does about role assignments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..access import last_segment
from ..events import EventError, decode
from ..findings import FingerprintError
from ..settings import Settings
from ..text import visible
from .output import emit, rich_text, tell_unread

if TYPE_CHECKING:
    from ..app.impact import Impact
    from ..needs import Support

DONE, USAGE, PARTIAL = 0, 2, 3


def add(commands: Any, shared: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add these commands to a parser."""
    event = commands.add_parser("event", parents=[shared], help="put an event of Event Grid into the inbox")
    event.add_argument("file", metavar="FILE", help="JSON, an event or a list of them, in either schema; - is stdin")
    event.set_defaults(run=_event)
    accept = commands.add_parser("accept", parents=[shared], help="say that a lost right is meant to be lost")
    accept.add_argument(
        "fingerprint",
        metavar="FINGERPRINT",
        help="of the finding: the digits that the tables of scan and findings show are enough",
    )
    accept.add_argument("--comment", required=True, help="why, for whoever asks later")
    accept.add_argument("--by", default=env.get("USER", ""), help="who says so; default: the user who runs this")
    accept.set_defaults(run=_accept)
    impact = commands.add_parser("impact", parents=[shared], help="which role assignments clusters rest on")
    one = impact.add_mutually_exclusive_group()
    one.add_argument("--cluster", metavar="ID", help="only those of this cluster, by resource id or name")
    one.add_argument("--principal", metavar="ID", help="only those of this identity or group, by object id")
    one.add_argument("--assignment", metavar="ID", help="only this role assignment, by resource id or GUID")
    impact.add_argument("--format", choices=("table", "json"), default="table")
    impact.set_defaults(run=_impact, dry_run=True)


async def _event(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        print(f"fusewatch: {visible(options.file)}: {reason}", file=sys.stderr)
        return USAGE
    events = found if isinstance(found, list) else [found]
    for number, event in enumerate(events, 1):
        try:
            if not isinstance(event, dict):
                raise EventError("it is no object")
            change = decode(event)
        except EventError as error:
            print(f"fusewatch: event {number} of {visible(options.file)}: {error}", file=sys.stderr)
            return USAGE
        what = f"{change.change} of {change.resource_id}" if change else "none of the changes that are handled"
        print(f"event {number}: {visible(what, 600)}", file=sys.stderr)
    async with app.connect_tables(settings) as tables:
        fresh = [await app.role_changed(tables, event, now) for event in events]
    print(
        f"{sum(fresh)} put into the inbox, {len(fresh) - sum(fresh)} were there already; `settle` deals with them",
        file=sys.stderr,
    )
    return DONE


async def _accept(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    if not options.by.strip() or not options.comment.strip():
        print("fusewatch: give --by and --comment: somebody will ask", file=sys.stderr)
        return USAGE
    async with app.connect_tables(settings) as tables:
        tenant_id = await app.watched_tenant(tables)
        try:
            closed = await app.accept(
                tables, settings, tenant_id, options.fingerprint, options.by.strip(), options.comment.strip(), now
            )
        except (FingerprintError, app.AcceptError) as error:
            print(f"fusewatch: {visible(str(error), 1000)}", file=sys.stderr)
            return USAGE
    print(f"accepted: {visible(closed.title)}", file=sys.stderr)
    return DONE


async def _impact(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    async with app.connect(settings, storage=False) as clients:
        found = await app.impact(clients, settings, now, about=options.principal or options.assignment or "")
    wanted = [one for one in found.supports if _asked(one, options)]
    tell_unread(found.unread)
    if not wanted and found.unread:
        # An empty list would be an answer, and somebody would delete by it.
        print(
            "fusewatch: not known: nothing was found that rests on it, and what is named above could not be read",
            file=sys.stderr,
        )
        return PARTIAL
    if not wanted and (missing := _not_read(options, found)):
        print(f"fusewatch: {visible(missing, 1000)}", file=sys.stderr)
        return USAGE
    if options.format == "json":
        text = json.dumps([record(one, found) for one in wanted], indent=2) + "\n"
        emit(lambda file: file.write(text))
    else:
        emit(lambda file: _table(wanted, found, file))
    return PARTIAL if found.unread else DONE


def _not_read(options: argparse.Namespace, found: Impact) -> str:
    """What was asked about and is nothing that was read; empty if it was read."""
    if options.cluster and _bare(options.cluster) not in found.clusters:
        return f"no cluster called {options.cluster} was read: give its name or resource id"
    if options.principal and options.principal.lower() not in found.principals:
        return f"no identity, and nobody who holds a role, called {options.principal} was read: give an object id"
    if options.assignment and _bare(options.assignment) not in found.assignments:
        return f"no role assignment called {options.assignment} was read: give its resource id or GUID"
    return ""


def _bare(name: str) -> str:
    return name.lower().rstrip("/")


def _asked(support: Support, options: argparse.Namespace) -> bool:
    need, holder = support.need, support.grant.assignment.principal_id.lower()
    if options.cluster:
        return _bare(options.cluster) in (need.cluster_id.lower(), need.cluster.lower())
    if options.principal:
        return options.principal.lower() in (holder, need.principal_id.lower())
    if options.assignment:
        return _bare(options.assignment) in (support.assignment_id.lower(), last_segment(support.assignment_id))
    return True


def record(support: Support, found: Impact) -> dict[str, Any]:
    """A load-bearing assignment as the JSON that scripts read; these keys are stable."""
    need, one = support.need, support.grant.assignment
    return {
        "cluster": need.cluster,
        "cluster_id": need.cluster_id,
        "identity": need.identity.value,
        "assignment_id": one.id,
        "principal_id": one.principal_id,
        "through_group": support.grant.group,
        "role": found.role(one.role_id),
        "role_id": one.role_id,
        "scope": one.scope,
        "needed_at": need.scope,
        "rule": need.rule,
        "fails": need.fails,
        "without": support.without.label,
    }


def _table(supports: list[Support], found: Impact, file: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("CLUSTER", "IDENTITY", "ROLE", "SCOPE", "WITHOUT IT"):
        table.add_column(heading, overflow="fold")
    for support in supports:
        need, one = support.need, support.grant.assignment
        through = f", through group {support.grant.group}" if support.grant.group else ""
        cells = (need.cluster, need.identity.value + through, found.role(one.role_id), one.scope, need.fails)
        # Text, not str: rich would read names in square brackets as markup.
        table.add_row(*(Text(visible(cell, 600)) for cell in cells))
    rich_text(file, table if supports else "nothing rests on it")
