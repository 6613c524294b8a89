"""Alert to Adaptive Card 1.5: what a person who is paged reads, and how much of it fits into a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from .alerts import Alert, Entry
from .elements import LONG, Element, Mention, column, envelope, greeted, mentions, paragraph, runs, size
from .findings import Finding, Reason
from .model import NEVER, Severity
from .rule import Rule, commands, date_text
from .text import amounts, visible

LIMIT = 24_000
"""Bytes of one message; Teams refuses about 28 KB, counted after it expanded the card."""

_ROOM = ((30, LONG), (10, LONG), (3, LONG), (0, LONG), (0, LONG // 4))
"""How many resolved findings get a line of their own, and how long a text may be; the first that fits is taken."""

MENTIONED = 10
"""How many people a card calls at most."""

_STYLE = {Severity.CRITICAL: "attention", Severity.WARNING: "warning", Severity.INFO: "accent"}
_NAMES = {Severity.CRITICAL: ("critical", "critical"), Severity.WARNING: ("warning", "warnings")}
_WHY = {
    Reason.NEW: "new",
    Reason.TIER: "nearer to its end",
    Reason.RAISED: "worse than before",
    Reason.REMINDER: "still open",
    Reason.SILENCE_ENDED: "its silence ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the last scan saw, stated on every card."""

    finished: datetime | None = None
    counts: Mapping[str, int] | None = None
    unread: tuple[str, ...] = ()
    unnamed: int = 0
    """What else was not read."""
    silenced: int = 0
    """Open findings that a silence mutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A message ready to send, and the entries it carries."""

    message: Element
    shown: tuple[Entry, ...]
    counted: tuple[Entry, ...]
    closed: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What all cards of an alert have in common."""

    coverage: Coverage
    now: datetime
    rules: Mapping[str, Rule]
    tenant_id: str
    portal: str
    note: str
    lines: int = _ROOM[0][0]
    limit: int = _ROOM[0][1]


def cards(
    alert: Alert,
    coverage: Coverage,
    now: datetime,
    rules: Mapping[str, Rule],
    *,
    tenant_id: str,
    portal: str,
    note: str = "",
) -> tuple[Card, ...]:
    """An alert as messages below LIMIT bytes; nearly always one, never none.

    A dozen findings that do not fit are spread over several; of more than that as many are shown as fit one message.
    """
    frame = _Frame(coverage=coverage, now=now, rules=rules, tenant_id=tenant_id, portal=portal, note=note)
    parts = [alert]
    while True:
        total = len(parts)
        built = [
            _card(part, frame, f" ({number} of {total})" if total > 1 else "") for number, part in enumerate(parts, 1)
        ]
        splits = ((index, _split(parts[index])) for index, one in enumerate(built) if size(one.message) > LIMIT)
        index, split = next(((index, split) for index, split in splits if split), (0, []))
        if not split:
            return tuple(built)
        parts[index : index + 1] = split


def _split(part: Alert) -> list[Alert]:
    """An alert in two, or with one finding fewer in full if others are counted anyway; nothing if neither is a way."""
    if len(part.shown) > 1 and part.counted:
        return [replace(part, shown=part.shown[:-1], counted=(part.shown[-1], *part.counted))]
    if len(part.shown) > 1:
        half = (len(part.shown) + 1) // 2
        return [replace(part, shown=part.shown[:half], counted=(), closed=()), replace(part, shown=part.shown[half:])]
    if part.shown and (part.counted or part.closed):
        return [replace(part, counted=(), closed=()), replace(part, shown=())]
    return []


def _card(part: Alert, frame: _Frame, numbering: str) -> Card:
    message = _filled(part, frame, numbering)
    rooms = [] if _split(part) else list(_ROOM[1:])
    while rooms and size(message) > LIMIT:
        lines, limit = rooms.pop(0)
        message = _filled(part, replace(frame, lines=lines, limit=limit), numbering)
    return Card(message=message, shown=part.shown, counted=part.counted, closed=part.closed)


def _filled(part: Alert, frame: _Frame, numbering: str) -> Element:
    body = [_heading(part, numbering, frame)]
    if frame.note:
        body.append(
            {"type": "Container", "style": "warning", "items": [paragraph(runs(frame.note, limit=frame.limit))]}
        )
    called = _called(part)
    if called:
        body.append(greeted(called))
    advised: set[tuple[str, str]] = set()
    for entry in part.shown:
        kind = (entry.finding.rule, entry.finding.variant)
        body.append(_problem(entry, frame, advise=kind not in advised))
        advised.add(kind)
    if part.counted:
        body.append(paragraph(runs(_counted(part.counted), weight="bolder"), spacing="medium"))
    body += [_closed(entry, frame) for entry in part.closed[: frame.lines]]
    if len(part.closed) > frame.lines:
        more = f"{len(part.closed) - frame.lines} {'more ' if frame.lines else ''}resolved or replaced"
        body.append(paragraph(runs(f"✓ … and {more}, not shown here.", subtle=True), spacing="small"))
    coverage = runs(coverage_text(frame.coverage), size="small", subtle=True, limit=frame.limit)
    body.append(paragraph(coverage, separator=True, spacing="medium"))
    return envelope(body, _summary(part) + numbering, called)


def _called(part: Alert) -> tuple[Mention, ...]:
    """The owners of what is shown, on the card of their own channel; only those whom the scan read as members.

    Teams may drop a card, after its 202, for a person whom it cannot resolve.
    """
    owners = (owner for one in part.shown if one.finding.team == part.receiver for owner in one.finding.owners)
    return mentions((owner.object_id, owner.label) for owner in owners if owner.member and owner.object_id)[:MENTIONED]


def _heading(part: Alert, numbering: str, frame: _Frame) -> Element:
    worst = max((entry.finding.severity for entry in (*part.shown, *part.counted)), default=None)
    subject = f"Identities that Kubernetes clusters and apps run on · tenant {frame.tenant_id}"
    return {
        "type": "Container",
        "style": "good" if worst is None else _STYLE[worst],
        "bleed": True,
        "items": [
            paragraph(runs(_summary(part) + numbering, size="large", weight="bolder")),
            paragraph(runs(subject, size="small"), spacing="none"),
        ],
    }


def _summary(part: Alert) -> str:
    problems = (*part.shown, *part.counted)
    if not problems:
        return "Fusewatch: resolved" if len(part.closed) == 1 else f"Fusewatch: {len(part.closed)} resolved"
    return f"Fusewatch: {by_severity(one.finding.severity for one in problems)}"


def by_severity(severities: Iterable[Severity]) -> str:
    """How many there are of each severity, the worst first: `1 critical, 2 warnings`."""
    counts = dict.fromkeys(sorted(Severity, reverse=True), 0)
    for severity in severities:
        counts[severity] += 1
    named = ((count, _NAMES.get(severity, ("info", "info"))) for severity, count in counts.items() if count)
    return ", ".join(f"{count} {one if count == 1 else many}" for count, (one, many) in named)


def _problem(entry: Entry, frame: _Frame, *, advise: bool) -> Element:
    finding = entry.finding
    title = paragraph(runs(finding.title, weight="bolder", size="medium", limit=frame.limit))
    columns = [column("stretch", [title])]
    if finding.expires_on:
        left = runs(remaining(finding.expires_on, frame.now), weight="bolder", size="medium")
        columns.append(column("auto", [paragraph(left)]))
    meta = [
        *runs(finding.severity.label, size="small", weight="bolder"),
        *runs(f" · {_why(entry)} · ", size="small"),
        *runs(whose(finding), size="small", weight="bolder", limit=frame.limit),
    ]
    head = [{"type": "ColumnSet", "columns": columns}, paragraph(meta, spacing="small")]
    for line in (_where(finding), _replaced(finding), finding.team_note):
        if line:
            head.append(paragraph(runs(line, size="small", limit=frame.limit), spacing="none"))
    items: list[Element] = [{"type": "Container", "style": _STYLE[finding.severity], "items": head}]
    items += _evidence(finding, frame)
    rule = frame.rules.get(finding.rule)
    if rule:
        items += _runbook(rule, finding, frame.limit, advise=advise)
    link = portal_link(finding, frame.tenant_id, frame.portal)
    links = [("Open in the Azure portal", link), ("Read about it", rule.link if rule else "")]
    actions = [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links if url]
    if actions:
        items.append({"type": "ActionSet", "spacing": "small", "actions": actions})
    return {"type": "Container", "spacing": "large", "items": items}


def _why(entry: Entry) -> str:
    if entry.reason is Reason.TIER and entry.tier == 0:
        return "has ended"
    return _WHY.get(entry.reason, entry.reason.value)


def _evidence(finding: Finding, frame: _Frame) -> list[Element]:
    """What happened, who did it, and when this is told; nothing for a finding without evidence."""
    lines = finding.facts.get("evidence", ())
    told = [lines] if isinstance(lines, str) else list(lines)
    if finding.unconfirmed:
        told.append(f"Not confirmed: Azure could not be asked for half an hour ({finding.unconfirmed}).")
    if finding.lost_at:
        told.append(f"Told on {date_text(frame.now)}, {frame.now:%H:%M} UTC.")
    if not told:
        return []
    first = paragraph([*runs("What happened: ", weight="bolder"), *runs(told[0], limit=frame.limit)], spacing="small")
    return [first, *(paragraph(runs(line, limit=frame.limit), spacing="none") for line in told[1:])]


def _runbook(rule: Rule, finding: Finding, limit: int, *, advise: bool) -> list[Element]:
    runbook = rule.runbook(finding.variant)
    fails = finding.facts.get("fails")
    symptom = fails if isinstance(fails, str) and fails else runbook.symptom
    items = [paragraph([*runs("What breaks: ", weight="bolder"), *runs(symptom, limit=limit)], spacing="small")]
    for label, template in (("Confirm", runbook.confirm), ("Fix now", runbook.fix)):
        try:
            lines = commands(template, finding.facts)
        except KeyError:
            # A row of another version may lack a fact; the card is worth sending without the command.
            continue
        if not lines:
            continue
        items.append(paragraph(runs(label, weight="bolder"), spacing="small"))
        # A command that was cut, or whose letters were written out, could do something else than meant.
        fitting = [runs(line, mono=True, size="small", limit=limit) for line in lines if visible(line, limit) == line]
        if len(fitting) < len(lines):
            said = "The command is too long for a card, or holds characters that a card cannot show."
            fitting = [runs(said, size="small", subtle=True)]
        block = [paragraph(line, spacing="small" if number else "none") for number, line in enumerate(fitting)]
        items.append({"type": "Container", "style": "emphasis", "spacing": "small", "items": block})
    if runbook.caveat:
        items.append(paragraph(runs(runbook.caveat, size="small"), spacing="small"))
    if runbook.durable and advise:
        items.append(paragraph([*runs("For good: ", weight="bolder"), *runs(runbook.durable)], spacing="small"))
    if advise and not rule.link:
        items.append(paragraph(runs(f"More: {rule.section}", size="small", subtle=True), spacing="small"))
    return items


_PLACES = {
    "cluster": "cluster",
    "resource_group": "resource group",
    "subscription": "subscription",
    "app_id": "app id",
    "key_id": "key id",
    "key_ids": "key ids",
}
"""Facts that tell a resource, or one credential of it, from others of its name; not in every finding."""


def _where(finding: Finding) -> str:
    found = ((label, finding.facts.get(name)) for name, label in _PLACES.items())
    return " · ".join(f"{label} {fact if isinstance(fact, str) else ', '.join(fact)}" for label, fact in found if fact)


def _closed(entry: Entry, frame: _Frame) -> Element:
    finding = entry.finding
    rest = f": {finding.accepted}" if finding.accepted else ": resolved"
    if entry.reason is Reason.REPLACED:
        rest = f": {_replaced(finding)}; check that nothing still uses the old one"
    line = [
        *runs("✓ ", color="good", weight="bolder"),
        *runs(finding.title, limit=frame.limit),
        *runs(rest, subtle=True),
    ]
    return paragraph(line, spacing="small")


def _replaced(finding: Finding) -> str:
    """By what a credential is replaced; empty if it is not."""
    if not finding.superseded_on:
        return ""
    end = "that never ends" if finding.superseded_on >= NEVER else f"ending {date_text(finding.superseded_on)}"
    return f"replaced by a credential {end}"


def _counted(counted: Sequence[Entry]) -> str:
    severities = by_severity(one.finding.severity for one in counted)
    return f"… and {len(counted)} more ({severities}), not shown here. List them all: python -m shared findings"


def coverage_text(coverage: Coverage) -> str:
    """What the last scan read and could not read, in one sentence."""
    if coverage.finished is None:
        return "No scan has finished yet: this card does not know what else there is."
    counts = coverage.counts or {}
    seen = amounts(counts) or "nothing"
    text = f"Scan of {coverage.finished:%Y-%m-%d %H:%M} UTC read {seen}"
    if coverage.silenced:
        text += f"; {coverage.silenced} silenced"
    if not coverage.unread:
        return f"{text}; nothing was left unread."
    named = "; ".join(coverage.unread[:5])
    more = len(coverage.unread[5:]) + coverage.unnamed
    return f"{text}. NOT read: {named}" + (f"; and {more} more" if more else "")


def whose(finding: Finding) -> str:
    """The owners of a finding for a person, or that it has none."""
    if not finding.owners:
        return "owner unknown"
    names = [owner.label for owner in finding.owners[:3]]
    more = f" and {len(finding.owners) - 3} more" if len(finding.owners) > 3 else ""
    return ("owner " if len(finding.owners) == 1 else "owners ") + ", ".join(names) + more


def remaining(end: datetime, now: datetime) -> str:
    """How far away an end is, in the largest whole unit that says something."""
    seconds = abs((end - now).total_seconds())
    number, unit = (int(seconds // 86400), "day") if seconds >= 86400 else (int(seconds // 3600), "hour")
    amount = f"{number} {unit}{'' if number == 1 else 's'}" if number else "less than an hour"
    return f"in {amount}" if end > now else f"{amount} ago"


def portal_link(finding: Finding, tenant_id: str, portal: str) -> str:
    """The portal page of a finding's resource, built from ids only; empty for a whole scope."""
    root = f"{portal}/#@{quote(tenant_id, safe='')}"
    app_id, object_id = finding.facts.get("app_id"), finding.facts.get("object_id")
    if finding.resource_id.lower().startswith("/subscriptions/"):
        return f"{root}/resource{quote(finding.resource_id, safe='/')}"
    if isinstance(app_id, str) and isinstance(object_id, str):
        app, obj = quote(app_id, safe=""), quote(object_id, safe="")
        if finding.resource_id.startswith("/applications/"):
            return f"{root}/view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Credentials/appId/{app}"
        return f"{root}/view/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/SignOn/objectId/{obj}/appId/{app}"
    return ""


def greeting(now: datetime, mention: str = "") -> Element:
    """A message that only says that the channel works, and calls a person by object id or sign-in name if given."""
    line = [
        *runs("Fusewatch reaches this channel. ", weight="bolder"),
        *runs(f"Test card of {now:%Y-%m-%d %H:%M} UTC; nothing is wrong.", subtle=True),
    ]
    people = mentions([(mention, mention.partition("@")[0])] if mention else [])
    body = [paragraph(line), *([greeted(people)] if people else [])]
    return envelope(body, "Fusewatch reaches this channel.", people)
