"""Findings for the custom topic: each stays due until it was accepted, and none keeps a card waiting for long."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from .. import report
from ..clients.other_rows import APPOINTMENT, Appointment, appointment_row
from ..clients.storage import ConflictError
from ..clients.tables import Change, Stored, Tables
from ..clients.teams import DeliveryError
from ..findings import Finding
from .appointments import postponed
from .connect import Clients

log = logging.getLogger(__name__)

NAME = "topic"
"""The appointment that wakes an idle settle."""


async def plan(tables: Tables, tenant_id: str, stored: Stored, findings: Sequence[Finding], now: datetime) -> None:
    """Wake settle for what is about to be written; done first, so that a run killed in between loses nothing."""
    if report.unpublished(findings, now) and NAME not in stored.others.appointments:
        await tables.save_rows("findings", [appointment_row(tenant_id, Appointment(name=NAME))])


async def publish(clients: Clients, tables: Tables, tenant_id: str, stored: Stored, now: datetime) -> Stored:
    """Send what the topic has not accepted and remember what it did; gives the findings as they stand then.

    Each batch is recorded before the next one goes: a crash repeats one, with the same ids.
    """
    planned = stored.others.appointments.get(NAME)
    if clients.topic is None:
        # Somebody took the setting away.
        if planned:
            await tables.delete_rows("findings", [(tenant_id, f"{APPOINTMENT}{NAME}")])
        return stored
    if planned and planned.at and planned.at > now:
        return stored
    sent = 0
    try:
        for findings, events in report.batches(report.unpublished(stored.findings, now), tenant_id):
            await clients.topic.send(events)
            stored = await _record(tables, tenant_id, stored, findings)
            sent += len(events)
    except (DeliveryError, ConflictError) as error:
        log.warning("%s; the events stay due", error)
        later = postponed(planned or Appointment(name=NAME), now)
        await tables.save_rows("findings", [appointment_row(tenant_id, later)])
        # A row that changed meanwhile has to be read again before anything is written over it.
        return stored if isinstance(error, DeliveryError) else await tables.list_findings(tenant_id)
    if sent:
        log.info("the topic accepted %d events", sent)
    if planned:
        await tables.delete_rows("findings", [(tenant_id, f"{APPOINTMENT}{NAME}")])
    return stored


async def _record(tables: Tables, tenant_id: str, stored: Stored, findings: Sequence[Finding]) -> Stored:
    changes = []
    for finding in findings:
        due = stored.due.get(finding.fingerprint)
        changes.append(Change(finding=replace(finding, published=finding.changed), due=due, was_due=due))
    saved = {one.fingerprint: one for one in await tables.save_findings(tenant_id, changes)}
    return replace(stored, findings=tuple(saved.get(one.fingerprint, one) for one in stored.findings))
