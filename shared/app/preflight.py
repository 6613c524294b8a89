"""Try each read once, as the app would: what works, what is refused, and which rules are blind because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from .. import sources
from ..clients.entra import Entra
from ..clients.http import NotFoundError, ReadError
from ..clients.storage import StorageError
from ..clients.tables import Tables
from ..clients.token import bearer
from ..model import (
    TENANT,
    Application,
    DeletedApplication,
    ManagedCluster,
    Owner,
    ServicePrincipal,
    Subscription,
    Unread,
)
from ..preflight import STORELESS, UNKNOWN, Check, Outcome, Preflight, failed, nothing, untried, works
from ..rules import RULES
from ..settings import Settings
from ..sources import READER, Source
from .access import linked_subnets
from .connect import Clients

CONCURRENCY = 16
"""Subscriptions tried at the same time."""

TABLES = ("findings", "baseline", "inbox", "scans")

_NOBODY = "00000000-0000-0000-0000-000000000000"
"""Whoever may read is told that there is nothing of this id; whoever may not is refused."""

Answer = TypeVar("Answer")


async def preflight(clients: Clients, settings: Settings, now: datetime) -> Preflight:
    """Try every read of a scan and of settle, store nothing that stays, and post nothing."""
    identity = await bearer(clients.credential, settings.arm_endpoint, settings.graph_endpoint)
    as_app = bool(settings.client_id)
    run = _Run(clients, settings, now, identity.object_id if as_app else "")
    azure, graph, storage = await asyncio.gather(run.azure(), run.graph(), run.storage())
    return Preflight(identity=identity, as_app=as_app, checks=(*azure, *graph, *storage, *_settings(settings)))


class _Run:
    """One try of everything."""

    def __init__(self, clients: Clients, settings: Settings, now: datetime, principal_id: str) -> None:
        self._clients = clients
        self._settings = settings
        self._now = now
        self._principal_id = principal_id

    def _failed(self, source: Source, unread: Unread) -> Check:
        # Event subscriptions take two permissions: the refusal says which one it was.
        refused = sources.TOPICS if unread.permission == sources.TOPICS.permission else source
        return failed(refused, unread, RULES, self._principal_id, self._settings.graph_endpoint)

    async def _try(
        self, source: Source, read: Callable[[], Awaitable[Answer]], scope: str = TENANT
    ) -> tuple[Check, Answer | None]:
        """One read; that there is nothing, or nothing of that id, is an answer."""
        try:
            return works(source, scope), await read()
        except NotFoundError:
            return works(source, scope), None
        except ReadError as error:
            if error.unread.reason.endswith("MissingSubscriptionRegistration"):
                return works(source, scope, "the subscription never used this service"), None
            return self._failed(source, error.unread), None

    async def azure(self) -> list[Check]:
        """What Azure Resource Manager shows."""
        source = sources.SUBSCRIPTIONS
        check, found = await self._try(source, self._clients.aks.list_subscriptions)
        if found is None:
            return [nothing(check, RULES) if check.outcome is Outcome.REFUSED else check]
        wanted = self._settings.subscriptions
        listed = {one.subscription_id for one in found}
        if not found and not wanted:
            reason = "no subscription is readable"
            unread = Unread(kind=Subscription, scope=TENANT, reason=reason, permission=source.permission)
            return [nothing(self._failed(source, unread), RULES)]
        checks = [check]
        for subscription_id in wanted:
            if subscription_id not in listed:
                scope, reason = f"/subscriptions/{subscription_id}", "named in SUBSCRIPTIONS, and not readable"
                unread = Unread(kind=Subscription, scope=scope, reason=reason, permission=source.permission)
                checks.append(nothing(self._failed(source, unread), RULES))
        limit = asyncio.Semaphore(CONCURRENCY)

        async def bounded(subscription_id: str) -> list[Check]:
            async with limit:
                return await self._subscription(subscription_id)

        chosen = sorted(listed & set(wanted) if wanted else listed)
        for some in await asyncio.gather(*map(bounded, chosen)):
            checks += some
        return checks

    async def _subscription(self, name: str) -> list[Check]:
        clients, scope = self._clients, f"/subscriptions/{name}"
        role = f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{READER}"

        async def clusters() -> list[ManagedCluster]:
            found, unread = await clients.aks.list_clusters(name)
            if unread:
                raise ReadError(unread[0])
            return found

        async def assignments() -> None:
            _, unread = await clients.rbac.list_assignments(name, ())
            if unread:
                raise ReadError(unread[0])

        (aks, shown), (msi, identities) = await asyncio.gather(
            self._try(sources.CLUSTERS, clusters, scope),
            self._try(sources.IDENTITIES, lambda: clients.identities.list_identities(name), scope),
        )
        others = await asyncio.gather(
            self._try(sources.TAGS, lambda: clients.aks.list_resource_group_tags(name), scope),
            self._try(sources.ASSIGNMENTS, assignments, scope),
            self._try(sources.DEFINITIONS, lambda: clients.rbac.get_definition(role), scope),
            self._try(sources.REGISTRIES, lambda: clients.resources.list_registries(name), scope),
            self._try(
                sources.ACTIVITY,
                lambda: clients.activity.list_deletions(name, self._now - timedelta(hours=1), self._now),
                scope,
            ),
        )
        return [
            aks,
            msi,
            *(check for check, _ in others),
            await self._wiring(name, scope, shown),
            await self._one(
                sources.FEDERATED,
                scope,
                None if identities is None else [one.id for one in identities],
                clients.identities.list_federated_credentials,
            ),
            await self._one(
                sources.SUBNETS, scope, None if shown is None else linked_subnets(shown), clients.resources.get_subnet
            ),
        ]

    async def _wiring(self, name: str, scope: str, clusters: Sequence[ManagedCluster] | None) -> Check:
        """Where the events of a subscription go; asked, as by a scan, only where there are clusters."""
        if not clusters:
            return untried(sources.SUBSCRIBED, scope, "nothing there to read" if clusters is not None else _HIDDEN)
        wiring = self._clients.wiring
        return (await self._try(sources.SUBSCRIBED, lambda: wiring.list_event_subscriptions(name), scope))[0]

    async def _one(
        self, source: Source, scope: str, ids: Sequence[str] | None, read: Callable[[str], Awaitable[object]]
    ) -> Check:
        """A read that takes the id of something, tried on the first."""
        if not ids:
            return untried(source, scope, "nothing there to read" if ids is not None else _HIDDEN)
        first = ids[0]
        return (await self._try(source, lambda: read(first), scope))[0]

    async def graph(self) -> list[Check]:
        """What Microsoft Graph shows."""
        entra: Entra = self._clients.entra
        (apps, applications), (entities, principals), (bin_, _) = await asyncio.gather(
            self._try(sources.APPLICATIONS, lambda: entra.sample(Application)),
            self._try(sources.PRINCIPALS, lambda: entra.sample(ServicePrincipal)),
            self._try(sources.DELETED, lambda: entra.sample(DeletedApplication)),
        )

        async def trusted(object_id: str) -> None:
            _raise((await entra.list_federated_credentials([object_id]))[1])

        async def memberships(object_id: str) -> None:
            _raise((await entra.list_memberships([object_id]))[2])

        async def users() -> None:
            _raise((await entra.list_members([_NOBODY]))[1])

        return [
            apps,
            entities,
            bin_,
            *await self._owners(applications or [_NOBODY]),
            await self._one(sources.TRUSTED, TENANT, applications or [_NOBODY], trusted),
            await self._one(sources.MEMBERSHIPS, TENANT, principals or [_NOBODY], memberships),
            (await self._try(sources.USERS, users))[0],
        ]

    async def _owners(self, applications: Sequence[str]) -> list[Check]:
        """Who owns some applications, and whether they have names: without the permission Graph leaves these out."""
        source, found = sources.NAMES, list[Owner]()

        async def read(_: str) -> None:
            owners, unread = await self._clients.entra.list_owners(f"/applications/{one}" for one in applications)
            _raise(unread)
            found.extend(one for some in owners.values() for one in some)

        owners = await self._one(sources.OWNERS, TENANT, applications, read)
        if any(not one.name for one in found):
            reason = "owners come without a name"
            names = self._failed(
                source, Unread(kind=source.kind, scope=TENANT, reason=reason, permission=source.permission)
            )
        elif any(one.mail for one in found):
            names = works(source, TENANT)
        else:
            known = owners.outcome is Outcome.WORKS
            names = untried(source, TENANT, "nobody owns the first applications" if known else _HIDDEN)
        return [owners, names]

    async def storage(self) -> list[Check]:
        """Its own tables, each written, read and left as it was."""
        tables = self._clients.tables
        if tables is None:
            reason = f"no storage is set: {STORELESS}"
            return [Check(what=sources.TABLES.name, outcome=Outcome.OFF, reason=reason, source=sources.TABLES)]
        return [await self._table(tables, name) for name in TABLES]

    async def _table(self, tables: Tables, name: str) -> Check:
        what = f"{sources.TABLES.name}: {name}"
        try:
            await tables.try_table(name)
        except StorageError as error:
            endpoint = self._settings.tables_endpoint
            account = (urlsplit(endpoint).hostname or "").partition(".")[0]
            return Check(
                what=what,
                outcome=Outcome.REFUSED if error.refused else Outcome.FAULT,
                reason=str(error),
                source=sources.TABLES,
                rules=sources.blind(sources.TABLES, RULES) if error.refused else (),
                command=sources.TABLES.command(self._principal_id or UNKNOWN, account)
                if error.refused and endpoint
                else "",
            )
        return Check(what=what, outcome=Outcome.WORKS, source=sources.TABLES)


_HIDDEN = "what leads to it could not be read"


def _raise(unread: Sequence[Unread]) -> None:
    if unread:
        raise ReadError(unread[0])


def _settings(settings: Settings) -> list[Check]:
    """What is set up; nothing is posted anywhere."""
    checks = [
        Check(what=text.partition(": ")[0], outcome=Outcome.WRONG, reason=text.partition(": ")[2])
        for text in settings.warnings
    ]
    good = sorted(one.name for one in settings.receivers.values() if not one.problem)
    checks += [Check(what=name, outcome=Outcome.UNTRIED, reason="set; `webhook-test` posts a card") for name in good]
    if not settings.receivers:
        checks.append(Check(what="Receivers", outcome=Outcome.OFF, reason="none is set: nobody is told"))
    topic = (Outcome.UNTRIED, "set; it takes EventGrid Data Sender") if settings.topic_endpoint else (Outcome.OFF, "")
    checks.append(Check(what="TOPIC_ENDPOINT", outcome=topic[0], reason=topic[1]))
    return checks
