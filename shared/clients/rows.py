"""Table rows: how findings, due rows, scans and the baseline stand in Table Storage (docs/design.md, section 4).

https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, datetime
from typing import Any, TypeVar

from ..access import BaselineGrant, Caller, RoleAssignment, one_line
from ..findings import Finding, Notice, Past, Reason, Status
from ..model import Former, Owner, Replaced, Severity

log = logging.getLogger(__name__)

_T = TypeVar("_T")

SCHEMA = 1
"""Raised when a row's meaning changes; rows of a higher number are left alone."""

TEXT = 32_768
"""The most UTF-16 characters that one string property holds."""

UNCLEAR = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading a row raises that somebody edited."""

_LINE = 1_000
"""The longest line of a finding's history."""

_REASONS = (200, 40, 0)
"""How much of each reason a scan's row keeps where there are many."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A row that says: this finding has something to tell."""

    fingerprint: str
    not_before: datetime | None = None
    """Delivery failed; nothing is tried before this."""
    tries: int = 0
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRow:
    """A finished scan: the heartbeat, and what the next one compares with."""

    started: datetime
    finished: datetime
    tenant_id: str
    counts: Mapping[str, int]
    unread: Mapping[str, str]
    """Unread.key to what it says."""
    unnamed: int = 0
    """How many more were unread than the row has room to name."""
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRow:
    """A cluster as an earlier scan saw it; its service principal was seen alive if `known`."""

    id: str
    client_id: str = ""
    known: bool = False
    principals: tuple[str, ...] = ()
    """Lower-case object ids of the identities that it depends on, in order."""
    identities: tuple[str, ...] = ()
    """Lower-case ids of the user-assigned identities among them, and paths of applications that it is trusted by."""
    former: Former = Former()
    """What it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """An event as it was received, until settle has dealt with it."""

    key: str
    event: Mapping[str, Any]
    received: datetime
    tries: int = 0
    problem: str = ""
    """Why it was set aside; empty while it waits."""
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRow:
    """A subscription that the last scan listed."""

    subscription_id: str
    name: str = ""


def key(resource_id: str) -> str:
    """A resource id as a RowKey: those may not hold `/ \\ # ?`, and ids have no stable case."""
    return hashlib.sha256(resource_id.lower().encode()).hexdigest()


def cluster_row(cluster: ClusterRow) -> Row:
    """A cluster of the baseline as a row."""
    return {
        "PartitionKey": "cluster",
        "RowKey": key(cluster.id),
        "schema": SCHEMA,
        "id": cut(cluster.id),
        "client_id": cluster.client_id,
        "known": cluster.known,
        **_spread("principals", cluster.principals),
        **_spread("identities", cluster.identities),
        "former": json_text(_former_row(cluster.former)),
    }


def cluster_of(row: Mapping[str, Any]) -> ClusterRow:
    """A row as a cluster of the baseline; raises one of UNCLEAR for a row that is none."""
    return ClusterRow(
        id=string(row["id"]),
        client_id=string(row.get("client_id", "")),
        known=bool(row.get("known")),
        principals=tuple(_gathered(row, "principals")),
        identities=tuple(_gathered(row, "identities")),
        former=_former_of(json.loads(string(row.get("former") or "{}")), string(row.get("client_id", ""))),
    )


def _former_row(former: Former) -> Row:
    found = {
        "principals": dict(former.principals),
        "replaced": [[one.identity, one.principal_id, date_text(one.since)] for one in former.replaced],
        "client_id": former.client_id,
        "service_principal": former.service_principal,
        "converted": date_text(former.converted),
        "images": dict(former.images),
        "issuers": former.issuers,
    }
    return {name: value for name, value in found.items() if value}


def _former_of(row: Mapping[str, Any], client_id: str) -> Former:
    """A row of an older version says at least what the cluster ran on."""
    return Former(
        principals={string(name): string(held) for name, held in row.get("principals", {}).items()},
        replaced=tuple(
            Replaced(identity=string(identity), principal_id=string(held), since=required(since))
            for identity, held, since in row.get("replaced", ())
        ),
        client_id=string(row.get("client_id", client_id.lower())),
        service_principal=string(row.get("service_principal", "")),
        converted=moment(row.get("converted")),
        images={string(name): string(image) for name, image in row.get("images", {}).items()},
        issuers=tuple(string(one) for one in row.get("issuers", ())),
    )


def grant_row(grant: BaselineGrant) -> Row:
    """A grant of the baseline as a row."""
    one, by = grant.assignment, grant.deleted_by
    return {
        "PartitionKey": "grant",
        "RowKey": key(one.id),
        "schema": SCHEMA,
        "id": cut(one.id),
        "principal_id": one.principal_id,
        "principal_type": one.principal_type,
        "role_definition_id": cut(one.role_definition_id),
        "scope": cut(one.scope),
        "condition": cut(one.condition),
        "condition_version": one.condition_version,
        **_spread("listed_in", sorted(grant.ever.listed_in)),
        **_spread("left", sorted(grant.left)),
        **_spread("via", grant.via),
        "first_seen": date_text(grant.first_seen),
        "deleted_at": date_text(grant.deleted_at),
        "deleted_after": date_text(grant.deleted_after),
        "deleted_by": json_text([by.object_id, by.upn, by.app_id, by.confirmed]) if by else "",
    }


def grant_of(row: Mapping[str, Any]) -> BaselineGrant:
    """A row as a grant of the baseline; raises one of UNCLEAR for a row that is none."""
    by = json.loads(row.get("deleted_by") or "null")
    left = frozenset(_gathered(row, "left"))
    return BaselineGrant(
        assignment=RoleAssignment(
            id=string(row["id"]),
            principal_id=string(row["principal_id"]),
            principal_type=string(row.get("principal_type", "")),
            role_definition_id=string(row["role_definition_id"]),
            scope=string(row["scope"]),
            condition=one_line(string(row.get("condition", ""))),
            condition_version=string(row.get("condition_version", "")),
            listed_in=frozenset(_gathered(row, "listed_in")) - left,
        ),
        first_seen=required(row["first_seen"]),
        left=left,
        via=tuple(_gathered(row, "via")),
        deleted_at=_past(row.get("deleted_at")),
        deleted_after=_past(row.get("deleted_after")),
        deleted_by=Caller(object_id=string(by[0]), upn=string(by[1]), app_id=string(by[2]), confirmed=bool(by[3]))
        if by
        else None,
    )


def _spread(name: str, ids: Sequence[str]) -> Row:
    """Ids as a text, over as many properties as they need: everybody may be in one group."""
    parts: list[list[str]] = [[]]
    # The last id of a property has no comma behind it.
    room = TEXT + 1
    for one in map(cut, ids):
        size = len(one.encode("utf-16-le", "surrogatepass")) // 2 + 1
        if size > room:
            parts.append([])
            room = TEXT + 1
        parts[-1].append(one)
        room -= size
    return {name if number == 0 else f"{name}_{number}": ",".join(part) for number, part in enumerate(parts)}


def _gathered(row: Mapping[str, Any], name: str) -> list[str]:
    """The ids that were spread over properties."""
    found = [row.get(name)]
    while found[-1]:
        found.append(row.get(f"{name}_{len(found)}"))
    return [one for part in found if part for one in string(part).split(",") if one]


def inbox_row(row: InboxRow) -> Row:
    """An event of the inbox as a row; an event that does not fit is cut, and then not understood."""
    return {
        "PartitionKey": "aside" if row.problem else "event",
        "RowKey": row.key,
        "schema": SCHEMA,
        "event": cut(_json(row.event)),
        "received": date_text(row.received),
        "tries": row.tries,
        "problem": row.problem,
    }


def inbox_of(row: Mapping[str, Any]) -> InboxRow:
    """A row as an event of the inbox; one that somebody edited beyond understanding has an empty event."""
    try:
        event = json.loads(string(row["event"]))
        received, tries = required(row["received"]), int(row.get("tries") or 0)
    except UNCLEAR:
        event, received, tries = {}, datetime.fromtimestamp(0, UTC), 0
    return InboxRow(
        key=str(row["RowKey"]),
        event=event if isinstance(event, dict) else {},
        received=received,
        tries=tries,
        problem=str(row.get("problem") or ""),
        etag=etag_of(row),
    )


def finding_row(tenant_id: str, finding: Finding) -> Row:
    """A finding as a row. Owns every column of an `f-` row."""
    return {
        "PartitionKey": tenant_id,
        "RowKey": f"f-{finding.fingerprint}",
        "schema": SCHEMA,
        "rule": finding.rule,
        "severity": finding.severity.label,
        "status": finding.status.value,
        "resource_id": cut(finding.resource_id),
        "resource_name": cut(finding.resource_name),
        "title": cut(finding.title),
        "facts": _facts_text(finding.facts),
        "variant": finding.variant,
        "expires_on": date_text(finding.expires_on),
        "superseded_on": date_text(finding.superseded_on),
        "includes": json_text(_fitting(finding.includes)),
        "owners": _owners_text(finding.owners),
        "team": finding.team,
        "team_note": cut(finding.team_note),
        "first_seen": date_text(finding.first_seen),
        "changed": date_text(finding.changed),
        "resolved_at": date_text(finding.resolved_at),
        "lost_at": date_text(finding.lost_at),
        "not_before": date_text(finding.not_before),
        "pending": finding.pending,
        "unconfirmed": cut(finding.unconfirmed),
        "accepted": cut(finding.accepted),
        "announced": json_text([_notice_row(notice) for notice in finding.announced]),
        "history": json_text(
            _fitting([[date_text(one.when), one.what[:_LINE]] for one in finding.history[::-1]])[::-1]
        ),
        "published": date_text(finding.published),
        "revision": finding.revision,
    }


def finding_of(row: Mapping[str, Any]) -> Finding:
    """A row as a finding; raises one of UNCLEAR for a row that is none."""
    return Finding(
        fingerprint=str(row["RowKey"]).removeprefix("f-"),
        rule=string(row["rule"]),
        severity=Severity.parse(string(row["severity"])),
        status=Status(row["status"]),
        resource_id=string(row["resource_id"]),
        resource_name=string(row["resource_name"]),
        title=string(row["title"]),
        facts=_facts(row["facts"]),
        variant=string(row.get("variant", "")),
        expires_on=moment(row.get("expires_on")),
        superseded_on=moment(row.get("superseded_on")),
        includes=tuple(string(one) for one in json.loads(row.get("includes") or "[]")),
        owners=tuple(
            Owner(
                object_id=string(o["id"]),
                name=string(o["name"]),
                mail=string(o["mail"]),
                source=string(o["source"]),
                member=o.get("member") is True,
            )
            for o in json.loads(row.get("owners") or "[]")
        ),
        team=string(row.get("team", "")),
        team_note=string(row.get("team_note", "")),
        first_seen=required(row["first_seen"]),
        changed=required(row["changed"]),
        resolved_at=moment(row.get("resolved_at")),
        lost_at=moment(row.get("lost_at")),
        not_before=moment(row.get("not_before")),
        pending=bool(row.get("pending")),
        unconfirmed=string(row.get("unconfirmed", "")),
        accepted=string(row.get("accepted", "")),
        announced=tuple(_notice_of(one) for one in json.loads(row.get("announced") or "[]")),
        history=_history(row.get("history")),
        published=_published(row.get("published")),
        revision=int(row["revision"]),
        etag=etag_of(row),
    )


def _history(text: object) -> tuple[Past, ...]:
    """A finding is worth more than its history: what is not understood of that is left out."""
    lines: list[Past] = []
    try:
        lines += [Past(when=required(when), what=string(what)) for when, what in json.loads(string(text or "[]"))]
    except UNCLEAR:
        log.warning("a history is not understood; it starts anew")
    return tuple(lines)


def _published(text: object) -> datetime | None:
    """An edited one is none: an event that comes twice is better than one that does not."""
    try:
        return moment(text)
    except UNCLEAR:
        return None


def _notice_row(notice: Notice) -> Row:
    return {
        "receiver": notice.receiver,
        "reason": notice.reason.value,
        "severity": notice.severity.label,
        "when": date_text(notice.when),
        "tier": notice.tier,
        "expires_on": date_text(notice.expires_on),
        "counted": notice.counted,
    }


def _notice_of(row: Mapping[str, Any]) -> Notice:
    return Notice(
        receiver=string(row["receiver"]),
        reason=Reason(row["reason"]),
        severity=Severity.parse(string(row["severity"])),
        when=required(row["when"]),
        tier=None if row.get("tier") is None else int(row["tier"]),
        expires_on=moment(row.get("expires_on")),
        counted=bool(row.get("counted")),
    )


def due_row(tenant_id: str, due: Due) -> Row:
    """A due row; it is written and removed in the transaction that writes its finding."""
    return {
        "PartitionKey": tenant_id,
        "RowKey": f"due-{due.fingerprint}",
        "schema": SCHEMA,
        "not_before": date_text(due.not_before),
        "tries": due.tries,
    }


def due_of(row: Mapping[str, Any]) -> Due:
    """A row as a due row; what is edited beyond understanding is due at once."""
    try:
        not_before, tries = moment(row.get("not_before")), int(row.get("tries") or 0)
    except UNCLEAR:
        # An edited due row means at least that there is something to say.
        not_before, tries = None, 0
    fingerprint = str(row["RowKey"]).removeprefix("due-")
    return Due(fingerprint=fingerprint, not_before=not_before, tries=tries, etag=etag_of(row))


def scan_row(scan: ScanRow) -> Row:
    """A finished scan as a row; reversed time makes the newest row the first."""
    unread = _unread(scan.unread)
    return {
        "PartitionKey": "scan",
        "RowKey": scan_key(scan.finished),
        "schema": SCHEMA,
        "started": date_text(scan.started),
        "finished": date_text(scan.finished),
        "tenant_id": scan.tenant_id,
        "counts": json_text(scan.counts),
        "unread": json_text(unread),
        "unnamed": scan.unnamed + len(scan.unread) - len(unread),
        "partial": scan.partial,
    }


def scan_key(finished: datetime) -> str:
    """The RowKey of a scan: the older it is, the greater."""
    return f"{int((datetime.max.replace(tzinfo=UTC) - finished).total_seconds() * 1000):017d}"


def scan_of(row: Mapping[str, Any]) -> ScanRow:
    """A row as a finished scan; raises one of UNCLEAR for a row that is none."""
    return ScanRow(
        started=required(row["started"]),
        finished=required(row["finished"]),
        tenant_id=string(row["tenant_id"]),
        counts={name: int(number) for name, number in json.loads(string(row["counts"])).items()},
        unread={name: string(text) for name, text in json.loads(string(row["unread"])).items()},
        unnamed=int(row.get("unnamed") or 0),
        partial=bool(row.get("partial")),
    )


def _unread(unread: Mapping[str, str]) -> Mapping[str, str]:
    """As many unread sources as fit a property, in the order of their names, with as much of their reasons as does."""
    for size in _REASONS:
        kept = {name: unread[name][:size] for name in sorted(unread)}
        if _fits(_json(kept)):
            return kept
    return dict(_fitting(list(kept.items())))


def etag_of(row: Mapping[str, Any]) -> str:
    """The version of a row as it was read, empty for one that was not read."""
    metadata = getattr(row, "metadata", None) or {}
    return str(metadata.get("etag") or "")


def cut(text: str) -> str:
    """A text that fits a property, cut visibly; the limit counts UTF-16 units."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    if len(encoded) <= 2 * TEXT:
        return text
    return encoded[: 2 * (TEXT - 8)].decode("utf-16-le", "ignore") + "… (cut)"


def json_text(value: object) -> str:
    """A structure as the text of one property; raises ValueError when it is too large for one."""
    text = _json(value)
    if not _fits(text):
        raise ValueError("a structure is larger than a table property")
    return text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=list)


def _fits(text: str) -> bool:
    return len(text.encode("utf-16-le", "surrogatepass")) <= 2 * TEXT


def _fitting(values: Sequence[_T]) -> Sequence[_T]:
    """The first ones of a list, as many as fit a property."""
    while not _fits(_json(values)):
        values = values[: len(values) * 3 // 4]
    return values


_SIZES = (200, 50, 10, 3)
"""How many items of a list are kept where a structure does not fit: the first number with which it does."""


def _facts_text(facts: Mapping[str, str | Sequence[str]]) -> str:
    """Facts that fit a property: long texts and lists are cut, visibly."""
    text = _json(facts)
    for size in _SIZES:
        if _fits(text):
            break
        text = _json({name: _shorter(value, size) for name, value in facts.items()})
    return text


def _shorter(value: str | Sequence[str], size: int) -> str | list[str]:
    if isinstance(value, str):
        return value if len(value) <= 100 * size else value[: 100 * size] + "… (cut)"
    kept = [str(_shorter(one, size)) for one in value[:size]]
    return [*kept, f"… and {len(value) - size} more"] if len(value) > size else kept


def _owners_text(owners: Sequence[Owner]) -> str:
    """Owners that fit a property: the first ones, and how many more there are."""
    text = _json([_owner_row(one) for one in owners])
    for size in _SIZES:
        if _fits(text):
            break
        more = Owner(name=f"… and {len(owners) - size} more", source=owners[0].source)
        text = _json([_owner_row(one) for one in (*owners[:size], more)])
    return text


def _owner_row(owner: Owner) -> Row:
    row = {"id": owner.object_id, "name": owner.name, "mail": owner.mail, "source": owner.source}
    return {**row, "member": True} if owner.member else row


def date_text(moment: datetime | None) -> str:
    """A moment as the text of a property, in UTC; empty for none."""
    return moment.astimezone(UTC).isoformat() if moment else ""


def moment(text: object) -> datetime | None:
    """The moment of a property, None for an empty one; raises ValueError for any other text."""
    if not text:
        return None
    if not isinstance(text, str):
        raise ValueError("not a date")
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _past(text: object) -> datetime | None:
    """The moment of what has happened; raises ValueError for the end of time, after which nothing can be due."""
    parsed = moment(text)
    if parsed and parsed.year == MAXYEAR:
        raise ValueError("a date that cannot have been")
    return parsed


def required(text: object) -> datetime:
    """The moment of a property that may not be empty; raises ValueError."""
    parsed = moment(text)
    if parsed is None:
        raise ValueError("a date is missing")
    return parsed


def string(value: object) -> str:
    """A property that must be a text; raises TypeError."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _facts(text: object) -> dict[str, Any]:
    facts = json.loads(string(text))
    if not isinstance(facts, dict):
        raise TypeError("facts are no object")
    for value in facts.values():
        if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise TypeError("a fact is neither a text nor a list of texts")
    return facts
