"""Keep what was found: findings with their due rows, and the baseline; only what changed is written."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from .. import alerts, drift, former
from ..access import BaselineGrant, RoleAssignment, RoleDefinition
from ..alerts import Policy
from ..clients.baseline_rows import ClusterRow, ScopeRow, key
from ..clients.http import ReadError
from ..clients.resources import Resources
from ..clients.rows import Due
from ..clients.tables import Change, Stored, Tables
from ..findings import Finding
from ..model import Application, ManagedCluster, Snapshot, covers
from ..text import visible
from .access import Reading
from .owners import entities
from .reads import each

log = logging.getLogger(__name__)


def changes(stored: Stored, findings: Sequence[Finding], now: datetime, policy: Policy) -> list[Change]:
    """What has to be written so that the table holds these findings, and the due rows that follow from them."""
    before = {one.fingerprint: one for one in stored.findings}
    telling = alerts.due(findings, now, policy)
    found = []
    for finding in findings:
        name = finding.fingerprint
        if name in stored.foreign:
            continue
        was_due = stored.due.get(name)
        due = due_row(name, telling[name], was_due, now) if name in telling else None
        if finding != before.get(name) or due != was_due:
            etag = finding.etag or stored.damaged.get(name, "")
            found.append(Change(finding=replace(finding, etag=etag), due=due, was_due=was_due))
    return found


def due_row(fingerprint: str, later: datetime | None, was_due: Due | None, now: datetime) -> Due:
    """The due row of a finding that has something to say, from a moment on if that is later than now."""
    if later is None and was_due and (was_due.tries or not was_due.not_before or was_due.not_before <= now):
        return was_due
    return Due(fingerprint=fingerprint, not_before=later)


async def keep_estate(
    tables: Tables,
    snapshot: Snapshot,
    watched: Mapping[str, drift.Watched],
    clusters: Mapping[str, ClusterRow],
    scopes: Mapping[str, ScopeRow],
    gone: Iterable[str],
) -> None:
    """Remember clusters and subscriptions; forget only what ARM says is gone."""
    alive = {one.app_id.lower() for one in entities(snapshot)}
    principals: dict[str, dict[str, str]] = {}
    for principal_id, one in watched.items():
        for cluster in one.clusters:
            principals.setdefault(cluster.id.lower(), {})[principal_id] = one.identity_id.lower()
    whole = not drift.blurred(snapshot, ()) and not any(one.kind in _RIGHTS for one in snapshot.unread)
    before = former.kept(snapshot, whole=whole)
    rows = []
    for cluster in snapshot.clusters:
        old = clusters.get(key(cluster.id), ClusterRow(id=cluster.id))
        known = cluster.client_id.lower() in alive or (old.client_id == cluster.client_id and old.known)
        behind = principals.get(cluster.id.lower(), {})
        # Where something of the identities was not read, those of before still count.
        blurred = drift.blurred(snapshot, [cluster])
        row = ClusterRow(
            id=cluster.id,
            client_id=cluster.client_id,
            known=known,
            principals=tuple(sorted({*behind, *(old.principals if blurred else ())})),
            identities=tuple(sorted({*filter(None, behind.values()), *(old.identities if blurred else ())})),
            former=before.get(cluster.id.lower(), old.former),
        )
        if row != clusters.get(key(cluster.id)):
            rows.append(row)
    named = [ScopeRow(subscription_id=one.subscription_id, name=one.name) for one in snapshot.subscriptions]
    await tables.save_baseline(rows, [row for row in named if scopes.get(row.subscription_id) != row])
    seen = {key(one.id) for one in snapshot.clusters}
    unread = [one.scope for one in snapshot.unread if one.kind is ManagedCluster]
    lost = [
        name
        for name, row in clusters.items()
        if name not in seen and not any(covers(scope, row.id) for scope in unread)
    ]
    await tables.delete_baseline(lost, sorted(gone))


_RIGHTS = (Application, RoleAssignment, RoleDefinition)
"""What tells whether anything is left of what a cluster was before."""


def remembered(snapshot: Snapshot, reading: Reading, gone: Iterable[str]) -> dict[str, BaselineGrant]:
    """The grants of the baseline that are worth remembering; `gone` are lower-case scopes that ARM says are gone."""
    forgotten, missing = drift.settled(snapshot), set(gone)
    hazy = [one for one in snapshot.clusters if drift.blurred(snapshot, [one])]
    # What a cluster that shows no identity now depended on before may still be its own.
    sheltered = {
        held for one in hazy if (before := snapshot.former.get(one.id.lower())) for held in former.principals(before)
    }
    blurred = drift.blurred(snapshot, ()) or any(one.id.lower() not in snapshot.former for one in hazy)
    owed = former.owed(snapshot)
    after = {}
    for row in snapshot.access.baseline:
        unwatched = not blurred and not any(one in reading.watched or one in sheltered for one in row.holders)
        nobody = row.lost and all(holder in reading.gone for holder in row.holders)
        nowhere = row.lost and row.assignment.scope.lower() in missing
        over = row.assignment.key in forgotten or unwatched or nobody
        if nowhere or (over and row.assignment.key not in owed):
            continue
        after[row.assignment.key] = row
    return after


async def gone_scopes(resources: Resources, grants: Iterable[BaselineGrant]) -> tuple[frozenset[str], dict[str, str]]:
    """The lower-case scopes of lost grants that ARM says are gone, and why it could not be asked about others."""
    scopes = {row.assignment.scope.lower(): row.assignment.scope for row in grants if row.lost}

    async def ask(scope: str) -> bool | str:
        try:
            return await resources.is_gone(scope)
        except ReadError as error:
            return error.unread.reason

    answers = {scope.lower(): answer for scope, answer in await each(scopes.values(), ask, [])}
    unasked = {scope: answer for scope, answer in sorted(answers.items()) if isinstance(answer, str)}
    for reason in dict.fromkeys(unasked.values()):
        some = [scope for scope in unasked if unasked[scope] == reason]
        log.warning(
            "whether scopes still exist could not be read: %d, the first is %s: %s", len(some), visible(some[0]), reason
        )
    return frozenset(scope for scope, answer in answers.items() if answer is True), unasked
