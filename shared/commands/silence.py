"""`silence add`, `end` and `list`: what is not announced, until when and why."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TextIO

from ..findings import FingerprintError, called
from ..report import iso
from ..settings import Settings
from ..silences import LONGEST, Silence, problem, silence
from ..text import amounts, visible
from .arguments import days, moment
from .output import emit

DONE, USAGE = 0, 2


def add(commands: Any, shared: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add these commands to a parser."""
    parser = commands.add_parser("silence", help="keep findings, and do not announce them")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    adding = commands.add_parser("add", parents=[shared], help="from now until an end, a year away at most")
    matcher = adding.add_mutually_exclusive_group(required=True)
    matcher.add_argument("--fingerprint", help="one finding: the digits that the tables of scan and findings show")
    matcher.add_argument("--rule", help="every finding of a rule")
    matcher.add_argument("--prefix", metavar="PATH", help="every finding on a resource path, such as /subscriptions/ID")
    end = adding.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", type=moment, metavar="DATE")
    end.add_argument("--days", type=days, metavar=f"1-{LONGEST.days}")
    adding.add_argument("--comment", required=True, metavar="TEXT", help="why")
    author = env.get("USER", "") or env.get("USERNAME", "")
    adding.add_argument(
        "--by", required=not author, default=author, metavar="WHO", help="who; the user's name if not given"
    )
    adding.set_defaults(run=_silence_add)
    ending = commands.add_parser("end", parents=[shared], help="end a silence now")
    ending.add_argument("id", metavar="ID")
    ending.set_defaults(run=_silence_end)
    listing = commands.add_parser("list", parents=[shared], help="those that are active")
    listing.add_argument("--all", action="store_true", help="those that ended too")
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.set_defaults(run=_silence_list)


async def _silence_add(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app
    from ..rules import BY_ID

    def made_for(fingerprint: str) -> Silence:
        return silence(
            since=now,
            until=options.until or now + timedelta(days=options.days),
            by=options.by,
            comment=options.comment,
            fingerprint=fingerprint,
            rule=options.rule or "",
            prefix=options.prefix or "",
        )

    # Which finding is meant is looked up later: all else can be wrong without storage.
    wrong = problem(made_for("0" * 32 if options.fingerprint else ""))
    if options.rule and options.rule not in BY_ID:
        wrong = f"no rule is called {visible(options.rule)}; rules are {', '.join(sorted(BY_ID))}"
    if wrong:
        print(f"fusewatch: no such silence: {wrong}", file=sys.stderr)
        return USAGE
    async with app.connect(settings) as clients:
        assert clients.tables
        tenant_id = await app.watched_tenant(clients.tables)
        if not tenant_id:
            print("fusewatch: no scan has finished yet, so there is nothing to silence", file=sys.stderr)
            return USAGE
        stored = await clients.tables.list_findings(tenant_id)
        try:
            made = made_for(called(stored.findings, options.fingerprint).fingerprint if options.fingerprint else "")
        except FingerprintError as error:
            made = made_for(options.fingerprint)
            if problem(made):
                print(f"fusewatch: {visible(str(error), 1000)}", file=sys.stderr)
                return USAGE
            print("fusewatch: warning: no stored finding has that fingerprint", file=sys.stderr)
        await app.add_silence(clients.tables, tenant_id, made)
    number = sum(1 for one in stored.findings if one.open and made.matches(one))
    muted = amounts({"open_findings": number})
    done = f"silence {made.id} until {made.until:%Y-%m-%d %H:%M} UTC; it mutes {muted} now\n"
    emit(lambda file: file.write(done))
    return DONE


async def _silence_end(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    async with app.connect(settings) as clients:
        assert clients.tables
        tenant_id = await app.watched_tenant(clients.tables)
        ended = await app.end_silence(clients.tables, tenant_id, options.id.lower(), now) if tenant_id else None
    if ended is None:
        print(f"fusewatch: no silence of the id {visible(options.id)} lasts: `silence list`", file=sys.stderr)
        return USAGE
    done = f"silence {ended.id} ended; what it muted is told by the next settle\n"
    emit(lambda file: file.write(done))
    return DONE


async def _silence_list(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    async with app.connect(settings) as clients:
        assert clients.tables
        tenant_id = await app.watched_tenant(clients.tables)
        stored = await clients.tables.list_findings(tenant_id) if tenant_id else None
    found = sorted(stored.others.silences, key=lambda one: (one.until, one.id)) if stored else []
    shown = [
        {
            "id": one.id,
            "status": "active" if one.active(now) else "ended",
            "matches": one.matcher,
            "findings": sum(1 for finding in stored.findings if finding.open and one.matches(finding)) if stored else 0,
            "since": iso(one.since),
            "until": iso(one.until),
            "by": one.by,
            "comment": one.comment,
        }
        for one in found
        if options.all or one.active(now)
    ]
    if options.format == "json":
        plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        text = json.dumps(shown, indent=2, ensure_ascii=plain) + "\n"
        emit(lambda file: file.write(text))
        return DONE
    rows = [[visible(str(value)) for value in one.values()] for one in shown]
    headings = ("ID", "STATUS", "MATCHES", "FINDINGS", "SINCE", "UNTIL", "BY", "COMMENT")
    emit(lambda file: _print_table(headings, rows, file))
    return DONE


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Columns as wide as they need to be; nothing in them is markup."""
    widths = [max(len(row[number]) for row in (headings, *rows)) for number in range(len(headings))]
    for row in (headings, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip(), file=file)
