"""Table Storage: findings with their due rows, the baseline, the scans and the lease (docs/design.md, section 4)."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableServiceClient

from ..access import BaselineGrant
from ..findings import Finding
from ..settings import SettingsError
from ..text import visible
from .baseline_rows import ClusterRow, ScopeRow, cluster_of, cluster_row, grant_of, grant_row, key
from .http import Patience, retry_options
from .inbox_rows import InboxRow, inbox_of, inbox_row
from .other_rows import APPOINTMENT, Appointment, Others, appointment_of, newer, others_of
from .rows import Due, due_of, due_row, finding_of, finding_row
from .scan_rows import ScanRow, scan_key, scan_of, scan_row
from .storage import ConflictError, Lease, create, failing
from .values import SCHEMA, UNCLEAR, Row, cut, etag_of

log = logging.getLogger(__name__)

Record = TypeVar("Record")

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)

_BATCH = 50
"""Findings a transaction: each is two rows, and a transaction holds 100."""

AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    # The emulator's well-known key: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


_AHEAD = timedelta(days=1)
"""How far the clocks of two runs may be apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The partition of a tenant as it stands."""

    findings: tuple[Finding, ...] = ()
    due: Mapping[str, Due] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)
    """ETags of rows that cannot be understood, by fingerprint: a finding seen again replaces them."""
    foreign: frozenset[str] = frozenset()
    """Fingerprints that a newer version of this program wrote: not ours to touch."""
    others: Others = Others()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A finding to write together with its due row, or without one."""

    finding: Finding
    due: Due | None
    was_due: Due | None = None


class Tables:
    """The tables of a deployment; every method raises StorageError, most often because storage is away."""

    def __init__(
        self,
        *,
        connection_string: str = "",
        endpoint: str = "",
        credential: AsyncTokenCredential | None = None,
        transport: AioHttpTransport | None = None,
        patience: Patience = Patience(),
    ) -> None:
        # The SDK would follow a redirect with its signature or token, wherever it leads.
        options: dict[str, Any] = {**retry_options(patience), "permit_redirects": False}
        if transport:
            options["transport"] = transport
        if endpoint and credential:
            self._service = TableServiceClient(endpoint, credential=credential, **options)
        else:
            text = AZURITE if connection_string.strip().lower() == "usedevelopmentstorage=true" else connection_string
            try:
                _check_key(text)
                self._service = TableServiceClient.from_connection_string(text, **options)
            except ValueError:
                # The message of the SDK may repeat the string, and that holds a key.
                raise SettingsError(["AzureWebJobsStorage: it is no storage connection string"]) from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._service.close()

    async def list_findings(self, tenant_id: str) -> Stored:
        """Every finding and due row of a tenant; rows that are not understood are set apart, never fatal."""
        findings, damaged, foreign = [], {}, set()
        due = {}
        others = []
        async for row in self._query("findings", "PartitionKey eq @tenant", tenant=tenant_id):
            name = str(row["RowKey"])
            if name.startswith("due-"):
                one = due_of(row)
                due[one.fingerprint] = one
            elif name.startswith("f-"):
                fingerprint = name.removeprefix("f-")
                if isinstance(row.get("schema"), int) and row["schema"] > SCHEMA:
                    foreign.add(fingerprint)
                    continue
                try:
                    findings.append(finding_of(row))
                except UNCLEAR as error:
                    log.warning(
                        "findings row %s is not understood (%s); left as it is", visible(name), type(error).__name__
                    )
                    damaged[fingerprint] = etag_of(row)
            else:
                others.append(row)
        return Stored(
            findings=tuple(findings),
            due=due,
            damaged=damaged,
            foreign=frozenset(foreign),
            others=others_of(others),
        )

    async def list_due(self, tenant_id: str) -> list[Due]:
        """The findings that have something to say: one range query."""
        return (await self.list_waiting(tenant_id))[0]

    async def list_waiting(self, tenant_id: str) -> tuple[list[Due], list[Appointment]]:
        """All that settle has to do, now or later: one range query."""
        due, appointments = [], []
        condition = "PartitionKey eq @tenant and RowKey ge 'due-' and RowKey lt 'due0'"
        async for row in self._query("findings", condition, tenant=tenant_id):
            if not str(row["RowKey"]).startswith(APPOINTMENT):
                due.append(due_of(row))
            elif not newer(row):
                appointments.append(appointment_of(row))
        return due, appointments

    async def try_table(self, table: str) -> None:
        """Write, read and remove a row that no query of ours finds; raises StorageError."""
        row = {"PartitionKey": "preflight", "RowKey": "preflight", "schema": SCHEMA}
        await self._upsert(table, row)
        async for _ in self._query(table, "PartitionKey eq @name", name="preflight", page=1):
            break
        await self.delete_rows(table, [("preflight", "preflight")])

    async def save_rows(self, table: str, rows: Sequence[Row]) -> None:
        """Write rows of one partition, 100 at most, all or none; what stood there is replaced."""
        await self._transaction(table, [("upsert", row, {"mode": UpdateMode.REPLACE}) for row in rows])

    async def save_findings(self, tenant_id: str, changes: Sequence[Change]) -> tuple[Finding, ...]:
        """Write findings with their due rows, each pair in one transaction, and give them with their new ETags.

        Raises ConflictError if one changed since it was read.
        """
        saved: list[Finding] = []
        for start in range(0, len(changes), _BATCH):
            operations: list[Any] = []
            places = []
            for change in changes[start : start + _BATCH]:
                places.append(len(operations))
                operations += _operations(tenant_id, change)
            answers = await self._transaction("findings", operations)
            for change, place in zip(changes[start : start + _BATCH], places, strict=True):
                saved.append(replace(change.finding, etag=str(answers[place].get("etag") or "")))
        return tuple(saved)

    async def list_rows(self, table: str, condition: str, **parameters: Any) -> AsyncIterator[Row]:
        """The rows of a table that a condition holds for, as they stand."""
        async for row in self._query(table, condition, **parameters):
            yield {**row, "etag": etag_of(row)}

    async def delete_unchanged(self, table: str, rows: Sequence[Row]) -> None:
        """Delete rows of one partition if they stand as they were read; raises ConflictError for one that does not."""
        for start in range(0, len(rows), 100):
            await self._transaction(
                table,
                [
                    (
                        "delete",
                        {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]},
                        {"etag": row["etag"], "match_condition": MatchConditions.IfNotModified},
                    )
                    for row in rows[start : start + 100]
                ],
            )

    async def delete_rows(self, table: str, rows: Iterable[tuple[str, str]]) -> None:
        """Delete rows by partition and row key; one that is gone already is no error."""
        partitions: dict[str, list[str]] = {}
        for partition, row_key in rows:
            partitions.setdefault(partition, []).append(row_key)
        for partition, keys in partitions.items():
            for start in range(0, len(keys), 100):
                some = [
                    {"PartitionKey": partition, "RowKey": name} for name in dict.fromkeys(keys[start : start + 100])
                ]
                try:
                    await self._transaction(table, [("delete", row) for row in some])
                except ConflictError:
                    # A transaction fails as a whole when one row is gone already.
                    async with failing(f"remove rows of {table}"):
                        for row in some:
                            await self._service.get_table_client(table).delete_entity(
                                row["PartitionKey"], row["RowKey"]
                            )

    async def list_clusters(self) -> dict[str, ClusterRow]:
        """The clusters of the baseline by RowKey."""
        return await self._baseline("cluster", cluster_of)

    async def list_grants(self) -> dict[str, BaselineGrant]:
        """The grants of the baseline by the lower-case id of their assignment."""
        return {one.assignment.key: one for one in (await self._baseline("grant", grant_of)).values()}

    async def _baseline(self, kind: str, parse: Callable[[Row], Record]) -> dict[str, Record]:
        found = {}
        async for row in self._query("baseline", "PartitionKey eq @kind", kind=kind):
            try:
                found[str(row["RowKey"])] = parse(row)
            except UNCLEAR as error:
                name = visible(str(row["RowKey"]))
                log.warning("baseline row %s is not understood (%s); left as it is", name, type(error).__name__)
        return found

    async def list_scopes(self) -> dict[str, ScopeRow]:
        """The subscriptions of the baseline by id."""
        found = {}
        async for row in self._query("baseline", "PartitionKey eq @kind", kind="scope"):
            if not _GUID.match(str(row["RowKey"])):
                log.warning("baseline row %s names no subscription; left as it is", visible(str(row["RowKey"])))
                continue
            found[row["RowKey"]] = ScopeRow(subscription_id=row["RowKey"], name=str(row.get("name", "")))
        return found

    async def save_baseline(self, clusters: Iterable[ClusterRow], scopes: Iterable[ScopeRow]) -> None:
        """Write clusters and subscriptions of the baseline."""
        # Not merged: of a list that grew shorter, the properties that it no longer needs must go.
        await self._upsert_all("baseline", [cluster_row(one) for one in clusters], UpdateMode.REPLACE)
        await self._upsert_all(
            "baseline",
            [
                {"PartitionKey": "scope", "RowKey": one.subscription_id, "schema": SCHEMA, "name": cut(one.name)}
                for one in scopes
            ],
        )

    async def save_grants(self, before: Mapping[str, BaselineGrant], after: Mapping[str, BaselineGrant]) -> int:
        """Write what changed in the grants of the baseline, remove what is not in `after`; returns how many rows.

        Rows of a newer version are read as far as they are understood, and left as they are.
        """
        changed = [row for name, row in after.items() if before.get(name) != row]
        gone = [key(row.assignment.id) for name, row in before.items() if name not in after]
        if changed or gone:
            condition = "PartitionKey eq @kind and schema gt @schema"
            foreign = {
                str(row["RowKey"]) async for row in self._query("baseline", condition, kind="grant", schema=SCHEMA)
            }
            changed = [row for row in changed if key(row.assignment.id) not in foreign]
            gone = [name for name in gone if name not in foreign]
        await self._upsert_all("baseline", [grant_row(one) for one in changed], UpdateMode.REPLACE)
        await self.delete_rows("baseline", [("grant", name) for name in gone])
        return len(changed) + len(gone)

    async def _upsert_all(self, table: str, rows: Sequence[Row], mode: UpdateMode = UpdateMode.MERGE) -> None:
        """Write rows of one partition, 100 a transaction."""
        for start in range(0, len(rows), 100):
            operations = [("upsert", row, {"mode": mode}) for row in rows[start : start + 100]]
            await self._transaction(table, operations)

    async def delete_baseline(self, clusters: Iterable[str], scopes: Iterable[str]) -> None:
        """Remove baseline rows by RowKey, for what ARM says is gone."""
        rows = [("cluster", name) for name in clusters] + [("scope", name) for name in scopes]
        await self.delete_rows("baseline", rows)

    async def add_event(self, row: InboxRow) -> bool:
        """Put an event into the inbox; False if it is there already, since Event Grid delivers at least once."""
        client = self._service.get_table_client("inbox")
        async with failing("write inbox"):
            for again in (True, False):
                try:
                    await client.create_entity(inbox_row(row))
                except ResourceExistsError:
                    return False
                except ResourceNotFoundError:
                    if not again:
                        raise
                    await create(client)
                    continue
                return True
        return False

    async def list_inbox(self, *, aside: bool = False) -> list[InboxRow]:
        """The events that wait, or those that were set aside."""
        kind = "aside" if aside else "event"
        return [inbox_of(row) async for row in self._query("inbox", "PartitionKey eq @kind", kind=kind)]

    async def close_events(self, done: Iterable[InboxRow], later: Iterable[InboxRow]) -> None:
        """Remove the events that were dealt with, and write those that wait on or are set aside."""
        waiting = [row for row in later if not row.problem]
        aside = [row for row in later if row.problem]
        for rows in (waiting, aside):
            await self._upsert_all("inbox", [inbox_row(row) for row in rows])
        await self.delete_rows("inbox", [("event", row.key) for row in (*done, *aside)])

    async def last_scan(self, now: datetime | None = None) -> ScanRow | None:
        """The newest finished scan, or None before the first.

        One of a far future, from a clock that was wrong or from --now, is no last scan of `now`.
        """
        condition, oldest = "PartitionKey eq @kind", ""
        if now:
            condition, oldest = f"{condition} and RowKey ge @oldest", scan_key(now + _AHEAD)
        async for row in self._query("scans", condition, kind="scan", oldest=oldest, page=1):
            try:
                return scan_of(row)
            except UNCLEAR:
                log.warning("scans row %s is not understood; the one before it is used", visible(str(row["RowKey"])))
        return None

    async def save_scan(self, scan: ScanRow) -> None:
        """Write the heartbeat; reversed time makes the newest row the first."""
        await self._upsert("scans", scan_row(scan))

    @asynccontextmanager
    async def lease(self, holder: str, now: datetime, patience: float = 0) -> AsyncIterator[Lease]:
        """Take turns with every other run that writes findings.

        Raises LeaseError if another still holds it after `patience` seconds.
        """
        lease = Lease(self._service.get_table_client("scans"), holder, now)
        await lease.wait(patience)
        renewing = asyncio.create_task(lease.renew_for_ever())
        try:
            yield lease
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await lease.release()

    async def _query(self, table: str, condition: str, *, page: int = 1000, **parameters: Any) -> AsyncIterator[Row]:
        client = self._service.get_table_client(table)
        async with failing(f"read {table}"):
            try:
                async for row in client.query_entities(condition, parameters=parameters, results_per_page=page):
                    yield row
            except ResourceNotFoundError:
                # The first run of a new deployment: a table that does not exist holds nothing.
                await create(client)

    async def _upsert(self, table: str, row: Row) -> None:
        client = self._service.get_table_client(table)
        async with failing(f"write {table}"):
            try:
                await client.upsert_entity(row, mode=UpdateMode.REPLACE)
            except ResourceNotFoundError:
                await create(client)
                await client.upsert_entity(row, mode=UpdateMode.REPLACE)

    async def _transaction(self, table: str, operations: list[Any]) -> Sequence[Mapping[str, Any]]:
        client = self._service.get_table_client(table)
        async with failing(f"write {table}"):
            try:
                return await client.submit_transaction(operations)
            except (TableTransactionError, ResourceNotFoundError) as error:
                if "TableNotFound" not in f"{getattr(error, 'error_code', '')} {error.message}":
                    raise
                await create(client)
                return await client.submit_transaction(operations)


def _check_key(connection_string: str) -> None:
    """Raises ValueError for an account key that is no base64: the SDK would find out at its first request."""
    for part in connection_string.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "accountkey":
            base64.b64decode(value, validate=True)


def _operations(tenant_id: str, change: Change) -> list[Any]:
    row = finding_row(tenant_id, change.finding)
    operations: list[Any] = [("create", row)]
    if change.finding.etag:
        unchanged = {"etag": change.finding.etag, "match_condition": MatchConditions.IfNotModified}
        operations = [("update", row, {"mode": UpdateMode.REPLACE, **unchanged})]
    if change.due:
        operations.append(("upsert", due_row(tenant_id, change.due), {"mode": UpdateMode.REPLACE}))
    elif change.was_due:
        operations.append(("delete", due_row(tenant_id, change.was_due)))
    return operations
