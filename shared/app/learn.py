"""What events, the listings and the activity log add to the baseline, before anybody judges it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .. import baseline
from ..access import BaselineGrant, Caller, Deletion, RoleAssignment, subscription_of
from ..clients.http import ReadError
from ..clients.inbox_rows import InboxRow
from ..events import Change, EventError, RoleChange, decode
from ..model import Unread
from ..text import visible
from .connect import Clients
from .reads import each

log = logging.getLogger(__name__)

TRIES = 30
"""How often an event is looked at that nothing is known of yet: the activity log lags behind by minutes."""
_FARTHEST = timedelta(days=7)
"""How far back the activity log is asked for."""
_MARGIN = timedelta(minutes=5)
"""How much earlier it is asked for than the loss."""
_APART = timedelta(minutes=2)
"""How much earlier than the event the log may date the same deletion."""
_LAG = timedelta(minutes=10)
"""How long a listing may still show what an event or the log says is deleted."""

Grants = dict[str, BaselineGrant]
"""The baseline by lower-case assignment id."""


@dataclass(slots=True)
class Events:
    """The inbox, sorted: what each event means, and what becomes of its row."""

    changes: list[tuple[InboxRow, RoleChange]] = field(default_factory=list)
    done: list[InboxRow] = field(default_factory=list)
    later: list[InboxRow] = field(default_factory=list)

    def of(self, *kinds: Change) -> list[RoleChange]:
        """The changes of these kinds."""
        return [change for _, change in self.changes if change.change in kinds]

    def wait(self, row: InboxRow) -> None:
        """Look at an event again at the next tick, but not for ever: the next scan compares all the same."""
        if row.tries + 1 < TRIES:
            self.done.remove(row)
            self.later.append(replace(row, tries=row.tries + 1))

    def wait_all(self) -> None:
        """Look at whatever is understood and not waiting yet again at the next tick."""
        done = {id(row) for row in self.done}
        for row, _ in self.changes:
            if id(row) in done:
                self.wait(row)


def understood(inbox: Sequence[InboxRow], scopes: frozenset[str]) -> Events:
    """The events of the inbox; what is not understood is set aside, what is not of these subscriptions is done."""
    events = Events()
    for row in inbox:
        try:
            change = decode(row.event)
        except EventError as error:
            events.later.append(replace(row, problem=str(error)))
            log.warning("an event is set aside: %s", visible(str(error)))
            continue
        events.done.append(row)
        if change is None or change.subscription_id not in scopes:
            log.info("an event that concerns nothing watched is dropped")
            continue
        events.changes.append((row, change.received(row.received)))
    return events


async def learn(
    clients: Clients,
    events: Events,
    principals: Iterable[str],
    known: Grants,
    asked: Iterable[str],
    now: datetime,
    last: datetime | None,
    unread: list[Unread],
) -> tuple[Grants, frozenset[str]]:
    """The baseline after the events, and the subscriptions that were listed; what could not be goes to `unread`.

    One listing and one page of the log for each subscription, not for each event. `principals` are those that clusters
    depend on, `asked` the lower-case ids of lost assignments whose story is wanted, `last` the start of the last scan.
    """
    touched = {one.subscription_id for one in events.of(Change.GRANT_DELETED, Change.GRANT_WRITTEN)}
    wanted = {*principals, *(row.assignment.principal_id.lower() for row in known.values())}

    async def read(subscription_id: str) -> list[RoleAssignment]:
        some, failed = await clients.rbac.list_assignments(subscription_id, wanted)
        if failed:
            raise ReadError(failed[0])
        return some

    answers = await each(sorted(touched), read, unread)
    listed = frozenset(name for name, _ in answers)
    live = [one for _, some in answers for one in some]
    members: dict[str, set[str]] = {}
    for grant in known.values():
        if grant.via:
            members.setdefault(grant.assignment.principal_id.lower(), set()).update(grant.holders)
    written = {one.resource_id.lower() for one in events.of(Change.GRANT_WRITTEN)}
    late = {
        key
        for key, row in known.items()
        if row.deleted_at and row.deleted_by and now - row.deleted_at < _LAG and key not in written
    }
    seen = [one for one in live if one.key not in late]
    grants = baseline.observe(known, seen, read=listed, members=members, began=now, last=last, partly=True)
    log_of = await _deletions(clients, events, [grants[one] for one in asked if one in grants], now)
    present = {one.key for one in live}
    for row, change in list(events.changes):
        if change.change is not Change.GRANT_DELETED:
            continue
        key = change.resource_id.lower()
        if row.tries and key in grants and change.subscription_id not in listed:
            # It may have come back since it was looked at, and the listing that would say so failed.
            events.wait(row)
            continue
        entry = log_of.get(key)
        if entry and not _same(entry, change.at, change.by, grants.get(key)):
            entry = None
        if key in present:
            # The listing may lag behind the deletion: its absence is proof, its presence is none.
            events.wait(row)
        elif entry and (key in grants or entry.assignment.principal_id.lower() in wanted):
            grants = baseline.deleted(grants, key, entry.at, entry.by, entry.assignment)
        elif key in grants:
            grants = baseline.deleted(grants, key, min(change.at or row.received, now), change.by)
        elif entry is None:
            # Not seen by any scan; the log will say whose it was.
            events.wait(row)
    for entry in log_of.values():
        old = grants.get(entry.assignment.key)
        if old and old.lost and _same(entry, old.deleted_at if old.deleted_by else None, old.deleted_by, old):
            grants = baseline.deleted(grants, entry.assignment.id, entry.at, entry.by)
    return grants, listed


async def _deletions(
    clients: Clients, events: Events, losses: Iterable[BaselineGrant], now: datetime
) -> dict[str, Deletion]:
    """The last deletion of each assignment in the log, by lower-case id; nothing where it cannot be read."""
    since: dict[str, datetime] = {}

    def want(subscription_id: str, at: datetime) -> None:
        since[subscription_id] = min(at, since.get(subscription_id, at))

    for row, change in events.changes:
        if change.change is Change.GRANT_DELETED:
            want(change.subscription_id, change.at or row.received)
    for grant in losses:
        subscription_id = subscription_of(grant.assignment.scope)
        # What is confirmed, too: it may have come back and been deleted again.
        if grant.deleted_at and subscription_id:
            want(subscription_id, grant.deleted_after or grant.deleted_at)

    async def read(subscription_id: str) -> list[Deletion]:
        # A time that somebody made up may be the first there is: nothing is earlier.
        begin = max(since[subscription_id], now - _FARTHEST) - _MARGIN
        return await clients.activity.list_deletions(subscription_id, begin, now)

    # Who did it is worth knowing, but nothing waits for it: what is refused here is said by the scan.
    answers = await each(sorted(since), read, [])
    # The log has the newest first; only the last deletion of an assignment that came back is its loss.
    entries = sorted((one for _, some in answers for one in some), key=lambda one: one.at)
    return {one.assignment.key: replace(one, at=min(one.at, now)) for one in entries}


def _same(entry: Deletion, at: datetime | None, by: Caller | None, known: BaselineGrant | None) -> bool:
    """Whether an entry of the log is about the loss of a moment, and not about one before the assignment came back."""
    if at and (at - entry.at > _APART or (entry.at < at and by and by.differs(entry.by))):
        return False
    return not known or entry.at >= (known.deleted_after or known.first_seen)
