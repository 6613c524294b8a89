"""Look again: after an event, and before anybody is told of a loss, at the clusters that depend on it and at no other.

An event is a hint; what counts is what ARM says now. A read that fails leaves everything as it is, for half an hour.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .. import baseline, drift, former
from ..access import BaselineGrant, Caller, Deletion, Membership, RoleAssignment, RoleDefinition, subscription_of
from ..clients.baseline_rows import ClusterRow
from ..clients.http import NotFoundError, ReadError
from ..clients.inbox_rows import InboxRow
from ..clients.scan_rows import ScanRow
from ..clients.storage import StorageError
from ..clients.tables import Stored, Tables
from ..events import Change, EventError, RoleChange, decode
from ..findings import Finding, Observed, evaluate, reconcile
from ..model import Snapshot, Unread
from ..rules import DRIFT
from ..settings import Settings
from ..text import visible
from .access import read_access, read_definitions
from .connect import Clients
from .keep import changes, gone_scopes
from .owners import assign_owners
from .reads import each

log = logging.getLogger(__name__)

LONGEST_GRACE = timedelta(minutes=60)
"""A Terraform update removes and re-creates role assignments, and the gap lasts as long as the update; but not "
"longer."""
UNREADABLE = timedelta(minutes=30)
"""How long a loss waits for a live read that fails, before it is told as not confirmed."""
TOGETHER = timedelta(minutes=2)
"""Losses so near to each other are one clean-up, and one card."""
TRIES = 30
"""How often an event is looked at that nothing is known of yet: the activity log lags behind by minutes."""
LOOKS = 32
"""How many looks there are in a tick at most: enough to part one bad event from a thousand good ones."""
SCOPES = 20
"""How many scopes of one finding are asked for at most."""
_FARTHEST = timedelta(days=7)
"""How far back the activity log is asked for."""
_MARGIN = timedelta(minutes=5)
"""How much earlier it is asked for than the loss."""
_APART = timedelta(minutes=2)
"""How much earlier than the event the log may date the same deletion."""
_LAG = timedelta(minutes=10)
"""How long a listing may still show what an event or the log says is deleted."""
_RETRY = timedelta(minutes=1)
_UPDATING = frozenset(
    {"updating", "upgrading", "scaling", "starting", "migrating", "reconcilingclusteretcdcertificates"}
)

Grants = dict[str, BaselineGrant]


@dataclass(slots=True)
class _Events:
    """The inbox, sorted: what each event means, and what becomes of its row."""

    changes: list[tuple[InboxRow, RoleChange]] = field(default_factory=list)
    done: list[InboxRow] = field(default_factory=list)
    later: list[InboxRow] = field(default_factory=list)

    def of(self, *kinds: Change) -> list[RoleChange]:
        return [change for _, change in self.changes if change.change in kinds]


async def look_again(
    clients: Clients,
    settings: Settings,
    now: datetime,
    tenant_id: str,
    stored: Stored,
    ready: Collection[str],
    inbox: Sequence[InboxRow],
    check: Callable[[], None],
) -> None:
    """Deal with the events of the inbox, and with the pending findings among `ready`; writes what it learned.

    `check` raises when another run has taken over. Raises StorageError when something cannot be written; then the
    events stay, and are dealt with again.
    """
    tables = clients.tables
    assert tables
    asking = [one.fingerprint for one in stored.findings if one.open and one.pending and one.fingerprint in ready]

    # What failed before comes last, so that each tick gets on.
    waiting: deque[Sequence[InboxRow | str]] = deque([[*asking, *sorted(inbox, key=lambda row: row.tries)]])
    for number in range(LOOKS):
        if not waiting:
            return
        some = waiting.popleft()
        rows = [one for one in some if isinstance(one, InboxRow)]
        names = {one for one in some if isinstance(one, str)}
        stored = await tables.list_findings(tenant_id) if number else stored
        run = _Look(clients, tables, settings, now, tenant_id, stored, names, check)
        try:
            await run.all(rows)
        except StorageError:
            raise
        except Exception as error:
            # One event, subscription or row of which nobody foresaw this stops no other.
            if len(some) > 1:
                waiting.extendleft(reversed(_parts(some, stored, apart=number == 0)))
                continue
            log.exception("an event or a finding cannot be looked at; it is left to a later tick")
            await run.give_up(rows, f"an unforeseen {type(error).__name__}")
    if waiting:
        log.error(
            "%d events and findings are left to the next tick, since looking at them fails", sum(map(len, waiting))
        )


def _parts(some: Sequence[InboxRow | str], stored: Stored, *, apart: bool) -> list[Sequence[InboxRow | str]]:
    """Events and findings by subscription if they shall be told apart, the few before the many; else the two halves."""
    resources = {one.fingerprint: one.resource_id for one in stored.findings}
    places: dict[str, list[InboxRow | str]] = {}
    for one in some if apart else ():
        # Whatever is in an event: what is asked for here must not fail as well.
        text = resources.get(one, "") if isinstance(one, str) else json.dumps(one.event, default=str)
        places.setdefault(text.lower().partition("/subscriptions/")[2][:36], []).append(one)
    if len(places) > 1:
        return sorted(places.values(), key=len)
    middle = len(some) // 2
    return [some[:middle], some[middle:]]


class _Look:
    """One look at what may have changed."""

    def __init__(
        self,
        clients: Clients,
        tables: Tables,
        settings: Settings,
        now: datetime,
        tenant_id: str,
        stored: Stored,
        ready: Collection[str],
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._clients = clients
        self._tables = tables
        self._settings = settings
        self._now = now
        self._tenant_id = tenant_id
        self._stored = stored
        self._asking = [one for one in stored.findings if one.open and one.pending and one.fingerprint in ready]
        """The findings that are about to be told."""
        self._unread: list[Unread] = []

    async def all(self, inbox: Sequence[InboxRow]) -> None:
        last = await self._tables.last_scan(self._now)
        clusters = {row.id.lower(): row for row in (await self._tables.list_clusters()).values()}
        scopes = await self._tables.list_scopes()
        known = await self._tables.list_grants()
        events = _sorted(inbox, frozenset(scopes))
        before, grants, listed = known, dict(known), frozenset[str]()
        if events.of(Change.GRANT_DELETED, Change.GRANT_WRITTEN) or self._asking:
            grants, listed = await self._learn(events, clusters, known, last)
        concerned = self._concerned(events, clusters, before, grants)
        if concerned:
            await self._judge(concerned, clusters, before, grants, listed, frozenset(scopes), last)
        elif grants != before:
            self._check()
            await self._tables.save_grants(before, grants)
        await self._tables.close_events(events.done, events.later)

    async def give_up(self, inbox: Sequence[InboxRow], why: str) -> None:
        """Try later what cannot be looked at; in the end an event is set aside, a loss told as not confirmed."""
        later = [
            replace(row, tries=row.tries + 1) if row.tries + 1 < TRIES else replace(row, problem=why) for row in inbox
        ]
        await self._tables.close_events([], later)
        stored = await self._tables.list_findings(self._tenant_id)
        names = {one.fingerprint for one in self._asking}
        late = self._settings.thresholds.grace + UNREADABLE
        after = [
            _changed(one, pending=False, unconfirmed=why)
            if one.fingerprint in names and one.pending and self._now - one.first_seen >= late
            else one
            for one in stored.findings
        ]
        policy = replace(self._settings.policy, silences=stored.others.silences)
        self._check()
        await self._tables.save_findings(self._tenant_id, changes(stored, after, self._now, policy))

    async def _learn(
        self, events: _Events, clusters: Mapping[str, ClusterRow], known: Grants, last: ScanRow | None
    ) -> tuple[Grants, frozenset[str]]:
        """The baseline after the events: one listing and one page of the log for each subscription, not for each "
        "event."""
        touched = {one.subscription_id for one in events.of(Change.GRANT_DELETED, Change.GRANT_WRITTEN)}
        wanted = {one for row in clusters.values() for one in row.principals}
        wanted |= {row.assignment.principal_id.lower() for row in known.values()}

        async def read(subscription_id: str) -> list[RoleAssignment]:
            some, failed = await self._clients.rbac.list_assignments(subscription_id, wanted)
            if failed:
                raise ReadError(failed[0])
            return some

        failed: list[Unread] = []
        answers = await each(sorted(touched), read, failed)
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
            if row.deleted_at and row.deleted_by and self._now - row.deleted_at < _LAG and key not in written
        }
        grants = baseline.observe(
            known,
            [one for one in live if one.key not in late],
            read=listed,
            members=members,
            began=self._now,
            last=last.started if last else None,
            partly=True,
        )
        log_of = await self._log(events, grants)
        present = {one.key for one in live}
        for row, change in list(events.changes):
            if change.change is not Change.GRANT_DELETED:
                continue
            key = change.resource_id.lower()
            entry = log_of.get(key)
            if entry and not _same(entry, change.at, change.by, grants.get(key)):
                entry = None
            if key in present:
                # The listing may lag behind the deletion: its absence is proof, its presence is none.
                _wait(events, row)
            elif entry and (key in grants or entry.assignment.principal_id.lower() in wanted):
                grants = baseline.deleted(grants, key, entry.at, entry.by, entry.assignment)
            elif key in grants:
                grants = baseline.deleted(grants, key, min(change.at or row.received, self._now), change.by)
            elif entry is None:
                # Not seen by any scan; the log will say whose it was.
                _wait(events, row)
        for entry in log_of.values():
            old = grants.get(entry.assignment.key)
            if old and old.lost and _same(entry, old.deleted_at if old.deleted_by else None, old.deleted_by, old):
                grants = baseline.deleted(grants, entry.assignment.id, entry.at, entry.by)
        return grants, listed

    async def _log(self, events: _Events, grants: Grants) -> dict[str, Deletion]:
        """The last deletion of each assignment in the activity log, by lower-case id; nothing where it cannot be "
        "read."""
        since: dict[str, datetime] = {}

        def want(subscription_id: str, at: datetime) -> None:
            since[subscription_id] = min(at, since.get(subscription_id, at))

        for row, change in events.changes:
            if change.change is Change.GRANT_DELETED:
                want(change.subscription_id, change.at or row.received)
        for finding in self._asking:
            grant = grants.get(str(finding.facts.get("lost_assignment", "")).lower())
            # What is confirmed, too: it may have come back and been deleted again.
            if grant and grant.deleted_at:
                subscription_id = subscription_of(grant.assignment.scope)
                if subscription_id:
                    want(subscription_id, grant.deleted_after or grant.deleted_at)

        async def read(subscription_id: str) -> list[Deletion]:
            # A time that somebody made up may be the first there is: nothing is earlier.
            begin = max(since[subscription_id], self._now - _FARTHEST) - _MARGIN
            return await self._clients.activity.list_deletions(subscription_id, begin, self._now)

        # Who did it is worth knowing, but nothing waits for it: what is refused here is said by the scan.
        answers = await each(sorted(since), read, [])
        # The log has the newest first; only the last deletion of an assignment that came back is its loss.
        entries = sorted((one for _, some in answers for one in some), key=lambda one: one.at)
        return {one.assignment.key: replace(one, at=min(one.at, self._now)) for one in entries}

    def _concerned(
        self, events: _Events, clusters: Mapping[str, ClusterRow], before: Grants, after: Grants
    ) -> dict[str, str]:
        """The clusters to look at, by lower-case id: those that depend on what changed, and those about to be told "
        "of."""
        holders = {holder for name, row in after.items() if before.get(name) != row for holder in row.holders}
        identities = {one.resource_id.lower() for one in events.of(Change.IDENTITY_DELETED)}
        named = {one.resource_id.lower() for one in events.of(Change.CLUSTER_WRITTEN, Change.CLUSTER_DELETED)}
        found = {
            key: row.id
            for key, row in clusters.items()
            if key in named or holders & set(row.principals) or identities & set(row.identities)
        }
        return found | {one.resource_id.lower(): one.resource_id for one in self._asking}

    async def _judge(
        self,
        concerned: Mapping[str, str],
        clusters: Mapping[str, ClusterRow],
        before: Grants,
        grants: Grants,
        listed: frozenset[str],
        scopes: frozenset[str],
        last: ScanRow | None,
    ) -> None:
        snapshot = await self._snapshot(concerned, clusters, grants, listed, scopes, last)
        observed = evaluate(snapshot, DRIFT)
        failures, held = await self._ask(observed)
        if held:
            # Somebody gave it back, or a listing was late.
            snapshot = await self._defined(_with(snapshot, held), [one for _, one in held])
            observed = evaluate(snapshot, DRIFT)
        failures = {**self._undecided(observed, snapshot), **failures}
        losses = _losses(observed, grants)
        observed, unread = await assign_owners(self._clients, self._settings, snapshot, observed)
        snapshot = replace(snapshot, unread=(*snapshot.unread, *unread))
        ids = {rule.id for rule in DRIFT}
        mine = [one for one in self._stored.findings if one.rule in ids and one.resource_id.lower() in concerned]
        states = {one.id.lower(): one.provisioning_state.lower() for one in snapshot.clusters}
        after = [
            self._timed(one, states.get(one.resource_id.lower()), failures, losses)
            for one in reconcile(mine, observed, snapshot, DRIFT)
        ]
        after += [one for one in self._stored.findings if one.fingerprint not in {each.fingerprint for each in after}]
        after = _grouped(after)
        policy = replace(self._settings.policy, silences=self._stored.others.silences)
        kept = self._remembered(snapshot, grants, clusters)
        self._check()
        # The findings first: an event that is dealt with again after a kill looks only at what is new to the baseline.
        await self._tables.save_findings(self._tenant_id, changes(self._stored, after, self._now, policy))
        self._check()
        await self._tables.save_grants(before, kept)

    async def _snapshot(
        self,
        concerned: Mapping[str, str],
        clusters: Mapping[str, ClusterRow],
        grants: Grants,
        listed: frozenset[str],
        scopes: frozenset[str],
        last: ScanRow | None,
    ) -> Snapshot:
        """The clusters concerned as they are now, with what their identities hold."""
        unread: list[Unread] = []
        found = [one for _, one in await each(concerned.values(), self._clients.aks.get_cluster, unread)]
        subscription_ids = sorted({one.subscription_id for one in found})
        subscriptions = await each(subscription_ids, self._clients.aks.get_subscription, [])
        identities = [one for key in concerned if key in clusters for one in clusters[key].identities]
        reading = await read_access(
            self._clients,
            found,
            grants,
            subscriptions=(),
            identities=identities,
            registries=sorted(scopes),
            besides=frozenset(
                one for key in concerned if key in clusters for one in former.principals(clusters[key].former)
            ),
        )
        partial = {key for key in (last.unread if last else ()) if key.startswith(f"{RoleAssignment.__name__} ")}
        whole = {one for one in scopes if f"{RoleAssignment.__name__} /subscriptions/{one}" not in partial}
        if last and last.unnamed:
            whole = set()
        behind = {one for key in concerned if key in clusters for one in clusters[key].principals}
        # A scope that is gone may be in the middle of being made anew: only a scan forgets what was lost with it.
        _, unasked = await gone_scopes(
            self._clients.resources, (row for row in grants.values() if behind & set(row.holders))
        )
        access = replace(reading.access, listed=listed | whole, baseline=tuple(grants.values()), unasked=unasked)
        # What the last scan could not list is as little known to this look.
        unlisted = [
            Unread(kind=RoleAssignment, scope=f"/subscriptions/{one}", reason="not read by the last scan")
            for one in sorted(scopes - whole - listed)
        ]
        snapshot = Snapshot(
            taken=self._now,
            tenant_id=self._tenant_id,
            thresholds=self._settings.thresholds,
            subscriptions=tuple(one for _, one in subscriptions),
            clusters=tuple(found),
            service_principals=reading.principals,
            access=access,
            unread=(*unread, *reading.unread, *unlisted),
        )
        before = {key: row.former for key, row in clusters.items()}
        return replace(snapshot, former=former.all_seen(snapshot, before))

    async def _ask(self, observed: Observed) -> tuple[dict[str, str], list[tuple[str, RoleAssignment]]]:
        """Ask ARM itself for what is about to be told: why that failed, by fingerprint, and what is held after all."""
        asking = {one.fingerprint for one in self._asking}
        asked: dict[tuple[str, str], set[str]] = {}
        for finding in observed.findings:
            principal = str(finding.facts.get("principal_id", ""))
            targets = finding.facts.get("targets") or finding.facts.get("lost_scope", "")
            scopes = [targets] if isinstance(targets, str) else list(targets)
            if finding.fingerprint in asking and principal:
                for scope in scopes[:SCOPES]:
                    asked.setdefault((scope, principal), set()).add(finding.fingerprint)
        failures: dict[str, str] = {}
        held: list[tuple[str, RoleAssignment]] = []

        async def ask(question: tuple[str, str]) -> list[RoleAssignment]:
            try:
                return await self._clients.rbac.list_held_at(*question)
            except NotFoundError:
                raise
            except ReadError as error:
                failures.update(dict.fromkeys(asked[question], error.unread.reason))
                raise

        for (_, principal), some in await each(asked, ask, []):
            held += [(principal, one) for one in some]
        return failures, held

    async def _defined(self, snapshot: Snapshot, held: Sequence[RoleAssignment]) -> Snapshot:
        """The snapshot with the roles of what is held, as far as it lacks them."""
        known = {one.role_id for one in snapshot.access.definitions}
        unread: list[Unread] = []
        new = await read_definitions(
            self._clients, [one for one in held if one.role_id not in known], snapshot.access.listed, unread
        )
        access = replace(snapshot.access, definitions=(*snapshot.access.definitions, *new))
        return replace(snapshot, access=access, unread=(*snapshot.unread, *unread))

    def _undecided(self, observed: Observed, snapshot: Snapshot) -> dict[str, str]:
        """Why it cannot be told of findings whether they still stand, by fingerprint."""
        sure = {one.fingerprint for one in observed.findings} | observed.held
        reason = next(
            (one.reason for one in snapshot.unread if one.kind is RoleDefinition),
            "not all that decides it could be read",
        )
        return {
            one.fingerprint: reason
            for one in self._asking
            if one.fingerprint not in sure
            and (one.fingerprint in observed.undecided or (one.rule, one.resource_id.lower()) in observed.blind)
        }

    def _timed(
        self, finding: Finding, state: str | None, failures: Mapping[str, str], losses: Mapping[str, datetime]
    ) -> Finding:
        """The finding as it may be told now, or with a later moment at which to look again."""
        if (
            not finding.open
            or not finding.pending
            or finding.fingerprint not in {one.fingerprint for one in self._asking}
        ):
            return finding
        since = finding.lost_at or finding.first_seen
        later, grace = losses.get(finding.fingerprint, since), self._settings.thresholds.grace
        if finding.lost_at and later > since:
            # It came back meanwhile, and this is another loss.
            finding, since = _changed(finding, lost_at=later), later
            if self._now < later + grace and self._now < finding.first_seen + LONGEST_GRACE:
                return _changed(finding, not_before=later + grace)
        if state in _UPDATING and self._now < since + LONGEST_GRACE:
            return _changed(finding, not_before=self._now + _RETRY)
        # A cluster that cannot be read leaves the finding as it is, and nothing asked for it.
        failure = failures.get(finding.fingerprint, "") or ("the cluster could not be read" if state is None else "")
        if not failure:
            return _changed(finding, pending=False, unconfirmed="")
        begun = max(since, finding.first_seen) + grace
        if self._now < begun + UNREADABLE:
            return _changed(finding, not_before=self._now + _RETRY)
        return _changed(finding, pending=False, unconfirmed=failure)

    def _remembered(self, snapshot: Snapshot, grants: Grants, clusters: Mapping[str, ClusterRow]) -> Grants:
        """The baseline after this look: what is settled is forgotten, if every cluster behind it was read."""
        done = drift.settled(snapshot) - former.owed(snapshot)
        read = {one.id.lower() for one in snapshot.clusters}
        # What a cluster was counts as well: one that is gone now may be made anew before the next scan.
        unread = [row for key, row in clusters.items() if key not in read]
        elsewhere = {one for row in unread for one in (*row.principals, *former.principals(row.former))}
        return {name: row for name, row in grants.items() if name not in done or elsewhere & set(row.holders)}


def _sorted(inbox: Sequence[InboxRow], scopes: frozenset[str]) -> _Events:
    """The events of the inbox; what is not understood is set aside, what is not ours is done."""
    events = _Events()
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


def _wait(events: _Events, row: InboxRow) -> None:
    """Look at an event again at the next tick, but not for ever: the next scan compares all the same."""
    if row.tries + 1 < TRIES:
        events.done.remove(row)
        events.later.append(replace(row, tries=row.tries + 1))


def _same(entry: Deletion, at: datetime | None, by: Caller | None, known: BaselineGrant | None) -> bool:
    """Whether an entry of the log is about the loss of a moment, and not about one before the assignment came back."""
    if at and (at - entry.at > _APART or (entry.at < at and by and by.differs(entry.by))):
        return False
    return not known or entry.at >= (known.deleted_after or known.first_seen)


def _losses(observed: Observed, grants: Grants) -> dict[str, datetime]:
    """When what is told of was lost, by fingerprint, where an event or the log says so."""
    found = {}
    for one in observed.findings:
        row = grants.get(str(one.facts.get("lost_assignment", "")).lower())
        if row and row.deleted_by and row.deleted_at and row.deleted_at == one.lost_at:
            found[one.fingerprint] = row.deleted_at
    return found


def _with(snapshot: Snapshot, held: Sequence[tuple[str, RoleAssignment]]) -> Snapshot:
    """The snapshot with assignments that ARM says a principal holds at a scope, itself or through a group."""
    access = snapshot.access
    groups: dict[str, set[str]] = {}
    for principal, one in held:
        if one.principal_id.lower() != principal.lower():
            groups.setdefault(principal.lower(), set()).add(one.principal_id)
    members = {one.principal_id.lower(): set(one.groups) for one in access.memberships}
    for principal, some in groups.items():
        members.setdefault(principal, set()).update(some)
    memberships = tuple(Membership(principal_id=name, groups=tuple(sorted(some))) for name, some in members.items())
    return replace(
        snapshot,
        access=replace(
            access,
            assignments=(*access.assignments, *(one for _, one in held)),
            memberships=memberships,
        ),
    )


def _changed(finding: Finding, **fields: object) -> Finding:
    after = replace(finding, **fields)  # type: ignore[arg-type]
    return finding if after == finding else replace(after, revision=finding.revision + 1)


def _grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Losses of one clean-up wait for its last one, so that they are one card."""
    waiting = [one for one in findings if one.open and one.pending and one.not_before and one.lost_at]
    latest = max((one.not_before for one in waiting if one.not_before), default=None)
    after = []
    for one in findings:
        near = latest and one.not_before and one.lost_at and one.open and one.pending
        if near and latest and one.not_before and one.lost_at and latest - TOGETHER <= one.not_before < latest:
            one = _changed(one, not_before=min(latest, one.lost_at + LONGEST_GRACE))
        after.append(one)
    return after
