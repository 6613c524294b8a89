"""What is measured, each in a process of its own: `python -m bench.readings NAME` prints its figures as JSON."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import resource
import sys
import time
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

Figures = dict[str, Any]
figures: Figures = {"requests": 0, "wire": 0, "plain": 0}


def cpu() -> float:
    """CPU seconds of this process so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """The most memory that this process ever held, in bytes; macOS counts bytes, Linux KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def count_requests() -> None:
    """Count requests and bytes of httpx, which both clients stand on."""
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


@contextmanager
def measured() -> Iterator[None]:
    """Take the figures of what happens inside; what was before them is shown apart."""
    figures.update(requests=0, wire=0, plain=0, peak_before=peak())
    figures.pop("first", None)
    before, began = cpu(), time.monotonic()
    yield
    ended = time.monotonic()
    figures.update(cpu=cpu() - before, wall=ended - began, peak=peak(), cpu_total=cpu())
    figures["wall_graph"] = ended - figures.pop("first")


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
    figures.update(count=sum(report.snapshot.counts.values()), findings=len(report.findings))


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
    "sizes": sizes,
}

if __name__ == "__main__":
    asyncio.run(READINGS[sys.argv[1]]())
    print(json.dumps(figures))
