"""The real SDK clients, pointed at a simulator, and plain HTTP for what these do not let a test see."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from azure.identity.aio import ManagedIdentityCredential
from azure.mgmt.authorization.aio import AuthorizationManagementClient
from azure.mgmt.containerregistry.aio import ContainerRegistryManagementClient
from azure.mgmt.containerservice.aio import ContainerServiceClient
from azure.mgmt.eventgrid.aio import EventGridManagementClient
from azure.mgmt.monitor.aio import MonitorManagementClient
from azure.mgmt.msi.aio import ManagedServiceIdentityClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient

from simulator import Simulator


def trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    """The TLS settings of a client that trusts the simulator only."""
    return ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])


class Client:
    """httpx with a token, for what the SDKs do not let a test see."""

    def __init__(self, azure: Simulator) -> None:
        self.azure = azure
        self.http = httpx.Client(verify=trust(azure.environment), timeout=10)

    def token(self, resource: str) -> str:
        answer = self.http.get(
            self.azure.environment["IDENTITY_ENDPOINT"],
            params={"resource": resource, "api-version": "2019-08-01", "client_id": self.azure.client_id},
            headers={"X-IDENTITY-HEADER": self.azure.environment["IDENTITY_HEADER"]},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def graph(self, path: str, **options: Any) -> httpx.Response:
        return self._send("graph", "https://graph.microsoft.com", path, **options)

    def arm(self, path: str, **options: Any) -> httpx.Response:
        return self._send("arm", "https://management.azure.com", path, **options)

    def _send(self, host: Any, audience: str, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token(audience)}", **options.pop("headers", {})}
        url = path if path.startswith("https:") else self.azure.origins[host] + path
        return self.http.request(method, url, headers=headers, **options)


Start = Callable[..., Simulator]
Connect = Callable[[Simulator], Client]


@asynccontextmanager
async def graph_client(azure: Simulator, credential: ManagedIdentityCredential) -> AsyncIterator[GraphServiceClient]:
    """msgraph-sdk as it comes; only the address is another one."""
    scopes = ["https://graph.microsoft.com/.default"]
    adapter = GraphRequestAdapter(AzureIdentityAuthenticationProvider(credential, scopes=scopes, allowed_hosts=[]))
    adapter.base_url = azure.environment["GRAPH_ENDPOINT"] + "/v1.0"
    try:
        yield GraphServiceClient(request_adapter=adapter)
    finally:
        await adapter._http_client.aclose()


def _arm_options(azure: Simulator) -> dict[str, Any]:
    return {
        "base_url": azure.environment["ARM_ENDPOINT"],
        "credential_scopes": ["https://management.azure.com/.default"],
        # aiohttp makes its default TLS context when it is imported, long before SSL_CERT_FILE is set here.
        "connection_verify": azure.environment["REQUESTS_CA_BUNDLE"],
        "retry_backoff_factor": 0,
    }


def aks_client(azure: Simulator, credential: ManagedIdentityCredential, subscription: str) -> ContainerServiceClient:
    return ContainerServiceClient(credential, subscription, **_arm_options(azure))


def subscription_client(azure: Simulator, credential: ManagedIdentityCredential) -> SubscriptionClient:
    return SubscriptionClient(credential, **_arm_options(azure))


def authorization_client(
    azure: Simulator, credential: ManagedIdentityCredential, subscription: str
) -> AuthorizationManagementClient:
    return AuthorizationManagementClient(credential, subscription, **_arm_options(azure))


def identities_client(
    azure: Simulator, credential: ManagedIdentityCredential, subscription: str
) -> ManagedServiceIdentityClient:
    return ManagedServiceIdentityClient(credential, subscription, **_arm_options(azure))


def registry_client(
    azure: Simulator, credential: ManagedIdentityCredential, subscription: str
) -> ContainerRegistryManagementClient:
    return ContainerRegistryManagementClient(credential, subscription, **_arm_options(azure))


def resource_client(
    azure: Simulator, credential: ManagedIdentityCredential, subscription: str
) -> ResourceManagementClient:
    return ResourceManagementClient(credential, subscription, **_arm_options(azure))


def monitor_client(
    azure: Simulator, credential: ManagedIdentityCredential, subscription: str
) -> MonitorManagementClient:
    return MonitorManagementClient(credential, subscription, **_arm_options(azure))


def eventgrid_client(
    azure: Simulator, credential: ManagedIdentityCredential, subscription: str
) -> EventGridManagementClient:
    return EventGridManagementClient(credential, subscription, **_arm_options(azure))


def managed_identity(azure: Simulator) -> ManagedIdentityCredential:
    return ManagedIdentityCredential(client_id=azure.environment["AZURE_CLIENT_ID"])
