"""Settle what is due: decide, send, record, one receiver after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .. import alerts, card, silences
from ..alerts import FALLBACK
from ..clients.other_rows import Appointment
from ..clients.rows import Due
from ..clients.scan_rows import ScanRow
from ..clients.storage import ConflictError, LeaseError
from ..clients.tables import Change, Stored, Tables
from ..clients.teams import DeliveryError
from ..findings import Finding, Reason
from ..rules import BY_ID
from ..settings import Receiver, Secret, Settings
from . import appointments, receivers, topic
from .connect import Clients
from .keep import due_row
from .look import look_again
from .scan import ATTEMPTS
from .storage import holder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a run of settle did."""

    accepted: int = 0
    """Cards that a receiver took."""
    refused: int = 0
    waiting: int = 0
    """Findings that stay due."""
    grace: int = 0
    """Findings that are not told yet, since what was lost may come back until then."""
    until: datetime | None = None
    """When the grace of the last of them is over."""


async def settle(clients: Clients, settings: Settings, now: datetime, tenant_id: str = "") -> Settled:
    """Tell the owners what is due; an idle run is one range query of findings and one of the inbox.

    While another run is writing it does nothing: the next tick is a minute away.
    Raises StorageError when storage is away.
    """
    tables = clients.tables
    assert tables, "settle needs storage"
    tenant_id = tenant_id or await watched_tenant(tables)
    if not tenant_id:
        return Settled()
    (due, planned), inbox = await asyncio.gather(tables.list_waiting(tenant_id), tables.list_inbox())
    ready = {one.fingerprint for one in due if not one.not_before or one.not_before <= now}
    kept = [one for one in planned if not one.at or one.at <= now]
    if not ready and not kept and not inbox:
        return _settled(due, ready, now)
    try:
        async with tables.lease(holder("settle"), now) as lease:
            stored = await tables.list_findings(tenant_id)
            if inbox or any(one.open and one.pending and one.fingerprint in ready for one in stored.findings):
                await look_again(clients, settings, now, tenant_id, stored, ready, inbox, lease.check)
                due, _ = await tables.list_waiting(tenant_id)
                ready = {one.fingerprint for one in due if not one.not_before or one.not_before <= now}
            run = _Settling(clients, tables, settings, now, tenant_id, ready, lease.check)
            return await run.all()
    except LeaseError as error:
        log.info("left to the next tick: %s", error)
        return _settled(due, ready, now)


def _settled(due: Collection[Due], ready: Collection[str], now: datetime) -> Settled:
    """What is left to be told: now, when a receiver takes it, or when its grace is over."""
    waiting = {one.fingerprint for one in due if one.fingerprint in ready or one.tries}
    ends = [one.not_before for one in due if one.fingerprint not in waiting and one.not_before and one.not_before > now]
    return Settled(waiting=len(waiting), grace=len(ends), until=max(ends, default=None))


async def watched_tenant(tables: Tables) -> str:
    """The tenant that the last scan read, empty before the first."""
    last = await tables.last_scan()
    return last.tenant_id if last else ""


class _Settling:
    """One run of settle: decide, send, record, a receiver at a time."""

    def __init__(
        self,
        clients: Clients,
        tables: Tables,
        settings: Settings,
        now: datetime,
        tenant_id: str,
        ready: set[str],
        check: Callable[[], None],
    ) -> None:
        self._clients = clients
        self._teams = clients.teams
        self._tables = tables
        self._settings = settings
        self._policy = settings.policy
        self._now = now
        self._tenant_id = tenant_id
        self._ready = ready
        self._kept: list[Appointment] = []
        self._check = check
        self._stored = Stored()
        self._failed: dict[str, float] = {}
        self._accepted = 0
        self._refused = 0

    async def all(self) -> Settled:
        """Tell every receiver what it should hear, then put the due rows right."""
        self._stored = await self._tables.list_findings(self._tenant_id)
        # What another run kept before this one had the lease is planned anew already.
        planned = self._stored.others.appointments.values()
        self._kept = [one for one in planned if not one.at or one.at <= self._now]
        self._policy = replace(self._policy, silences=self._stored.others.silences)
        last = await self._tables.last_scan(self._now)
        coverage = _coverage(last, len(silences.muting(self._stored.findings, self._now, self._policy.silences)))
        await self._wake()
        await self._publish()
        concerned = [one for one in self._stored.findings if one.fingerprint in self._ready]
        for receiver in sorted({name for one in concerned for name in alerts.audience(one)}):
            await self._tell(receiver, coverage)
        await self._close()
        await self._beat(coverage)
        left = _settled(self._stored.due.values(), self._ready, self._now)
        return replace(left, accepted=self._accepted, refused=self._refused)

    async def _wake(self) -> None:
        """Findings whose silence ended are due from now on, even if they cannot be told in this run."""
        if not any(one.name.startswith(appointments.SILENCE) for one in self._kept):
            return
        found = alerts.due(self._stored.findings, self._now, self._policy)
        telling = {name: later for name, later in found.items() if name not in self._stored.due}
        changes = [
            Change(finding=one, due=due_row(one.fingerprint, telling[one.fingerprint], None, self._now))
            for one in self._stored.findings
            if one.fingerprint in telling
        ]
        self._check()
        saved = {one.fingerprint: one for one in await self._tables.save_findings(self._tenant_id, changes)}
        self._stored = replace(
            self._stored,
            findings=tuple(saved.get(one.fingerprint, one) for one in self._stored.findings),
            due={**self._stored.due, **{one.finding.fingerprint: one.due for one in changes if one.due}},
        )
        self._ready |= {name for name, later in telling.items() if later is None}
        await appointments.cross_out_silences(self._tables, self._tenant_id, self._stored, self._kept, self._now)

    async def _publish(self) -> None:
        """Give the topic what it has not got; whether it takes it or not, Teams is told."""
        self._check()
        self._stored = await topic.publish(self._clients, self._tables, self._tenant_id, self._stored, self._now)

    async def _beat(self, coverage: card.Coverage) -> None:
        """Send the weekly card if it is time for it."""
        appointment = next((one for one in self._kept if one.name == appointments.HEARTBEAT), None)
        if not appointment:
            return
        self._check()
        accepted = await appointments.beat(
            self._clients, self._settings, self._tenant_id, self._stored, coverage, appointment, self._now
        )
        self._accepted += accepted is True
        self._refused += accepted is False

    def _entries(self, receiver: str, *, standby: bool = False) -> tuple[alerts.Entry, ...]:
        concerned = [one for one in self._stored.findings if one.fingerprint in self._ready]
        covers = alerts.covered(self._stored.findings, self._policy)
        return alerts.entries(concerned, receiver, self._now, self._policy, covers, standby=standby)

    async def _tell(self, receiver: str, coverage: card.Coverage) -> None:
        found = self._entries(receiver)
        alert = alerts.alert(receiver, found)
        if not alert:
            return
        try:
            await self._send(receiver, alert, coverage)
        except DeliveryError as error:
            log.warning("%s; the findings stay due", error.reason)
            self._refused += 1
            self._failed.update({entry.finding.fingerprint: error.retry_after for entry in found})
            await self._refuses(receiver, error)
            if receiver != FALLBACK and error.permanent:
                await self._stand_in(receiver, found, coverage)

    async def _stand_in(self, receiver: str, found: Sequence[alerts.Entry], coverage: card.Coverage) -> None:
        """The fallback gets what a team's receiver refuses for good; the finding stays due for the team."""
        names = {entry.finding.fingerprint for entry in found}
        entries = [one for one in self._entries(FALLBACK, standby=True) if one.finding.fingerprint in names]
        alert = alerts.alert(FALLBACK, entries)
        if alert:
            note = f"The receiver of team {receiver} refuses cards; these are its findings."
            try:
                await self._send(FALLBACK, alert, coverage, note)
            except DeliveryError as error:
                log.warning("%s; the findings stay due", error.reason)
                self._refused += 1
                await self._refuses(FALLBACK, error)

    async def _refuses(self, receiver: str, error: DeliveryError) -> None:
        """Remember a receiver that refuses for good, so that the next scan finds it."""
        if error.permanent:
            await receivers.refuses_cards(
                self._tables, self._tenant_id, self._stored, receiver, error.reason, self._now
            )

    async def _send(self, receiver: str, alert: alerts.Alert, coverage: card.Coverage, note: str = "") -> None:
        """Send an alert's cards one after the other; each is recorded before the next one goes."""
        target = self._settings.receivers.get(receiver)
        if target is None:
            name = "TEAMS_WEBHOOK_URL" + (f"_{receiver}" if receiver else "")
            target = Receiver(name=name, url=Secret(""), problem="is not set; nobody can be told")
        built = card.cards(
            alert,
            coverage,
            self._now,
            BY_ID,
            tenant_id=self._tenant_id,
            portal=self._settings.cloud.portal,
            note=note,
        )
        for one in built:
            self._check()
            await self._teams.send(target, one.message)
            self._accepted += 1
            if receiver in self._stored.others.refusals:
                await receivers.takes_cards(self._tables, self._tenant_id, receiver)
            log.info(
                "card accepted by %s: %d shown, %d counted, %d closed",
                target.name,
                len(one.shown),
                len(one.counted),
                len(one.closed),
            )
            counted = {entry.finding.fingerprint for entry in one.counted}
            await self._record(receiver, (*one.shown, *one.counted, *one.closed), counted)

    async def _record(self, receiver: str, entries: Sequence[alerts.Entry], counted: set[str]) -> None:
        """Write what a receiver accepted; a row that changed meanwhile is read again, the notice is not lost."""
        for attempt in range(ATTEMPTS):
            current = {one.fingerprint: one for one in self._stored.findings}
            told = {}
            for entry in entries:
                if (name := entry.finding.fingerprint) in current:
                    entry = replace(entry, finding=current[name])
                    told[name] = alerts.told(entry, receiver, self._now, counted=name in counted)
            # What a finding includes was told with it, and is no news when that finding is resolved.
            for name in {name for entry in entries if entry.finding.open for name in entry.finding.includes}:
                if name in current and current[name].open and name not in told:
                    inner = alerts.Entry(
                        finding=current[name],
                        reason=Reason.NEW,
                        tier=alerts.tier(current[name], self._now, self._policy),
                    )
                    told[name] = alerts.told(inner, receiver, self._now, counted=True)
            try:
                await self._save(tuple(told.values()))
            except ConflictError:
                if attempt + 1 == ATTEMPTS:
                    raise
                self._stored = await self._tables.list_findings(self._tenant_id)
                continue
            return

    async def _save(self, changed: Sequence[Finding]) -> None:
        """Write findings with the due rows that follow from them."""
        after = {one.fingerprint: one for one in (*self._stored.findings, *changed)}
        telling = alerts.due(tuple(after.values()), self._now, self._policy)
        changes = []
        for finding in changed:
            name = finding.fingerprint
            was_due = self._stored.due.get(name)
            due = due_row(name, telling[name], was_due, self._now) if name in telling else None
            changes.append(Change(finding=finding, due=due, was_due=was_due))
        saved = await self._tables.save_findings(self._tenant_id, changes)
        after.update({one.fingerprint: one for one in saved})
        rows = {name: one for name, one in self._stored.due.items() if name not in {one.fingerprint for one in changed}}
        rows.update({one.finding.fingerprint: one.due for one in changes if one.due})
        self._stored = replace(self._stored, findings=tuple(after.values()), due=rows)

    async def _close(self) -> None:
        """Remove due rows of findings with nothing more to say, and push back those that could not be told."""
        telling = alerts.due(self._stored.findings, self._now, self._policy)
        current = {one.fingerprint: one for one in self._stored.findings}
        changes = []
        orphans = []
        for fingerprint in sorted(self._ready & self._stored.due.keys()):
            due = self._stored.due[fingerprint]
            finding = current.get(fingerprint)
            if finding is None:
                if fingerprint not in self._stored.foreign and fingerprint not in self._stored.damaged:
                    orphans.append((self._tenant_id, f"due-{fingerprint}"))
            elif fingerprint not in telling:
                changes.append(Change(finding=finding, due=None, was_due=due))
            elif fingerprint in self._failed:
                wait = appointments.backoff(due.tries, self._failed[fingerprint])
                later = replace(due, tries=due.tries + 1, not_before=self._now + wait)
                changes.append(Change(finding=finding, due=later, was_due=due))
        self._check()
        await self._tables.save_findings(self._tenant_id, changes)
        await self._tables.delete_rows("findings", orphans)
        gone = {change.finding.fingerprint for change in changes if not change.due} | {
            name.removeprefix("due-") for _, name in orphans
        }
        self._stored = replace(
            self._stored, due={name: one for name, one in self._stored.due.items() if name not in gone}
        )


def _coverage(last: ScanRow | None, silenced: int) -> card.Coverage:
    if last is None:
        return card.Coverage(silenced=silenced)
    return card.Coverage(
        finished=last.finished,
        counts=last.counts,
        unread=tuple(text or name for name, text in last.unread.items()),
        unnamed=last.unnamed,
        silenced=silenced,
    )
