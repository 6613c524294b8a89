"""What goes wrong with Table Storage, and the lease by which runs take turns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from ..text import visible
from .http import token_fault, what_broke
from .values import SCHEMA, UNCLEAR, Row, date_text, etag_of, moment

log = logging.getLogger(__name__)

_LEASE = timedelta(minutes=5)
_LOOK = "; is it up, and is TABLES_ENDPOINT or AzureWebJobsStorage right?"

_RETRY = 2.0
"""Seconds between two looks at a lease that another run holds."""


class StorageError(Exception):
    """Table Storage did not do what was asked; the text says what and why."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
        """Whether it will not do it the next time either."""


class ConflictError(StorageError):
    """A row changed since it was read: read again and decide anew."""


class LeaseError(StorageError):
    """Another run holds the lease, or this one lost it."""


async def create(client: TableClient) -> None:
    """Create a table; one that another run created at the same moment is no error."""
    with contextlib.suppress(ResourceExistsError):
        await client.create_table()


class Lease:
    """The row that says who writes findings now; its time is the run's own `now` plus what has passed since."""

    def __init__(self, client: TableClient, holder: str, now: datetime) -> None:
        self._client = client
        self._holder = holder
        self._start = now
        self._begun = asyncio.get_running_loop().time()
        self._etag = ""
        self.lost = False

    def _now(self) -> datetime:
        return self._start + timedelta(seconds=asyncio.get_running_loop().time() - self._begun)

    def _row(self, until: datetime) -> Row:
        return {
            "PartitionKey": "lease",
            "RowKey": "watch",
            "schema": SCHEMA,
            "holder": self._holder,
            "until": date_text(until),
        }

    async def wait(self, patience: float) -> None:
        """Take the lease, trying for some seconds; raises LeaseError if another run holds it all the while."""
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                return await self.take()
            except LeaseError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            await asyncio.sleep(min(_RETRY, patience))

    async def take(self) -> None:
        """Take the lease; raises LeaseError if another run holds it."""
        async with failing("take the lease"):
            try:
                found = await self._client.get_entity("lease", "watch")
            except ResourceNotFoundError:
                await self._insert()
                return
            try:
                until = moment(found.get("until"))
            except UNCLEAR:
                until = None
            # An end further away than any run puts it is somebody's edit.
            if until and self._now() < until < self._now() + 2 * _LEASE and found.get("holder"):
                raise LeaseError(f"{visible(str(found['holder']))} is writing until {until:%H:%M:%S} UTC")
            await self._write(etag_of(found), self._now() + _LEASE)

    async def _insert(self) -> None:
        row = self._row(self._now() + _LEASE)
        try:
            try:
                answer = await self._client.create_entity(row)
            except ResourceNotFoundError:
                await create(self._client)
                answer = await self._client.create_entity(row)
        except ResourceExistsError:
            raise LeaseError("another run took the lease at the same moment") from None
        self._etag = answer["etag"]

    async def _write(self, etag: str, until: datetime) -> None:
        try:
            answer = await self._client.update_entity(
                self._row(until), mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            raise LeaseError("another run took the lease at the same moment") from None
        self._etag = answer["etag"]

    async def renew_for_ever(self) -> None:
        """Push the end out while the run goes on; a lease that is lost is noticed by check()."""
        while True:
            await asyncio.sleep(_LEASE.total_seconds() / 3)
            try:
                async with failing("renew the lease"):
                    await self._write(self._etag, self._now() + _LEASE)
            except LeaseError:
                self.lost = True
                return
            except StorageError as error:
                log.warning("%s; tried again", error)

    def check(self) -> None:
        """Raises LeaseError if another run took over, so that this one stops before it writes."""
        if self.lost:
            raise LeaseError("the lease was lost to another run")

    async def release(self) -> None:
        """Let the next run begin at once; if that fails, the lease ends by itself."""
        if not self.lost:
            try:
                async with failing("release the lease"):
                    self._holder = ""
                    await self._write(self._etag, self._now())
            except StorageError as error:
                log.warning("%s; it ends by itself", error)


@asynccontextmanager
async def failing(what: str) -> AsyncIterator[None]:
    """Turns what the SDK raises into StorageError; never repeats an address or a key."""
    try:
        yield
    except (ResourceModifiedError, ResourceExistsError) as error:
        raise ConflictError(f"could not {what}: a row changed meanwhile") from error
    except TableTransactionError as error:
        if error.status_code in (404, 409, 412):
            raise ConflictError(f"could not {what}: a row changed meanwhile") from error
        code = getattr(error, "error_code", "")
        raise StorageError(f"could not {what}: HTTP {error.status_code} {code}".rstrip()) from error
    except HttpResponseError as error:
        if error.response is None or "Authorization" not in getattr(error.response.request, "headers", {}):
            raise StorageError(f"could not {what}: {token_fault(error)}", refused=True) from error
        code = getattr(error, "error_code", None)
        raise StorageError(
            f"could not {what}: HTTP {error.status_code} {code or ''}".rstrip() + _hint(error),
            refused=error.status_code in (400, 401, 403),
        ) from error
    except AzureError as error:
        raise StorageError(f"could not {what}: storage cannot be reached ({what_broke(error)}){_LOOK}") from error


def _hint(error: HttpResponseError) -> str:
    return " (the identity needs Storage Table Data Contributor)" if error.status_code == 403 else ""
