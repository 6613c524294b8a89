"""Look again: after an event, and before anybody is told of a loss, at the clusters that depend on it and at no other.

An event is a hint; what counts is what ARM says now. A read that fails leaves everything as it is, for half an hour.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from .. import drift, former, grace
from ..access import Membership, RoleAssignment, RoleDefinition
from ..clients.baseline_rows import ClusterRow
from ..clients.http import NotFoundError, ReadError
from ..clients.inbox_rows import InboxRow
from ..clients.scan_rows import ScanRow
from ..clients.storage import StorageError
from ..clients.tables import Stored, Tables
from ..events import Change
from ..findings import Finding, Observed, evaluate, reconcile
from ..model import Snapshot, Unread
from ..rule import Fact
from ..rules import DRIFT
from ..settings import Settings
from .access import read_access, read_definitions
from .connect import Clients
from .keep import changes, gone_scopes
from .learn import TRIES, Events, Grants, learn, understood
from .owners import assign_owners
from .reads import each

log = logging.getLogger(__name__)

Question = tuple[str, str]
"""A scope, and the object id of a principal that may hold something there."""

LOOKS = 32
"""How many looks there are in a tick at most: enough to part one bad event from a thousand good ones."""
PATIENCE = 600.0
"""Seconds that one look may take: where Azure accepts everything and answers nothing, cards still go out."""
SCOPES = 20
"""How many scopes of one finding are asked for at a time."""
ROUNDS = 5
"""How often more is asked for what the answers leave open: the next scopes, or what another identity should hold."""


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
            async with asyncio.timeout(PATIENCE):
                await run.all(rows)
        except StorageError:
            raise
        except TimeoutError:
            log.warning("Azure did not answer within %d seconds; what was asked is left to the next tick", PATIENCE)
            await run.give_up(rows, f"no answer within {PATIENCE:g} seconds")
            return
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
        """What Azure did not answer to this look."""
        self._dark: set[str] = set()
        """Subscriptions in which something was given, nobody could list what."""

    async def all(self, inbox: Sequence[InboxRow]) -> None:
        last = await self._tables.last_scan(self._now)
        clusters = {row.id.lower(): row for row in (await self._tables.list_clusters()).values()}
        scopes = await self._tables.list_scopes()
        known = await self._tables.list_grants()
        events = understood(inbox, frozenset(scopes))
        before, grants, listed = known, dict(known), frozenset[str]()
        if events.of(Change.GRANT_DELETED, Change.GRANT_WRITTEN) or self._asking:
            principals = {one for row in clusters.values() for one in row.principals}
            asked = [str(one.facts.get("lost_assignment", "")).lower() for one in self._asking]
            began = last.started if last else None
            grants, listed = await learn(
                self._clients, events, principals, known, asked, self._now, began, self._unread
            )
        # Where something was given, only a listing tells what.
        self._dark = {one.subscription_id for one in events.of(Change.GRANT_WRITTEN)} - listed
        concerned = self._concerned(events, clusters, before, grants)
        if concerned:
            await self._judge(concerned, clusters, before, grants, listed, frozenset(scopes), last)
        elif grants != before:
            self._check()
            await self._tables.save_grants(before, grants)
        if any(one.passing for one in self._unread):
            events.wait_all()
        await self._tables.close_events(events.done, events.later)

    async def give_up(self, inbox: Sequence[InboxRow], why: str) -> None:
        """Try later what cannot be looked at; in the end an event is set aside, a loss told as not confirmed."""
        later = [
            replace(row, tries=row.tries + 1) if row.tries + 1 < TRIES else replace(row, problem=why) for row in inbox
        ]
        await self._tables.close_events([], later)
        stored = await self._tables.list_findings(self._tenant_id)
        names = {one.fingerprint for one in self._asking}
        late = self._settings.thresholds.grace + grace.UNREADABLE
        after = [
            grace.changed(one, pending=False, unconfirmed=why)
            if one.fingerprint in names and one.pending and self._now - one.first_seen >= late
            else one
            for one in stored.findings
        ]
        policy = replace(self._settings.policy, silences=stored.others.silences)
        self._check()
        await self._tables.save_findings(self._tenant_id, changes(stored, after, self._now, policy))

    def _concerned(
        self, events: Events, clusters: Mapping[str, ClusterRow], before: Grants, after: Grants
    ) -> dict[str, str]:
        """The clusters to look at, by lower-case id: those that depend on what changed, and those to be told of."""
        changed = [row for name, row in after.items() if before.get(name) != row]
        # What an event took that is looked at again is no change to the baseline any more.
        taken = [after.get(one.resource_id.lower()) for one in events.of(Change.GRANT_DELETED)]
        gone = [row for row in taken if row and row.lost]
        holders = {holder for row in (*changed, *gone) for holder in row.holders}
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
        self._unread += snapshot.unread
        snapshot, observed, failures = await self._asked(snapshot, _listed_for(clusters, grants))
        observed = self._without(observed, failures)
        failures = {**self._undecided(observed, snapshot), **failures}
        losses = _losses(observed, grants)
        observed, unread = await assign_owners(self._clients, self._settings, snapshot, observed)
        snapshot = replace(snapshot, unread=(*snapshot.unread, *unread))
        ids = {rule.id for rule in DRIFT}
        mine = [one for one in self._stored.findings if one.rule in ids and one.resource_id.lower() in concerned]
        states = {one.id.lower(): one.provisioning_state.lower() for one in snapshot.clusters}
        asking = {one.fingerprint for one in self._asking}
        after = [
            grace.timed(
                one,
                self._now,
                self._settings.thresholds.grace,
                state=states.get(one.resource_id.lower()),
                failure=failures.get(one.fingerprint, ""),
                lost=losses.get(one.fingerprint),
            )
            if one.open and one.pending and one.fingerprint in asking
            else one
            for one in reconcile(mine, observed, snapshot, DRIFT)
        ]
        after += [one for one in self._stored.findings if one.fingerprint not in {each.fingerprint for each in after}]
        after = grace.grouped(after)
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
        whole -= self._dark
        # Not yet for what is new, which may be hundreds. A scope that is gone may be in the middle of being made anew:
        # only a scan forgets what was lost with it.
        open_ = [one for one in self._stored.findings if one.open and one.resource_id.lower() in concerned]
        told = {name.lower() for one in open_ for name in _lost(one)}
        _, unasked = await gone_scopes(self._clients.resources, (row for key, row in grants.items() if key in told))
        access = replace(reading.access, listed=listed | whole, baseline=tuple(grants.values()), unasked=unasked)
        # What neither this look nor the last scan could list is not known.
        unlisted = [
            Unread(kind=RoleAssignment, scope=f"/subscriptions/{one}", reason="not listed")
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

    async def _asked(
        self, snapshot: Snapshot, listed_for: Collection[str]
    ) -> tuple[Snapshot, Observed, dict[str, str]]:
        """The snapshot with what ARM says is held after all, and what is found then; why ARM did not say it.

        The reasons are by fingerprint.
        """
        observed = evaluate(snapshot, DRIFT)
        failures: dict[str, str] = {}
        asked: set[Question] = set()
        for _ in range(ROUNDS):
            questions = self._questions(observed, listed_for, asked)
            if not questions:
                break
            asked |= questions.keys()
            held = await self._ask(questions, failures)
            if held:
                # Somebody gave it back, or a listing was late.
                snapshot = await self._defined(_with(snapshot, held), [one for _, one in held])
                observed = evaluate(snapshot, DRIFT)
        for fingerprints in self._questions(observed, listed_for, asked, strangers=True).values():
            failures.update(dict.fromkeys(fingerprints, "it is more than can be asked for at once"))
        return snapshot, observed, failures

    def _questions(
        self, observed: Observed, listed_for: Collection[str], asked: Collection[Question], *, strangers: bool = False
    ) -> dict[Question, set[str]]:
        """What to ask ARM itself, and for which findings: of what is about to be told, and of strangers.

        Those are principals for whom nothing was listed, since no scan has seen them.
        """
        asking = set() if strangers else {one.fingerprint for one in self._asking}
        found: dict[Question, set[str]] = {}
        for finding in observed.findings:
            facts, mine = finding.facts, finding.fingerprint in asking
            principals = _texts(facts.get("successors") or facts.get("principal_id", ""))
            scopes = _texts(facts.get("targets") or facts.get("lost_scope", ""))
            for principal in [one for one in principals if one and (mine or one.lower() not in listed_for)]:
                for scope in [one for one in scopes if (one, principal) not in asked][:SCOPES]:
                    found.setdefault((scope, principal), set()).add(finding.fingerprint)
        return found

    async def _ask(
        self, questions: Mapping[Question, Collection[str]], failures: dict[str, str]
    ) -> list[tuple[str, RoleAssignment]]:
        """What principals hold at scopes, as ARM says; why it did not goes to `failures`, by fingerprint."""

        async def ask(question: Question) -> list[RoleAssignment]:
            try:
                return await self._clients.rbac.list_held_at(*question)
            except NotFoundError:
                raise
            except ReadError as error:
                failures.update(dict.fromkeys(questions[question], error.unread.reason))
                raise

        answers = await each(questions, ask, self._unread)
        return [(principal, one) for (_, principal), some in answers for one in some]

    def _without(self, observed: Observed, failures: Mapping[str, str]) -> Observed:
        """What was observed without what is new and could not be asked for: who is new may hold all of it."""
        unsure = failures.keys() - {one.fingerprint for one in self._asking}
        return replace(
            observed,
            findings=tuple(one for one in observed.findings if one.fingerprint not in unsure),
            undecided=observed.undecided | unsure,
        )

    async def _defined(self, snapshot: Snapshot, held: Sequence[RoleAssignment]) -> Snapshot:
        """The snapshot with the roles of what is held, as far as it lacks them."""
        known = {one.role_id for one in snapshot.access.definitions}
        unread: list[Unread] = []
        new = await read_definitions(
            self._clients, [one for one in held if one.role_id not in known], snapshot.access.listed, unread
        )
        self._unread += unread
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

    def _remembered(self, snapshot: Snapshot, grants: Grants, clusters: Mapping[str, ClusterRow]) -> Grants:
        """The baseline after this look: what is settled is forgotten, if every cluster behind it was read."""
        done = drift.settled(snapshot) - former.owed(snapshot)
        read = {one.id.lower() for one in snapshot.clusters}
        # What a cluster was counts as well: one that is gone now may be made anew before the next scan.
        unread = [row for key, row in clusters.items() if key not in read]
        elsewhere = {one for row in unread for one in (*row.principals, *former.principals(row.former))}
        return {name: row for name, row in grants.items() if name not in done or elsewhere & set(row.holders)}


def _listed_for(clusters: Mapping[str, ClusterRow], grants: Grants) -> frozenset[str]:
    """Whose role assignments the listings and the baseline hold, by lower-case object id."""
    known = {row.assignment.principal_id.lower() for row in grants.values()}
    return frozenset(known.union(*(row.principals for row in clusters.values())))


def _lost(finding: Finding) -> Sequence[str]:
    """The ids of the assignments that a finding says are lost."""
    return _texts(finding.facts.get("lost_assignments", ()))


def _texts(fact: Fact) -> Sequence[str]:
    """A fact that is one text or many."""
    return [fact] if isinstance(fact, str) else fact


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
