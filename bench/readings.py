"""What is measured, each in a process of its own: `python -m bench.readings NAME` prints its figures as JSON."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
END = NOW + timedelta(days=60)
FIELDS = ("id", "appId", "displayName", "disabledByMicrosoftStatus", "passwordCredentials", "keyCredentials")
"""What shared.clients.entra selects; the bytes of both readings show that it still does."""
PAGE = 999
STORAGE = "devstoreaccount1"
"""Azurite's account, part of each of its addresses."""

Figures = dict[str, Any]
figures: Figures = {"requests": 0, "wire": 0, "plain": 0}


def cpu() -> float:
    """CPU seconds of this process so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """The most memory that this process ever held, in bytes; macOS counts bytes, Linux KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


asked: Counter[str] = Counter()
"""Requests through aiohttp, which ARM and the tables are reached by: `METHOD SERVICE`, a table's name for a write."""


def count_requests() -> None:
    """Count requests and bytes of httpx, which both clients of Graph stand on, and the requests of aiohttp."""
    import aiohttp
    import httpx

    send = httpx.AsyncClient.send

    async def counted(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        figures.setdefault("first", time.monotonic())
        response = await send(self, request, **options)
        figures["requests"] += 1
        figures["wire"] += response.num_bytes_downloaded
        figures["plain"] += len(response.content)
        return response

    httpx.AsyncClient.send = counted  # type: ignore[method-assign, assignment]
    request = aiohttp.ClientSession._request
    arm = os.environ["ARM_ENDPOINT"]

    async def counted_too(self: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> aiohttp.ClientResponse:
        service = "ARM" if str(url).startswith(arm) else "tables" if STORAGE in str(url) else "identity"
        asked[f"{method} {service}"] += 1
        for written in _written(method, str(url), options.get("data")):
            asked[f"write {written}"] += 1
        return await request(self, method, url, **options)

    aiohttp.ClientSession._request = counted_too  # type: ignore[method-assign, assignment]


def _written(method: str, url: str, body: Any) -> list[str]:
    """The tables whose rows a request writes, one name a row; a $batch holds its requests in its body."""
    if method == "GET" or STORAGE not in url:
        return []
    if not url.partition("?")[0].endswith("$batch"):
        return [url.partition(f"{STORAGE}/")[2].partition("(")[0]]
    text = body if isinstance(body, str) else bytes(body or b"").decode()
    return re.findall(rf"^(?:POST|PUT|PATCH|MERGE|DELETE) \S*{STORAGE}/(\w+)", text, re.MULTILINE)


@contextmanager
def measured() -> Iterator[None]:
    """Take the figures of what happens inside; what was before them is shown apart."""
    figures.update(requests=0, wire=0, plain=0, peak_before=peak())
    figures.pop("first", None)
    before, began = cpu(), time.monotonic()
    yield
    ended = time.monotonic()
    figures.update(cpu=cpu() - before, wall=ended - began, peak=peak(), cpu_total=cpu())
    figures["wall_graph"] = ended - figures.pop("first", ended)


@asynccontextmanager
async def identity() -> AsyncIterator[Any]:
    """The credential of the app, its token for Graph at hand."""
    from azure.identity.aio import ManagedIdentityCredential

    async with ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]) as credential:
        await credential.get_token(scope())
        yield credential


def scope() -> str:
    """What a token for Graph is asked for."""
    return os.environ["GRAPH_ENDPOINT"] + "/.default"


async def ours(warm: bool = True) -> None:
    """Every application through shared.clients.entra."""
    from shared.clients.entra import Entra
    from shared.model import Application

    def keep(one: Application) -> bool:
        return any(secret.end and secret.end <= END for secret in one.credentials)

    count_requests()
    async with identity() as credential, Entra(credential, os.environ["GRAPH_ENDPOINT"]) as entra:
        figures["cpu_imports"] = cpu()
        if warm:
            await entra.get_application("00000000-0000-4000-8000-000000000000")
        figures["cpu_warm"] = cpu() - figures["cpu_imports"]
        with measured():
            listing = await entra.list_applications(keep)
    if listing.unread:
        sys.exit(f"not read: {listing.unread}")
    kept = [(one.object_id, secret.key_id) for one in listing.kept for secret in one.credentials]
    figures.update(count=listing.count, kept=kept)


async def cold() -> None:
    """The same with nothing warmed but the imports: the first request is within."""
    await ours(warm=False)


async def typed() -> None:
    """Every application through the typed client of msgraph-sdk, as its documentation does it."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder

    query = ApplicationsRequestBuilder.ApplicationsRequestBuilderGetQueryParameters
    count_requests()
    count, kept = 0, []
    async with identity() as credential:
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[scope()], allowed_hosts=["127.0.0.1"])
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = os.environ["GRAPH_ENDPOINT"] + "/v1.0"
        client = GraphServiceClient(request_adapter=adapter)
        figures["cpu_imports"] = cpu()
        # The first page of all loads the modules of the models.
        await client.applications.get(RequestConfiguration(query_parameters=query(top=20, select=list(FIELDS))))
        figures["cpu_warm"] = cpu() - figures["cpu_imports"]
        with measured():
            page = await client.applications.get(
                RequestConfiguration(query_parameters=query(top=PAGE, select=list(FIELDS)))
            )
            while page:
                for one in page.value or ():
                    count += 1
                    secrets = (*(one.password_credentials or ()), *(one.key_credentials or ()))
                    if any(secret.end_date_time and secret.end_date_time <= END for secret in secrets):
                        kept += [(one.id, str(secret.key_id)) for secret in secrets]
                link = page.odata_next_link
                page = await client.applications.with_url(link).get() if link else None
    figures.update(count=count, kept=kept)


async def scan() -> None:
    """A whole dry run of the app."""
    from shared import app
    from shared.settings import Settings

    count_requests()
    settings = Settings.from_env(os.environ)
    async with app.connect(settings, storage=False) as clients:
        figures["cpu_imports"] = cpu()
        with measured():
            report = await app.scan(clients, settings, NOW)
    if report.snapshot.unread:
        sys.exit(f"not read: {report.snapshot.unread}")
    figures.update(count=sum(report.snapshot.counts.values()), findings=len(report.findings), asked=dict(asked))
    figures.update(rules=dict(Counter(one.rule for one in report.findings)))


async def kept() -> None:
    """A scan into empty tables, a second one six hours later, and a settle that has nothing to do."""
    from shared import app
    from shared.settings import Settings

    count_requests()
    settings = Settings.from_env(os.environ)
    later = NOW + timedelta(hours=6)
    steps: dict[str, Figures] = {}
    for name, moment in (("first", NOW), ("told", NOW), ("second", later), ("idle", later)):
        asked.clear()
        with measured():
            async with app.connect(settings) as clients:
                if name in ("first", "second"):
                    report = await app.scan(clients, settings, moment)
                    if report.snapshot.unread:
                        sys.exit(f"not read: {report.snapshot.unread}")
                else:
                    await app.settle(clients, settings, moment)
        steps[name] = {**{one: figures[one] for one in ("requests", "cpu", "wall", "peak")}, "asked": dict(asked)}
        steps[name]["findings"] = len(report.findings)
    figures.clear()
    figures.update(steps=steps)


async def typed_tenant() -> None:
    """What a scan lists, through the typed clients of Microsoft's SDKs, side by side as far as a scan does it."""
    from azure.mgmt.authorization.v2022_04_01.aio import AuthorizationManagementClient
    from azure.mgmt.containerservice.aio import ContainerServiceClient
    from azure.mgmt.resource.subscriptions.aio import SubscriptionClient
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder
    from msgraph.generated.service_principals.service_principals_request_builder import ServicePrincipalsRequestBuilder

    counts: Counter[str] = Counter()
    arm = os.environ["ARM_ENDPOINT"]
    count_requests()

    async def pages(name: str, builder: Any, query: Any, select: tuple[str, ...]) -> None:
        page = await builder.get(RequestConfiguration(query_parameters=query(top=PAGE, select=list(select))))
        while page:
            counts[name] += len(page.value or ())
            counts["credentials near their end"] += sum(
                bool(secret.end_date_time and secret.end_date_time <= END)
                for one in page.value or ()
                if getattr(one, "service_principal_type", "") != "ManagedIdentity"
                for secret in (*(one.password_credentials or ()), *(one.key_credentials or ()))
            )
            page = await builder.with_url(page.odata_next_link).get() if page.odata_next_link else None

    async with identity() as credential:
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[scope()], allowed_hosts=["127.0.0.1"])
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = os.environ["GRAPH_ENDPOINT"] + "/v1.0"
        graph = GraphServiceClient(request_adapter=adapter)
        figures["cpu_imports"] = cpu()
        given: dict[str, Any] = {"base_url": arm, "credential_scopes": [f"{arm}/.default"]}
        limit = asyncio.Semaphore(16)

        async def of(subscription_id: str) -> None:
            async with (
                limit,
                ContainerServiceClient(credential, subscription_id, **given) as aks,
                AuthorizationManagementClient(credential, subscription_id, **given) as rbac,
            ):
                async for _ in aks.managed_clusters.list():
                    counts["clusters"] += 1
                async for _ in rbac.role_assignments.list_for_subscription():
                    counts["rows of role assignments"] += 1

        with measured():
            async with SubscriptionClient(credential, **given) as client:
                ids = [str(one.subscription_id) async for one in client.subscriptions.list()]
            applications = ApplicationsRequestBuilder.ApplicationsRequestBuilderGetQueryParameters
            principals = ServicePrincipalsRequestBuilder.ServicePrincipalsRequestBuilderGetQueryParameters
            more = ("servicePrincipalType", "accountEnabled", "appOwnerOrganizationId")
            await asyncio.gather(
                pages("applications", graph.applications, applications, FIELDS),
                pages("service principals", graph.service_principals, principals, (*FIELDS, *more)),
                *map(of, ids),
            )
    figures.update(count=dict(counts), asked=dict(asked))


async def sizes() -> None:
    """The bytes of an application, whole and selected, from the simulator and from a recorded listing."""
    import httpx

    found: list[tuple[str, int, int, int, int]] = []
    async with identity() as credential, httpx.AsyncClient(timeout=60) as client:
        token = (await credential.get_token(scope())).token
        url = f"{os.environ['GRAPH_ENDPOINT']}/v1.0/applications?$top={PAGE}"
        pairs = []
        for query in ("", f"&$select={','.join(FIELDS)}"):
            response = await client.get(url + query, headers={"Authorization": f"Bearer {token}"})
            number = len(response.json()["value"])
            pairs += [len(response.content) // number, response.num_bytes_downloaded // number]
        found.append(("simulated applications", *pairs))
    samples = Path(__file__).parent.parent.parent / "shared" / "samples"
    for name, file in (
        ("recorded applications", "graph-applications-list-with-password-credentials.json"),
        ("recorded managed identities", "graph-serviceprincipals-managed-identities-with-platform-certs.json"),
    ):
        if (samples / file).exists():
            items = json.loads((samples / file).read_text(encoding="utf-8"))["value"]
            selected = [{key: item[key] for key in FIELDS if key in item} for item in items]
            found.append((name, *packed(items), *packed(selected)))
    figures["sizes"] = found


def packed(items: list[Any]) -> tuple[int, int]:
    """The bytes of one of these as JSON, plain and with gzip."""
    text = json.dumps(items, separators=(",", ":")).encode()
    return len(text) // len(items), len(gzip.compress(text)) // len(items)


READINGS: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "ours": ours,
    "cold": cold,
    "typed": typed,
    "scan": scan,
    "kept": kept,
    "typed_tenant": typed_tenant,
    "sizes": sizes,
}

if __name__ == "__main__":
    asyncio.run(READINGS[sys.argv[1]]())
    print(json.dumps(figures))
