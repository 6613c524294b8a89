"""Scan the tenant: read into a snapshot, judge, reconcile with what is stored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .. import baseline, former, silences
from ..access import BaselineGrant
from ..clients.scan_rows import ScanRow
from ..clients.storage import ConflictError
from ..clients.tables import Stored, Tables
from ..findings import Finding, Observed, evaluate, reconcile
from ..model import TENANT, Aside, EventSubscription, Owner, Snapshot, Unread
from ..rules import RULES
from ..settings import Settings
from ..silences import Silence
from ..sources import named
from ..text import visible
from . import appointments, receivers, retention, topic
from .access import Reading, read_access
from .connect import Clients
from .estate import Estate, Progress, read_azure, read_entra, silent, tenant_of
from .keep import changes, gone_scopes, keep_estate, remembered
from .owners import read_owners
from .reads import each
from .storage import holder

log = logging.getLogger(__name__)

TURN = 360.0
"""Seconds that a scan waits for its turn to write: longer than the lease of a run that was killed."""

ATTEMPTS = 3
"""How often a decision is taken anew because a row changed meanwhile."""

Grants = Mapping[str, BaselineGrant]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scan found, for whoever started it."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    """Open findings, worst first."""
    written: int = 0
    """Findings that changed in storage."""
    silences: tuple[Silence, ...] = ()
    closed: tuple[Finding, ...] = ()
    """Findings that are over and still stored."""
    last: ScanRow | None = None
    """The stored scan before this one."""


async def scan(
    clients: Clients,
    settings: Settings,
    now: datetime,
    progress: Progress = silent,
    *,
    keep: bool = True,
    ahead: timedelta | None = None,
) -> Report:
    """Read the tenant, judge it, and keep what changed; without tables, or not to `keep`, it only judges.

    The snapshot holds what ends within `ahead`, if that is longer than the notice window; the rules judge the same.

    Raises ReadError when not even the tenant's id can be found, StorageError when findings cannot be kept.
    """
    began = time.monotonic()
    tables = clients.tables
    last = await tables.last_scan(now) if tables else None
    clusters = await tables.list_clusters() if tables else {}
    scopes = await tables.list_scopes() if tables else {}
    known = await tables.list_grants() if tables else {}

    estate = await read_azure(clients.aks, settings, scopes, progress)
    tenant_id = await tenant_of(clients.aks, estate, last)
    stored = await tables.list_findings(tenant_id) if tables else Stored()
    # Beside each other: the listings of Graph are the longest chain of a scan, and rights do not wait for them.
    before = {row.id.lower(): row.former for row in clusters.values()}
    farther = _farther(settings, ahead)
    snapshot, reading, (subscribed, unwired) = await asyncio.gather(
        read_entra(clients.entra, farther, estate, stored, clusters, last, tenant_id, now, progress),
        read_access(
            clients,
            estate.clusters,
            known,
            subscriptions=[one.subscription_id for one in estate.subscriptions],
            besides=frozenset(one for row in before.values() for one in former.principals(row)),
        ),
        _wiring(clients, settings, estate),
    )
    aside = await tables.list_inbox(aside=True) if tables else []
    snapshot = replace(
        snapshot,
        thresholds=settings.thresholds,
        unread=(*snapshot.unread, *reading.unread, *unwired),
        named=bool(settings.subscriptions),
        function_app_id=settings.function_app_id,
        event_subscriptions=subscribed,
        aside=tuple(Aside(received=one.received, problem=one.problem) for one in aside),
        refusals=receivers.refusing(stored, settings),
        counts={**snapshot.counts, "role_assignments": len(reading.access.assignments)},
    )
    previous = last.started if last else None
    snapshot = replace(snapshot, access=reading.access)
    snapshot = replace(snapshot, former=former.all_seen(snapshot, before))
    snapshot = compared(snapshot, reading, known, previous)
    gone, unasked = await gone_scopes(clients.resources, snapshot.access.baseline)
    snapshot = replace(snapshot, access=replace(snapshot.access, unasked=unasked))

    observed = evaluate(snapshot, RULES)
    assigned, owners, unread = await read_owners(clients, settings, snapshot, observed)
    # The owners come after the rules, which say whose are wanted; what depends on them is judged once more.
    snapshot = replace(snapshot, owners=owners, unread=(*snapshot.unread, *unread))
    late = evaluate(snapshot, [rule for rule in RULES if Owner in rule.reads or not rule.reads])
    told = {one.fingerprint for one in observed.findings}
    found = (*observed.findings, *(one for one in late.findings if one.fingerprint not in told))
    observed = replace(
        observed,
        findings=tuple(assigned(one) for one in found),
        undecided=observed.undecided | late.undecided,
    )
    findings: Sequence[Finding] = observed.findings
    written = 0
    if tables and not keep:
        findings = reconcile(stored.findings, observed, snapshot, RULES)
    elif tables:
        keeping = _Keeping(tables, settings, snapshot, reading, observed, known, previous, gone)
        findings, written = await keeping.keep(now + timedelta(seconds=time.monotonic() - began))
        await appointments.plan_heartbeat(tables, tenant_id, stored, now)
        await keep_estate(tables, snapshot, reading.watched, clusters, scopes, estate.gone)
        finished = now + timedelta(seconds=time.monotonic() - began)
        await tables.save_scan(
            ScanRow(
                started=now,
                finished=finished,
                tenant_id=tenant_id,
                counts=snapshot.counts,
                unread={one.key: _unread_text(one) for one in snapshot.unread},
                partial=bool(snapshot.unread),
            )
        )
        await retention.prune(tables, tenant_id, stored, findings, now, settings.retention)
    open_now = sorted((one for one in findings if one.open), key=_worst_first)
    log.info(
        "scan finished: read %s; unread %d; findings open %d, silenced %d, written %d",
        ", ".join(f"{number} {name}" for name, number in snapshot.counts.items()),
        len(snapshot.unread),
        len(open_now),
        len(silences.muting(open_now, now, stored.others.silences)),
        written,
    )
    for one in snapshot.unread:
        log.warning("not read: %s", visible(_unread_text(one)))
    return Report(
        snapshot=snapshot,
        findings=tuple(open_now),
        written=written,
        silences=stored.others.silences,
        closed=tuple(one for one in findings if not one.open),
        last=last,
    )


def _farther(settings: Settings, ahead: timedelta | None) -> Settings:
    """Settings under which a read keeps what ends within a longer time."""
    if ahead is None or ahead <= settings.thresholds.window:
        return settings
    days = (ahead.days, *settings.thresholds.notice_days)
    return replace(settings, thresholds=replace(settings.thresholds, notice_days=days))


async def _wiring(
    clients: Clients, settings: Settings, estate: Estate
) -> tuple[tuple[EventSubscription, ...], list[Unread]]:
    """Where the events of the subscriptions with clusters go; nothing is asked if the settings do not name this app."""
    unread: list[Unread] = []
    wanted = sorted({one.subscription_id for one in estate.clusters}) if settings.function_app_id else []
    answers = await each(wanted, clients.wiring.list_event_subscriptions, unread)
    return tuple(one for _, some in answers for one in some), unread


def compared(snapshot: Snapshot, reading: Reading, known: Grants, previous: datetime | None) -> Snapshot:
    """The snapshot with what was read of access, compared with the baseline."""
    access = reading.access
    grants = baseline.observe(
        known,
        access.assignments,
        read=access.listed,
        members=reading.members,
        began=snapshot.taken,
        last=previous,
    )
    live = baseline.standing(access.assignments, grants)
    return replace(snapshot, access=replace(access, assignments=live, baseline=tuple(grants.values())))


class _Keeping:
    """One scan's turn to write: what settle wrote since the scan began counts."""

    def __init__(
        self,
        tables: Tables,
        settings: Settings,
        snapshot: Snapshot,
        reading: Reading,
        observed: Observed,
        known: Grants,
        previous: datetime | None,
        gone: frozenset[str],
    ) -> None:
        self._tables = tables
        self._settings = settings
        self._snapshot = snapshot
        self._reading = reading
        self._observed = observed
        self._known = known
        self._previous = previous
        self._gone = gone

    async def keep(self, moment: datetime) -> tuple[tuple[Finding, ...], int]:
        """Reconcile with what is stored, and write what changed; all findings, and how many were written."""
        tables, tenant_id = self._tables, self._snapshot.tenant_id
        async with tables.lease(holder("scan"), moment, TURN) as lease:
            known = await tables.list_grants()
            if known != self._known:
                self._judge_again(known)
            for attempt in range(ATTEMPTS):
                stored = await tables.list_findings(tenant_id)
                findings = reconcile(stored.findings, self._observed, self._snapshot, RULES)
                policy = replace(self._settings.policy, silences=stored.others.silences)
                written = changes(stored, findings, self._snapshot.taken, policy)
                lease.check()
                # The baseline first: a run killed in between finds the same losses, with the same times.
                await tables.save_grants(known, remembered(self._snapshot, self._reading, self._gone))
                if self._settings.topic_endpoint:
                    await topic.plan(tables, tenant_id, stored, findings, self._snapshot.taken)
                try:
                    await tables.save_findings(tenant_id, written)
                except ConflictError:
                    if attempt + 1 == ATTEMPTS:
                        raise
                    continue
                return findings, len(written)
        raise AssertionError("unreachable")

    def _judge_again(self, known: Grants) -> None:
        """Settle learned of deletions while this scan was reading: its listings may be older than they are."""
        self._snapshot = compared(self._snapshot, self._reading, known, self._previous)
        owned = {one.fingerprint: one for one in self._observed.findings}
        observed = evaluate(self._snapshot, RULES)
        findings = tuple(
            replace(one, owners=old.owners, team=old.team, team_note=old.team_note)
            if (old := owned.get(one.fingerprint))
            else one
            for one in observed.findings
        )
        self._observed = replace(observed, findings=findings)


def _unread_text(unread: Unread) -> str:
    where = "" if unread.scope == TENANT else f" of {unread.scope}"
    mend = f", it needs {unread.permission}" if unread.permission else ""
    return f"{named(unread)}{where}: {unread.reason}{mend}"


def _worst_first(finding: Finding) -> tuple[int, float, str]:
    end = finding.expires_on.timestamp() if finding.expires_on else float("inf")
    return (-finding.severity, end, finding.resource_name.lower())
