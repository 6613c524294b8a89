"""The rows of the findings, and those that say that a finding is due (docs/design.md, Data)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..findings import Finding, Notice, Past, Reason, Status
from ..model import Owner, Severity
from .values import (
    SCHEMA,
    UNCLEAR,
    Row,
    compact,
    cut,
    date_text,
    etag_of,
    fits,
    fitting,
    json_text,
    moment,
    required,
    string,
)

log = logging.getLogger(__name__)

_LINE = 1_000
"""The longest line of a finding's history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A row that says: this finding has something to tell."""

    fingerprint: str
    not_before: datetime | None = None
    """Delivery failed; nothing is tried before this."""
    tries: int = 0
    etag: str = field(default="", compare=False)


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
        "includes": json_text(fitting(finding.includes)),
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
        "history": json_text(fitting([[date_text(one.when), one.what[:_LINE]] for one in finding.history[::-1]])[::-1]),
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


_SIZES = (200, 50, 10, 3)
"""How many items of a list are kept where a structure does not fit: the first number with which it does."""


def _facts_text(facts: Mapping[str, str | Sequence[str]]) -> str:
    """Facts that fit a property: long texts and lists are cut, visibly."""
    text = compact(facts)
    for size in _SIZES:
        if fits(text):
            break
        text = compact({name: _shorter(value, size) for name, value in facts.items()})
    return text


def _shorter(value: str | Sequence[str], size: int) -> str | list[str]:
    if isinstance(value, str):
        return value if len(value) <= 100 * size else value[: 100 * size] + "… (cut)"
    kept = [str(_shorter(one, size)) for one in value[:size]]
    return [*kept, f"… and {len(value) - size} more"] if len(value) > size else kept


def _owners_text(owners: Sequence[Owner]) -> str:
    """Owners that fit a property: the first ones, and how many more there are."""
    text = compact([_owner_row(one) for one in owners])
    for size in _SIZES:
        if fits(text):
            break
        more = Owner(name=f"… and {len(owners) - size} more", source=owners[0].source)
        text = compact([_owner_row(one) for one in (*owners[:size], more)])
    return text


def _owner_row(owner: Owner) -> Row:
    row = {"id": owner.object_id, "name": owner.name, "mail": owner.mail, "source": owner.source}
    return {**row, "member": True} if owner.member else row


def _facts(text: object) -> dict[str, Any]:
    facts = json.loads(string(text))
    if not isinstance(facts, dict):
        raise TypeError("facts are no object")
    for value in facts.values():
        if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise TypeError("a fact is neither a text nor a list of texts")
    return facts
