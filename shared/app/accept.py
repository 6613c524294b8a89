"""A loss that somebody says was meant: it is remembered as accepted, and its grants are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..clients.tables import Tables
from ..events import Change, EventError, decode
from ..findings import Finding, Status, called
from ..rules import BY_ID
from ..settings import Settings
from .keep import changes
from .storage import holder


class AcceptError(ValueError):
    """Why a finding cannot be accepted, and what to do instead."""


async def accept(
    tables: Tables, settings: Settings, tenant_id: str, fingerprint: str, by: str, comment: str, now: datetime
) -> Finding:
    """Close an open finding about a right for good, and forget the grants behind it.

    It opens again only when the right is held once more, and lost once more. Raises FingerprintError, AcceptError.
    """
    async with tables.lease(holder("accept"), now, 60) as lease:
        stored = await tables.list_findings(tenant_id)
        finding = called(stored.findings, fingerprint)
        rule = BY_ID.get(finding.rule)
        if not finding.open:
            raise AcceptError(f"that finding is {finding.status.value} already")
        right = "lost_assignment" in finding.facts or finding.variant in {"left", "moved", "never"}
        if rule is None or not rule.drift or not right:
            raise AcceptError(
                "only a lost or missing right can be accepted; for another finding: python -m shared silence"
            )
        text = f"accepted by {by}: {comment}"
        closed = replace(
            finding,
            status=Status.RESOLVED,
            accepted=text,
            pending=False,
            resolved_at=now,
            changed=now,
            revision=finding.revision + 1,
        ).remember(now, text)
        lost = finding.facts.get("lost_assignments", ())
        forgotten = {one.lower() for one in ([lost] if isinstance(lost, str) else lost)}
        known = await tables.list_grants()
        lease.check()
        after = [closed if one is finding else one for one in stored.findings]
        policy = replace(settings.policy, silences=stored.others.silences)
        # The finding first: a run that is killed in between must not leave a loss forgotten that nobody accepted.
        await tables.save_findings(tenant_id, changes(stored, after, now, policy))
        # An event that waits to be looked at again would bring them back.
        told = [row for row in await tables.list_inbox() if _deleted(row.event) in forgotten]
        await tables.close_events(told, [])
        await tables.save_grants(known, {name: row for name, row in known.items() if name not in forgotten})
    return closed


def _deleted(event: Mapping[str, Any]) -> str | None:
    """The lower-case id of the role assignment that an event says is deleted."""
    try:
        change = decode(event)
    except EventError:
        return None
    return change.resource_id.lower() if change and change.change is Change.GRANT_DELETED else None
