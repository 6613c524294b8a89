"""The command line: the same use cases as the functions, for a person at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

from .commands import drift, preflight
from .commands import report as reporting
from .commands.output import OutputError, emit, rich_text, tell_unread
from .findings import Finding, FingerprintError, called
from .model import Severity
from .preflight import STORELESS
from .report import iso, record, write_csv
from .rule import date_text
from .settings import Settings, SettingsError
from .silences import LONGEST, Silence, muting, problem, silence
from .text import amounts, visible

if TYPE_CHECKING:
    from .app import Progress

DONE, FOUND, USAGE, PARTIAL = 0, 1, 2, 3
"""Exit statuses: done; findings at or above --fail-on; wrong usage or settings; the scan was partial or failed, or a
service that was needed did not answer or refused."""


def main(arguments: Sequence[str], env: Mapping[str, str], now: datetime) -> int:
    """Run one command and return its exit status; errors are one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter gets its number.
            stream.reconfigure(errors="backslashreplace")
    options = _parser(env).parse_args(arguments)
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
            f"Azurite; {STORELESS}",
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
    _write(options, report.findings, now, report.silences)
    number = amounts({"open_findings": len(report.findings)})
    print(
        f"read {amounts(snapshot.counts)}; {number}{_muted(report.findings, now, report.silences)}",
        file=sys.stderr,
    )
    tell_unread(snapshot.unread)
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
    if options.history:
        return _history(options, stored.findings if stored else ())
    found = [one for one in stored.findings if _wanted(one, options)] if stored else []
    silences = stored.others.silences if stored else ()
    _write(options, sorted(found, key=lambda one: (-one.severity, one.resource_name.lower())), now, silences)
    muted = _muted(found, now, silences)
    if muted:
        print(f"{amounts({'findings': len(found)})}{muted}", file=sys.stderr)
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


def _muted(findings: Sequence[Finding], now: datetime, silences: Sequence[Silence]) -> str:
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


async def _silence_add(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from . import app
    from .rules import BY_ID

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
    from . import app

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
    from . import app

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


async def _settle(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from . import app

    async with app.connect(settings) as clients:
        settled = await app.settle(clients, settings, now)
    cards, waiting = amounts({"cards": settled.accepted}), amounts({"findings": settled.waiting})
    said = f"{cards} accepted, {settled.refused} refused, {waiting} still to be told"
    if settled.until:
        waits = "1 waits for its" if settled.grace == 1 else f"{settled.grace} wait for their"
        said += f", {waits} grace until {settled.until:%H:%M} UTC"
    print(said, file=sys.stderr)
    return PARTIAL if settled.refused else DONE


async def _webhook_test(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .clients.http import Patience, session
    from .clients.teams import Teams
    from .owners import team_key

    if options.mention and not _PERSON.match(options.mention):
        print("fusewatch: --mention takes an object id or a user principal name", file=sys.stderr)
        return USAGE
    team = team_key(options.team) if options.team else ""
    receiver = settings.receivers.get(team)
    if receiver is None:
        known = ", ".join(sorted(one.name for one in settings.receivers.values())) or "none"
        print(f"fusewatch: no receiver is set for {options.team or 'the fallback'}; set are: {known}", file=sys.stderr)
        return USAGE
    if receiver.problem:
        # What is wrong with it has been said, as with every command.
        print(f"fusewatch: no card was sent: set {receiver.name} right first", file=sys.stderr)
        return USAGE
    from .card import greeting

    async with session(Patience()) as pool:
        await Teams(pool).send(receiver, greeting(now, options.mention or ""))
    if settings.tables_endpoint or settings.storage.reveal():
        await _takes_cards(settings, team)
    if options.mention:
        print("Teams may drop a card that mentions somebody whom it does not know", file=sys.stderr)
    print(f"{receiver.name} accepted a test card; look whether it shows in the channel", file=sys.stderr)
    return DONE


_PERSON = re.compile(r"[\w.'+#%-]+@[\w.-]+\Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
"""A user principal name (a guest's holds #EXT#) or an object id."""


async def _takes_cards(settings: Settings, team: str) -> None:
    """Forget that a receiver refused cards, now that it took one; without storage there is nothing to forget."""
    from . import app
    from .clients.storage import StorageError

    try:
        async with app.connect(settings) as clients:
            assert clients.tables
            tenant_id = await app.watched_tenant(clients.tables)
            if tenant_id:
                await app.takes_cards(clients.tables, tenant_id, team)
    except StorageError as error:
        print(f"fusewatch: warning: {visible(str(error), 1000)}", file=sys.stderr)


def _write(
    options: argparse.Namespace, findings: Sequence[Finding], now: datetime, silences: Sequence[Silence]
) -> None:
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

    from .card import remaining, whose

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


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Columns as wide as they need to be; nothing in them is markup."""
    widths = [max(len(row[number]) for row in (headings, *rows)) for number in range(len(headings))]
    for row in (headings, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip(), file=file)


DIGITS = 8
"""How much of a fingerprint a table shows: where more is needed, the commands say so."""


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


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= LONGEST.days:
        raise argparse.ArgumentTypeError(f"give 1 to {LONGEST.days}")
    return int(text)


def _severity(text: str) -> Severity:
    try:
        return Severity.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--verbose", action="store_true", help="log what is done to stderr")
    shared.add_argument("--now", type=_moment, metavar="DATE", help="judge as of this moment (UTC) instead of now")
    listing = argparse.ArgumentParser(add_help=False)
    listing.add_argument("--format", choices=("table", "json", "csv"), default="table")
    listing.add_argument("--output", metavar="FILE", help="write the findings there instead of to stdout")

    parser = argparse.ArgumentParser(
        prog="python -m shared",
        description="Fusewatch: watches the identities that AKS clusters run on. Settings come from the environment.",
        epilog="Exit status: 0 done, 1 findings at or above --fail-on, 2 wrong usage or settings, 3 the scan was "
        "partial or failed, or storage, Azure or a channel did not answer or refused, 4 preflight found a rule blind.",
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
    findings.add_argument("--since", type=_moment, metavar="DATE", help="what changed since then, resolved ones too")
    findings.add_argument(
        "--history",
        metavar="FINGERPRINT",
        help="what became of one finding, and who was told; its first digits are enough",
    )
    findings.set_defaults(run=_findings)
    _silence_parser(commands.add_parser("silence", help="keep findings, and do not announce them"), shared, env)
    drift.add(commands, shared, env)
    preflight.add(commands, shared, env)
    reporting.add(commands, shared, env)
    test = commands.add_parser("webhook-test", parents=[shared], help="send a test card")
    test.add_argument("--team", help="to that team's receiver instead of the fallback")
    test.add_argument("--mention", metavar="UPN_OR_ID", help="mention this person, to see whether Teams resolves it")
    test.set_defaults(run=_webhook_test, dry_run=True)
    return parser


def _silence_parser(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser("add", parents=[shared], help="from now until an end, a year away at most")
    matcher = add.add_mutually_exclusive_group(required=True)
    matcher.add_argument("--fingerprint", help="one finding: the digits that the tables of scan and findings show")
    matcher.add_argument("--rule", help="every finding of a rule")
    matcher.add_argument("--prefix", metavar="PATH", help="every finding on a resource path, such as /subscriptions/ID")
    end = add.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", type=_moment, metavar="DATE")
    end.add_argument("--days", type=_days, metavar=f"1-{LONGEST.days}")
    add.add_argument("--comment", required=True, metavar="TEXT", help="why")
    author = env.get("USER", "") or env.get("USERNAME", "")
    add.add_argument(
        "--by", required=not author, default=author, metavar="WHO", help="who; the user's name if not given"
    )
    add.set_defaults(run=_silence_add)
    ending = commands.add_parser("end", parents=[shared], help="end a silence now")
    ending.add_argument("id", metavar="ID")
    ending.set_defaults(run=_silence_end)
    listing = commands.add_parser("list", parents=[shared], help="those that are active")
    listing.add_argument("--all", action="store_true", help="those that ended too")
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.set_defaults(run=_silence_list)
