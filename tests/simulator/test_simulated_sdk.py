"""The SDK clients work against the simulator unchanged."""

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.user import User
from msgraph_core.tasks.page_iterator import PageIterator

from simulator import Fault, Simulator, generate, load

from .clients import Start, aks_client, graph_client, managed_identity, subscription_client


async def test_managed_identity_credential_gets_a_token(azure: Simulator) -> None:
    async with managed_identity(azure) as credential:
        token = await credential.get_token("https://graph.microsoft.com/.default")
    assert token.token.count(".") == 2
    assert [(request.host, request.status) for request in azure.requests] == [("identity", 200)]


async def test_typed_graph_client_pages_through_applications(azure: Simulator) -> None:
    parameters = ApplicationsRequestBuilder.ApplicationsRequestBuilderGetQueryParameters(top=3, count=True)
    async with managed_identity(azure) as credential, graph_client(azure, credential) as graph:
        builder = graph.applications
        configuration = ApplicationsRequestBuilder.ApplicationsRequestBuilderGetRequestConfiguration(
            query_parameters=parameters
        )
        configuration.headers.add("ConsistencyLevel", "eventual")
        page = await builder.get(request_configuration=configuration)
        assert page is not None and page.odata_count == 10
        names: list[str] = []
        iterator = PageIterator(page, graph.request_adapter)
        # Not set_headers: it fails in msgraph-core 1.5.
        iterator.headers.add("ConsistencyLevel", "eventual")
        await iterator.iterate(lambda application: names.append(application.display_name) or True)
    assert names == [application.name for application in azure.tenant.applications]
    assert sum("/v1.0/applications" in request.target for request in azure.requests) == 4


async def test_typed_graph_client_reads_dates_owners_and_certificates(azure: Simulator) -> None:
    async with managed_identity(azure) as credential, graph_client(azure, credential) as graph:
        cluster_app = azure.tenant.application("aks-shop-prod")
        found = await graph.applications_with_app_id(cluster_app.app_id).get()
        assert found is not None and found.password_credentials
        assert found.password_credentials[0].end_date_time == cluster_app.secrets[0].end
        owners = await graph.applications.by_application_id(cluster_app.id).owners.get()
        assert owners is not None and owners.value is not None
        owner = owners.value[0]
        assert isinstance(owner, User)
        assert owner.user_principal_name == "ines.novak@northwind-retail.example"
        principals = await graph.service_principals.get()
    assert principals is not None and principals.value is not None
    workday = next(one for one in principals.value if one.display_name == "workday-sso")
    assert [one.usage for one in workday.key_credentials or []] == ["Sign", "Verify"]
    managed = next(one for one in principals.value if one.service_principal_type == "ManagedIdentity")
    assert len(managed.key_credentials or []) == 2


async def test_typed_graph_client_sees_graph_s_errors(azure: Simulator) -> None:
    azure.tenant.permissions.clear()
    async with managed_identity(azure) as credential, graph_client(azure, credential) as graph:
        with pytest.raises(ODataError) as refused:
            await graph.applications.get()
    assert refused.value.response_status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.code == "Authorization_RequestDenied"


async def test_graph_client_retries_as_it_is_told(azure: Simulator) -> None:
    fault = azure.add(Fault(path=r"^/v1\.0/applications", status=429, retry_after=1, times=1))
    async with managed_identity(azure) as credential, graph_client(azure, credential) as graph:
        page = await graph.applications.get()
    assert page is not None and len(page.value or []) == 10
    assert fault.happened == 1
    first, second = (request for request in azure.requests if request.host == "graph")
    assert second.time - first.time >= 1


async def test_aks_client_pages_through_clusters_and_an_empty_last_page(azure: Simulator) -> None:
    azure.arm_page_size = 1
    azure.empty_last_page = True
    production = azure.tenant.subscription("Northwind Production")
    async with managed_identity(azure) as credential, aks_client(azure, credential, production.id) as aks:
        clusters = [cluster async for cluster in aks.managed_clusters.list()]
        alone = await aks.managed_clusters.get("RG-SHOP-PROD", "Shop-Prod")
    assert [cluster.name for cluster in clusters] == ["shop-prod", "shop-dr"]
    assert clusters[0].service_principal_profile.client_id == azure.tenant.application("aks-shop-prod").app_id
    assert clusters[0].identity is None
    assert clusters[0].type == "Microsoft.ContainerService/ManagedClusters"
    assert alone.id == clusters[0].id and "/resourcegroups/rg-shop-prod/" in alone.id
    assert sum("/managedClusters?" in request.target for request in azure.requests) == 3


async def test_aks_client_sees_a_managed_identity_cluster(azure: Simulator) -> None:
    staging = azure.tenant.subscription("Northwind Staging")
    async with managed_identity(azure) as credential, aks_client(azure, credential, staging.id) as aks:
        (cluster,) = [cluster async for cluster in aks.managed_clusters.list()]
    assert cluster.service_principal_profile.client_id == "msi"
    assert cluster.identity.principal_id == azure.tenant.clusters[2].principal_id
    assert cluster.identity_profile["kubeletidentity"].client_id == azure.tenant.clusters[2].kubelet_client_id


async def test_aks_client_follows_a_recorded_next_link(azure: Simulator) -> None:
    path = "/subscriptions/subscription-id/providers/Microsoft.ContainerService/managedClusters"
    link = f"https://management.azure.com{path}?%24skipToken=8090295&api-version=2024-01-01&skipToken=8090295"
    page = {"value": [{"name": "recorded", "location": "eastus"}], "nextLink": link}
    azure.record(path, json.dumps(page).encode(), b'{"value": []}', rewrite=True)
    async with managed_identity(azure) as credential, aks_client(azure, credential, "subscription-id") as aks:
        assert [cluster.name async for cluster in aks.managed_clusters.list()] == ["recorded"]
    assert [request.status for request in azure.requests if request.host == "arm"] == [200, 200]


async def test_subscription_client_lists_what_may_be_read(azure: Simulator) -> None:
    azure.arm_page_size = 2
    hidden = azure.tenant.subscription("Northwind Sandbox")
    async with managed_identity(azure) as credential, subscription_client(azure, credential) as client:
        assert len([one async for one in client.subscriptions.list()]) == 3
        hidden.readable = False
        names = [one.display_name async for one in client.subscriptions.list()]
        assert names == ["Northwind Production", "Northwind Staging"]
        with pytest.raises(HttpResponseError, match=r"Microsoft\.Resources/subscriptions/read") as refused:
            await client.subscriptions.get(hidden.id)
        assert refused.value.status_code == 403
        with pytest.raises(ResourceNotFoundError, match="SubscriptionNotFound"):
            await client.subscriptions.get("11111111-2222-3333-4444-555555555555")


async def test_aks_client_honours_retry_after_and_meets_a_cut_off_body(azure: Simulator) -> None:
    production = azure.tenant.subscription("Northwind Production")
    azure.add(Fault(path="managedClusters", status=429, retry_after=1, times=1))
    async with managed_identity(azure) as credential, aks_client(azure, credential, production.id) as aks:
        assert len([cluster async for cluster in aks.managed_clusters.list()]) == 2
        azure.clear()
        azure.add(Fault(path="managedClusters", cut=True))
        with pytest.raises(Exception, match=r"(?i)payload|incomplete|connection|content"):
            [cluster async for cluster in aks.managed_clusters.list()]


async def test_a_refused_token_is_an_authentication_error(azure: Simulator) -> None:
    azure.add(Fault(path="/msi/token", status=400))
    async with managed_identity(azure) as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token("https://management.azure.com/.default")


async def test_a_generated_page_is_the_same_to_the_typed_client(start: Start) -> None:
    azure = start(generate(applications=25, service_principals=20, expiring=[3], seed=7))
    async with managed_identity(azure) as credential, graph_client(azure, credential) as graph:
        applications = await graph.applications.get()
        principals = await graph.service_principals.get()
    assert applications is not None and principals is not None
    items = applications.value or []
    assert [(item.id, item.display_name) for item in items] == [(one.id, one.name) for one in azure.tenant.applications]
    third = azure.tenant.application(items[2].id or "")
    assert (items[2].password_credentials or [])[0].end_date_time == third.secrets[0].end
    assert len(principals.value or []) == 20


def test_two_simulators_run_side_by_side() -> None:
    with Simulator(load("retailer")) as one, Simulator(load("hostile")) as other:
        assert not set(one.origins.values()) & set(other.origins.values())
