"""Findings for machines: the JSON that scripts read, a sheet that no program mistakes for formulas, CloudEvents."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from .findings import Finding
from .text import visible

BATCH = 900_000
"""Bytes of one batch of events; a topic takes 1 MB.

https://learn.microsoft.com/azure/event-grid/quotas-limits
"""

_LONG = 32_767
"""Characters of a cell of a spreadsheet."""

COLUMNS = (
    "fingerprint",
    "rule",
    "severity",
    "status",
    "resource_id",
    "title",
    "facts",
    "owners",
    "expires_on",
    "first_seen",
)


class Writable(Protocol):
    """A text file, or what is like one."""

    def write(self, text: str, /) -> object:
        """Take a text."""


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
        "expires_on": iso(finding.expires_on),
        "first_seen": iso(finding.first_seen),
    }


def iso(moment: datetime | None) -> str | None:
    """A moment as JSON holds it, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def cell(value: object) -> str:
    """A value as a cell, on one line; what a spreadsheet would take for a formula begins with an apostrophe.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, dict):
        text = json.dumps(value, default=list)
    elif isinstance(value, list):
        text = "; ".join(str(one) for one in value)
    else:
        text = "" if value is None else str(value)
    guard = "'" if text.lstrip(" ")[:1] in _FORMULA else ""
    return guard + visible(text, _LONG - 1)


_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # the wide forms count in East Asian editions


def write_csv(findings: Iterable[Finding], file: Writable) -> None:
    """Write findings as CSV with a header. RFC 4180: https://www.rfc-editor.org/rfc/rfc4180."""
    sheet = csv.writer(file, lineterminator="\r\n")
    sheet.writerow(COLUMNS)
    for finding in findings:
        values = record(finding)
        sheet.writerow([cell(values[name]) for name in COLUMNS])


def event(finding: Finding, tenant_id: str) -> dict[str, Any]:
    """A finding's state as a CloudEvent; its id is the same however often it is sent.

    The row's revision also counts notices, so the state's is the moment at which it changed.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """
    return {
        "specversion": "1.0",
        "id": f"{finding.fingerprint}-{finding.changed.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}",
        "source": f"urn:fusewatch:tenant:{tenant_id}",
        "type": f"fusewatch.finding.{finding.status.value}",
        "subject": finding.resource_id,
        "time": iso(finding.changed),
        "datacontenttype": "application/json",
        "data": {**record(finding), "revision": finding.revision, "resolved_at": iso(finding.resolved_at)},
    }


def unpublished(findings: Iterable[Finding], now: datetime) -> list[Finding]:
    """The findings whose state the topic has not accepted.

    One that was over before the topic heard of it is no news, nor is one that waits for its grace or a live look.
    """
    return [one for one in findings if one.published != one.changed and (_told(one, now) or one.published)]


def _told(finding: Finding, now: datetime) -> bool:
    return finding.open and not finding.pending and (not finding.not_before or finding.not_before <= now)


def batches(findings: Sequence[Finding], tenant_id: str) -> Iterator[tuple[list[Finding], list[dict[str, Any]]]]:
    """Findings with their events, in batches that a topic takes."""
    part: tuple[list[Finding], list[dict[str, Any]]] = ([], [])
    room = BATCH
    for finding in findings:
        made = event(finding, tenant_id)
        # Counted as the SDK writes it, with every letter beyond ASCII as an escape.
        length = len(json.dumps(made, default=list)) + 2
        if part[0] and length > room:
            yield part
            part, room = ([], []), BATCH
        part[0].append(finding)
        part[1].append(made)
        room -= length
    if part[0]:
        yield part
