"""The baseline: every role assignment that a watched identity ever held, compared with what ARM lists now; no I/O.

A listing never makes it forget: what is missing is lost, with the time, until it is held again (docs/design.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from .access import BaselineGrant, Caller, Level, RoleAssignment, level, merged, subscription_of

Grants = Mapping[str, BaselineGrant]
"""Baseline rows by the lower-case id of their assignment."""


def observe(
    known: Grants,
    live: Iterable[RoleAssignment],
    *,
    read: Collection[str],
    members: Mapping[str, Collection[str]],
    began: datetime,
    last: datetime | None = None,
    partly: bool = False,
) -> dict[str, BaselineGrant]:
    """The baseline after the listings of the subscriptions `read`, which began at a moment.

    `members` are the watched identities in each group, by lower-case id of the group; `last` is the start of the scan
    before. A row deleted after the observation began stays deleted: the listing may be older than the deletion. `live`
    may hold rows of subscriptions that were not read, as they were seen last: those bring nothing back. With `partly`
    some subscriptions were read for an event: what hangs above them is lost only if all that it reached were.
    """
    after = dict(known)
    listed = {row.key: row for row in merged(live)}
    for key, row in listed.items():
        old = known.get(key)
        seen = frozenset(members.get(row.principal_id.lower(), ()))
        if old is None:
            after[key] = BaselineGrant(assignment=row, first_seen=began, via=tuple(sorted(seen)))
        elif old.deleted_at is None or (began > old.deleted_at and _would_be_listed(row, read)):
            # A subscription that was read and lacks it has left the management group; of others that is not known.
            left = read if level(row.scope) is Level.MANAGEMENT_GROUP else ()
            reach = row.listed_in | {one for one in old.assignment.listed_in if one.lower() not in left}
            seen_now = replace(
                old,
                assignment=replace(_as_known(old.assignment, row), listed_in=reach),
                left=old.ever.listed_in - reach,
                via=tuple(sorted(seen | set(old.via))),
                deleted_at=None,
                deleted_after=began if old.lost else old.deleted_after,
                deleted_by=None,
            )
            if seen_now != old:
                after[key] = seen_now
    for key, old in known.items():
        if key not in listed and not old.lost and _would_be_listed(old.assignment, read, partly=partly):
            shown = max(filter(None, (last, old.deleted_after)), default=None)
            after[key] = replace(old, deleted_at=began, deleted_after=shown)
    return after


def deleted(
    known: Grants, assignment_id: str, at: datetime, by: Caller | None, assignment: RoleAssignment | None = None
) -> dict[str, BaselineGrant]:
    """The baseline after a deletion that an event or the activity log tells of; unchanged if it is not known.

    `assignment` is what was deleted, where the log says that: then a row is made for one that no scan has seen. An
    assignment can come back under its id and be deleted again: the later deletion is the loss, and the log knows best.
    """
    key = assignment_id.lower()
    old = known.get(key)
    if old is None and assignment is None:
        return dict(known)
    if old is None:
        assert assignment
        old = BaselineGrant(assignment=assignment, first_seen=at)
    if old.deleted_at and old.deleted_by:
        sure, was_sure = by is not None and by.confirmed, old.deleted_by.confirmed
        if sure < was_sure or (sure == was_sure and at <= old.deleted_at):
            return dict(known)
    # The moment that the log or the event names is better than that of a scan which only missed it.
    moment = at if old.deleted_at is None or by else old.deleted_at
    return {**known, key: replace(old, deleted_at=moment, deleted_after=None, deleted_by=by or old.deleted_by)}


def standing(live: Iterable[RoleAssignment], grants: Grants) -> tuple[RoleAssignment, ...]:
    """What of the listings still counts, by the baseline after them: what is lost there is in them by mistake."""
    return tuple(row for row in live if not ((known := grants.get(row.key)) and known.lost))


def _as_known(old: RoleAssignment, row: RoleAssignment) -> RoleAssignment:
    """A row as it was first written, if nothing but its spelling differs: each listing names roles by its own path."""
    same = all(
        one.lower() == other.lower()
        for one, other in (
            (old.principal_id, row.principal_id),
            (old.role_id, row.role_id),
            (old.scope, row.scope),
            (old.principal_type, row.principal_type),
        )
    ) and (old.condition, old.condition_version) == (row.condition, row.condition_version)
    return replace(old if same else row, id=old.id)


def _would_be_listed(assignment: RoleAssignment, read: Collection[str], *, partly: bool = False) -> bool:
    """Whether one of these subscriptions' listings would hold an assignment if it were still there.

    That of one subscription alone would not: it may have left the management group.
    """
    subscription = subscription_of(assignment.scope)
    if subscription:
        return subscription in read
    if level(assignment.scope) is Level.ROOT:
        return bool(read)
    found = [one.lower() in read for one in assignment.listed_in]
    return any(found) and (all(found) or not partly)
