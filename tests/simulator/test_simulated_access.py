"""Role assignments, roles, groups and what rights are about, seen through the SDK clients."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from simulator import EventSubscription, Simulator, SystemTopic, generate, load, parse

from .clients import (
    Client,
    Connect,
    Start,
    aks_client,
    authorization_client,
    eventgrid_client,
    graph_client,
    identities_client,
    managed_identity,
    registry_client,
    resource_client,
)

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"


def table(**more: Any) -> dict[str, Any]:
    """A tenant in which each kind of thing occurs."""
    return {
        "name": "Contoso",
        "domain": "contoso.example",
        "starts": datetime(2026, 11, 1, 6, tzinfo=UTC),
        "user": [{"name": "Ann Lee"}],
        "subscription": [{"name": "One"}, {"name": "Two"}],
        "group": [{"name": "rg-one", "subscription": "One"}, {"name": "rg-two", "subscription": "Two"}],
        "management_group": [
            {"name": "top", "subscriptions": []},
            {"name": "platform", "parent": "top", "subscriptions": ["One"]},
        ],
        "registry": [
            {"name": "plain", "group": "rg-one"},
            {"name": "abac", "group": "rg-one", "abac": True, "anonymous": True},
        ],
        "identity": [
            {"name": "id-control", "group": "rg-one"},
            {"name": "id-kubelet", "group": "rg-one"},
            {
                "name": "id-pod",
                "group": "rg-one",
                "trusts": [
                    {"name": "live", "cluster": "brought", "subject": "system:serviceaccount:shop:pay"},
                    {"name": "flexible", "issuer": "https://issuer.example/", "expression": "claims['sub'] eq 'x'"},
                ],
            },
        ],
        "route_table": [{"name": "rt", "group": "rg-one"}],
        "nat_gateway": [{"name": "nat", "group": "rg-one"}],
        "private_dns_zone": [{"name": "zone.example", "group": "rg-one"}],
        "network": [
            {
                "name": "vnet",
                "group": "rg-one",
                "subnets": [{"name": "nodes", "route_table": "rt", "nat_gateway": "nat"}, {"name": "bare"}],
            }
        ],
        "cluster": [
            {
                "name": "brought",
                "group": "rg-one",
                "identity": "id-control",
                "kubelet": "id-kubelet",
                "pools": [{"name": "system", "subnet": "vnet/nodes"}, {"name": "user", "type": "AvailabilitySet"}],
                "addons": ["azureKeyvaultSecretsProvider"],
                "outbound_type": "userDefinedRouting",
                "network_plugin": "kubenet",
                "private_dns_zone": "zone.example",
                "oidc_issuer": True,
                "workload_identity": True,
                "node_group": "rg-nodes",
            },
            {"name": "plain-cluster", "group": "rg-two"},
        ],
        "entra_group": [
            {"name": "inner", "members": [{"cluster": "brought", "identity": "kubelet"}]},
            {"name": "outer", "members": ["inner", "Ann Lee"]},
        ],
        "role": [{"name": "Puller", "actions": ["*/pull/read"], "not_actions": ["x/*"], "assignable": ["One"]}],
        "assignment": [
            {"to": "outer", "role": "AcrPull", "on": "plain"},
            {"to": "id-kubelet", "role": "Puller", "on": "rg-one", "condition": "@Resource[x] StringEquals 'y'"},
            {"to": "id-control", "role": "Reader", "on": "top"},
            {"to": "Ann Lee", "role": "Owner", "on": "/"},
            {"to": "id-pod", "role": "Reader", "on": "Two"},
        ],
        **more,
    }


@pytest.fixture
def contoso(start: Start) -> Simulator:
    return start(parse(table()))


async def test_a_subscription_lists_what_it_inherits_but_no_groups(contoso: Simulator) -> None:
    one, two = contoso.tenant.subscriptions
    contoso.assignments_page_size = 2
    async with managed_identity(contoso) as credential:
        scopes = {}
        for subscription in (one, two):
            async with authorization_client(contoso, credential, subscription.id) as client:
                scopes[subscription.name] = [
                    item.scope async for item in client.role_assignments.list_for_subscription()
                ]
    one_group = f"/subscriptions/{one.id}/resourceGroups/rg-one"
    assert sorted(scopes["One"]) == sorted(
        [
            "/",
            "/providers/Microsoft.Management/managementGroups/top",
            f"/subscriptions/{one.id}/resourceGroups/rg-nodes",
            one_group,
            f"{one_group}/providers/Microsoft.ContainerRegistry/registries/plain",
        ]
    )
    nodes = contoso.tenant.cluster("plain-cluster").node_group_id
    assert sorted(scopes["Two"]) == sorted(["/", f"/subscriptions/{two.id}", nodes])


async def test_assigned_to_follows_nested_groups_and_at_scope_leaves_out_what_is_below(contoso: Simulator) -> None:
    kubelet = contoso.tenant.cluster("brought").kubelet_object_id
    registry = contoso.tenant.registries[0].id
    group = contoso.tenant.groups[0].id
    subscription = contoso.tenant.subscriptions[0].id
    both = f"atScope() and assignedTo('{kubelet}')"
    async with (
        managed_identity(contoso) as credential,
        authorization_client(contoso, credential, subscription) as client,
    ):

        async def roles(scope: str, where: str) -> list[str]:
            found = client.role_assignments.list_for_scope(scope, filter=where)
            return [item.role_definition_id.rpartition("/")[2] async for item in found]

        custom = contoso.tenant.access.custom_roles[0].id
        assert sorted(await roles(registry, both)) == sorted([ACR_PULL, custom])
        assert await roles(group.upper(), both) == [custom]
        assert sorted(await roles(group, f"assignedTo('{kubelet}')")) == sorted([ACR_PULL, custom])
        assert await roles(group, f"principalId eq '{kubelet}'") == [custom]
        assert await roles(registry, "atScope() and assignedTo('00000000-0000-4000-8000-000000000000')") == []
        with pytest.raises(HttpResponseError, match="cannot be combined"):
            await roles(group, f"atScope() and principalId eq '{kubelet}'")
        with pytest.raises(HttpResponseError, match="InvalidFilter"):
            await roles(group, "scope eq 'x'")
        contoso.actions.leave("outer", contoso.tenant.access.groups[0].id)
        assert await roles(registry, both) == [custom]


async def test_one_assignment_and_its_role(contoso: Simulator) -> None:
    kubelet = contoso.tenant.cluster("brought").kubelet_object_id
    (direct,) = contoso.tenant.access.of([kubelet])
    subscription = contoso.tenant.subscriptions[0].id
    async with (
        managed_identity(contoso) as credential,
        authorization_client(contoso, credential, subscription) as client,
    ):
        found = await client.role_assignments.get_by_id(direct.id.upper())
        assert (found.id, found.principal_type, found.condition_version) == (direct.id, "ServicePrincipal", "2.0")
        role = await client.role_definitions.get_by_id(found.role_definition_id)
        assert (role.role_name, role.role_type) == ("Puller", "CustomRole")
        assert role.permissions[0].not_actions == ["x/*"]
        every = [item async for item in client.role_definitions.list(f"/subscriptions/{subscription}")]
        custom = client.role_definitions.list(f"/subscriptions/{subscription}", filter="type eq 'CustomRole'")
        assert [item.role_name async for item in custom] == ["Puller"]
        other = client.role_definitions.list(f"/subscriptions/{contoso.tenant.subscriptions[1].id}")
        assert len(every) == len([item async for item in other]) + 1 > 20
        for missing in (direct.id[:-4] + "0000", f"{subscription}/nothing"):
            with pytest.raises(ResourceNotFoundError):
                await client.role_assignments.get_by_id(missing)
        with pytest.raises(ResourceNotFoundError, match="RoleDefinitionDoesNotExist"):
            await client.role_definitions.get_by_id(found.role_definition_id[:-4] + "0000")


async def test_the_members_of_a_cluster(contoso: Simulator) -> None:
    tenant = contoso.tenant
    subscription = tenant.subscriptions[0].id
    async with managed_identity(contoso) as credential, aks_client(contoso, credential, subscription) as aks:
        (shown,) = [item async for item in aks.managed_clusters.list()]
    control, kubelet, _ = tenant.identities[:3]
    assert shown.identity.type == "UserAssigned" and shown.identity.principal_id is None
    ((identity_id, identity),) = shown.identity.user_assigned_identities.items()
    assert (identity_id, identity.principal_id) == (control.id, control.principal_id)
    assert shown.identity_profile["kubeletidentity"].resource_id == kubelet.id
    assert shown.identity_profile["kubeletidentity"].object_id == kubelet.principal_id
    addon = shown.addon_profiles["azureKeyvaultSecretsProvider"]
    assert addon.enabled and addon.identity.resource_id in [one.id for one in tenant.identities]
    assert [pool.type for pool in shown.agent_pool_profiles] == ["VirtualMachineScaleSets", "AvailabilitySet"]
    assert [pool.vnet_subnet_id for pool in shown.agent_pool_profiles] == [tenant.resources[-2].id, None]
    assert shown.network_profile.outbound_type == "userDefinedRouting"
    assert shown.network_profile.load_balancer_profile is None
    assert shown.api_server_access_profile.private_dns_zone == tenant.resources[2].id
    assert shown.oidc_issuer_profile.issuer_url == tenant.clusters[0].issuer(tenant.id)
    assert shown.security_profile.workload_identity.enabled
    assert shown.node_resource_group == "rg-nodes"


async def test_what_rights_are_about(contoso: Simulator) -> None:
    tenant = contoso.tenant
    subscription = tenant.subscriptions[0].id
    async with managed_identity(contoso) as credential:
        async with identities_client(contoso, credential, subscription) as msi:
            names = [item.name async for item in msi.user_assigned_identities.list_by_subscription()]
            assert "id-kubelet" in names and "brought-agentpool" not in names and len(names) == 4
            pod = await msi.user_assigned_identities.get("RG-ONE", "ID-POD")
            assert pod.principal_id == tenant.identities[2].principal_id
            live, flexible = [item async for item in msi.federated_identity_credentials.list("rg-one", "id-pod")]
            assert live.issuer == tenant.clusters[0].issuer(tenant.id)
            assert live.subject == "system:serviceaccount:shop:pay" and flexible.subject is None
            with pytest.raises(ResourceNotFoundError):
                await msi.user_assigned_identities.get("rg-one", "nothing")
        async with registry_client(contoso, credential, subscription) as acr:
            found = {item.name: item async for item in acr.registries.list()}
            assert found["plain"].login_server == "plain.azurecr.io"
            assert found["abac"].role_assignment_mode == "AbacRepositoryPermissions"
            assert found["abac"].anonymous_pull_enabled and not found["plain"].anonymous_pull_enabled
            with pytest.raises(ResourceNotFoundError):
                await acr.registries.get("rg-one", "nothing")
        async with resource_client(contoso, credential, subscription) as arm:
            subnet = await arm.resources.get_by_id(tenant.resources[-2].id, api_version="2024-05-01")
            table_id, gateway_id = tenant.resources[0].id, tenant.resources[1].id
            assert subnet.properties["routeTable"]["id"] == table_id
            assert subnet.properties["natGateway"]["id"] == gateway_id
            for entity in tenant.resources[:3]:
                assert (await arm.resources.get_by_id(entity.id, api_version="2024-05-01")).id == entity.id
            with pytest.raises(ResourceNotFoundError):
                await arm.resources.get_by_id(table_id + "x", api_version="2024-05-01")
            nodes = await arm.resource_groups.get("rg-nodes")
            assert nodes.managed_by == tenant.clusters[0].id


async def test_who_gets_the_events_of_a_subscription(contoso: Simulator) -> None:
    tenant = contoso.tenant
    one = tenant.subscriptions[0].id
    function = f"/subscriptions/{one}/resourceGroups/rg/providers/Microsoft.Web/sites/app/functions/on_role_change"
    towards = EventSubscription(name="app", function_id=function, dead_letters="/subscriptions/x/storage")
    tenant.topics.append(SystemTopic(subscription_id=one, group="rg-one", name="changes", subscriptions=[towards]))
    async with managed_identity(contoso) as credential, eventgrid_client(contoso, credential, one) as client:
        (topic,) = [item async for item in client.system_topics.list_by_subscription()]
        assert (topic.source, topic.topic_type) == (f"/subscriptions/{one}", "Microsoft.Resources.Subscriptions")
        listed = client.system_topic_event_subscriptions.list_by_system_topic("RG-ONE", "changes")
        (found,) = [item async for item in listed]
        assert found.destination.resource_id == function and found.provisioning_state == "Succeeded"
        assert "Microsoft.Authorization/roleAssignments/delete" in found.filter.advanced_filters[0].values
        assert found.dead_letter_with_resource_identity.dead_letter_destination.resource_id == towards.dead_letters
        with pytest.raises(ResourceNotFoundError):
            await client.system_topics.get("rg-one", "nothing")
    async with (
        managed_identity(contoso) as credential,
        eventgrid_client(contoso, credential, tenant.subscriptions[1].id) as client,
    ):
        assert [item async for item in client.system_topics.list_by_subscription()] == []


ROLES = Path(__file__).parents[3] / "shared" / "samples" / "arm-role-definitions-selected-builtins.json"


@pytest.mark.skipif(not ROLES.exists(), reason="the recorded roles are not here")
def test_roles_give_what_recorded_ones_give(contoso: Simulator, connect: Connect) -> None:
    recorded = json.loads(ROLES.read_text(encoding="utf-8"))["value"]
    subscription = contoso.tenant.subscriptions[0].id
    path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01"
    shown = {item["name"]: item for item in connect(contoso).arm(path).json()["value"]}
    assert len(recorded) == 16
    for theirs in recorded:
        ours = shown[theirs["name"]]
        assert ours.keys() == theirs.keys() and ours["properties"].keys() == theirs["properties"].keys()
        for name in ("roleName", "permissions", "assignableScopes", "type"):
            assert ours["properties"][name] == theirs["properties"][name]


async def test_groups_of_a_service_principal(contoso: Simulator) -> None:
    tenant = contoso.tenant
    kubelet = tenant.cluster("brought").kubelet_object_id
    async with managed_identity(contoso) as credential, graph_client(contoso, credential) as graph:
        found = await graph.service_principals.by_service_principal_id(kubelet).transitive_member_of.get()
    assert found is not None
    assert [(item.odata_type, item.id) for item in found.value or []] == [
        ("#microsoft.graph.group", group.id) for group in tenant.access.groups
    ]


def test_groups_are_paged_and_come_in_batches(contoso: Simulator, connect: Connect) -> None:
    client = connect(contoso)
    kubelet = contoso.tenant.cluster("brought").kubelet_object_id
    path = f"/servicePrincipals/{kubelet}/transitiveMemberOf"
    first = client.graph(f"/v1.0{path}?$top=1&$select=id").json()
    second = client.graph(first["@odata.nextLink"]).json()
    inner, outer = contoso.tenant.access.groups
    assert first["value"] == [{"@odata.type": "#microsoft.graph.group", "id": inner.id}]
    assert [item["id"] for item in second["value"]] == [outer.id] and "@odata.nextLink" not in second
    whole = client.graph(f"/v1.0{path}/microsoft.graph.group").json()["value"]
    assert whole[0]["displayName"] is None
    nobody = "/servicePrincipals/00000000-0000-4000-8000-000000000000/transitiveMemberOf"
    requests = [{"id": str(n), "method": "GET", "url": url} for n, url in enumerate((path, nobody))]
    answers = client.graph("/v1.0/$batch", method="POST", json={"requests": requests}).json()["responses"]
    assert sorted((one["id"], one["status"]) for one in answers) == [("0", 200), ("1", 404)]
    known = client.graph(
        "/v1.0/directoryObjects/getByIds", method="POST", json={"ids": [inner.id, kubelet, "00000000"]}
    ).json()["value"]
    assert [item["@odata.type"].rpartition(".")[2] for item in known] == ["group", "servicePrincipal"]


def test_an_unreadable_subscription_refuses_all_of_it(contoso: Simulator, connect: Connect) -> None:
    client, one = connect(contoso), contoso.tenant.subscriptions[0]
    one.readable = False
    for path, action in (
        ("Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/roleAssignments/read"),
        ("Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.ManagedIdentity/userAssignedIdentities/read"),
        ("Microsoft.ContainerRegistry/registries", "Microsoft.ContainerRegistry/registries/read"),
    ):
        refused = client.arm(f"/subscriptions/{one.id}/providers/{path}?api-version=1")
        assert refused.status_code == 403 and f"'{action}'" in refused.text
        assert f"over scope '/subscriptions/{one.id}'" in refused.text


def test_the_story_s_clusters_may_manage_their_node_groups(client: Client) -> None:
    tenant = load("retailer")
    tenant.advance(datetime(2026, 10, 4, tzinfo=UTC))
    for cluster in tenant.clusters:
        holders = [one.principal_id for one in tenant.access if one.scope == cluster.node_group_id]
        service = None if cluster.managed else tenant.service_principal(cluster.client_id).id
        assert (service or cluster.principal_id) in holders


def test_40_000_assignments_cost_little(start: Start, connect: Connect) -> None:
    azure = start(generate(applications=10, clusters=50, subscriptions=2, role_assignments=40_000))
    client = connect(azure)
    token = client.token("https://management.azure.com")
    subscription = azure.tenant.subscriptions[0].id
    path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01"
    took = []
    for _ in range(2):
        begun, link, ids = time.perf_counter(), azure.origins["arm"] + path, set()
        while link:
            page = client.http.get(link, headers={"Authorization": f"Bearer {token}"}).json()
            ids |= {item["id"] for item in page["value"]}
            link = page.get("nextLink", "")
        took.append(time.perf_counter() - begun)
        assert len(ids) > 20_000
    assert took[1] < 2, took  # about a third of a second, nearly all of it the client's
