"""What somebody changes from outside, and what the activity log tells of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from simulator import Caller, Cluster, Simulator, generate, parse

from .clients import Client, Connect, Start, authorization_client, managed_identity, monitor_client
from .test_simulated_access import table

VERSION = "?api-version=2022-04-01"
SAMPLE = Path(__file__).parents[3] / "shared" / "samples" / "activity-log-role-assignment-write-and-delete.json"


@pytest.fixture
def contoso(start: Start) -> Simulator:
    return start(parse(table()))


@pytest.fixture
def client(contoso: Simulator, connect: Connect) -> Client:
    return connect(contoso)


def granted(azure: Simulator) -> Any:
    """The direct grant of the kubelet identity, with its condition."""
    (found,) = azure.tenant.access.of([azure.tenant.cluster("brought").kubelet_object_id])
    return found


def as_(azure: Simulator, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {azure.token(who)}"}


async def entries(azure: Simulator, where: str = "", select: str | None = None) -> list[Any]:
    """The entries of the first subscription, from an hour before now on."""
    since = f"eventTimestamp ge '{(azure.now - timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}'"
    subscription = azure.tenant.subscriptions[0].id
    async with (
        managed_identity(azure) as credential,
        monitor_client(azure, credential, subscription) as monitor,
    ):
        found = monitor.activity_logs.list(filter=since + where, select=select)
        return [item async for item in found]


def test_a_person_deletes_an_assignment(contoso: Simulator, client: Client) -> None:
    one = granted(contoso)
    assert client.arm(one.id + VERSION, method="DELETE").status_code == 403
    answer = client.arm(one.id.upper() + VERSION, method="DELETE", headers=as_(contoso, "Ann Lee"))
    assert answer.status_code == 200 and answer.json()["properties"]["principalId"] == one.principal_id
    again = client.arm(one.id + VERSION, method="DELETE", headers=as_(contoso, "Ann Lee"))
    assert (again.status_code, again.content) == (204, b"")
    assert client.arm(one.id + VERSION).status_code == 404
    contoso.tenant.subscriptions[0].readable = False  # to the watcher
    assert client.arm(one.id + VERSION, method="DELETE", headers=as_(contoso, "Ann Lee")).status_code == 204
    first, second, _ = contoso.tenant.log
    assert (first.status, second.status, first.caller.upn) == (200, 204, "ann.lee@contoso.example")


def test_an_app_makes_an_assignment(contoso: Simulator, client: Client) -> None:
    registry, app = contoso.tenant.registries[0].id, contoso.tenant.clusters[1].principal_id
    path = f"{registry}/providers/Microsoft.Authorization/roleAssignments"
    role = contoso.tenant.access.role("AcrPull").id
    properties = {"roleDefinitionId": f"/providers/x/roleDefinitions/{role}", "principalId": app}
    name, other = "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"

    def put(name: str, **changed: str) -> Any:
        body = {"properties": properties | changed}
        return client.arm(f"{path}/{name}{VERSION}", method="PUT", json=body, headers=as_(contoso, app))

    assert put(name).status_code == 201 and put(name).status_code == 200
    made = client.arm(f"{path}/{name}{VERSION}").json()["properties"]
    assert made["principalId"] == app and made["createdBy"] == app and made["scope"] == registry
    for answer, status, code in (
        (put(other), 409, "RoleAssignmentExists"),
        (put("no-guid"), 400, "InvalidCreateRoleAssignmentRequest"),
        (put(other, principalId="00000000-0000-4000-8000-000000000000"), 400, "PrincipalNotFound"),
        (put(other, roleDefinitionId=other), 404, "RoleDefinitionDoesNotExist"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert [one.creates for one in contoso.tenant.log] == [True, False]
    assert contoso.tenant.log[0].caller == Caller(
        id=app, name="plain-cluster", app_id=contoso.tenant.service_principal(app).app_id
    )


async def test_a_lagging_replica_still_shows_it(contoso: Simulator) -> None:
    contoso.replica_lag = timedelta(seconds=30)
    one, subscription = granted(contoso), contoso.tenant.subscriptions[0].id
    async with (
        managed_identity(contoso) as credential,
        authorization_client(contoso, credential, subscription) as client,
    ):

        async def shown() -> tuple[int, int]:
            where = f"atScope() and assignedTo('{one.principal_id}')"
            every = [item.id async for item in client.role_assignments.list_for_subscription()]
            at = [item.id async for item in client.role_assignments.list_for_scope(one.scope, filter=where)]
            return every.count(one.id), at.count(one.id)

        assert await shown() == (1, 1)
        contoso.actions.unassign(one.id, "Ann Lee")
        contoso.now += timedelta(seconds=29)
        assert await shown() == (1, 1)
        assert (await client.role_assignments.get_by_id(one.id)).id == one.id
        contoso.now += timedelta(seconds=1)
        assert await shown() == (0, 0)
        with pytest.raises(ResourceNotFoundError):
            await client.role_assignments.get_by_id(one.id)


async def test_the_log_lags_and_then_tells_who_deleted_what(contoso: Simulator) -> None:
    one = granted(contoso)
    contoso.actions.unassign(one.id, "Ann Lee")
    operation = contoso.tenant.log[-1]
    where = f" and correlationId eq '{operation.id}'"
    contoso.now += timedelta(seconds=64)
    assert await entries(contoso, where) == []
    contoso.now += timedelta(seconds=1)
    ended, began = await entries(contoso, where)
    assert ended.event_name.value == "EndRequest" and began.event_name.value == "BeginRequest"
    assert ended.status.value == "Succeeded" and began.status.value == "Started"
    assert ended.sub_status.value == "OK" and ended.operation_name.value.endswith("roleAssignments/delete")
    assert ended.caller == "ann.lee@contoso.example" and ended.event_timestamp > began.event_timestamp
    body = json.loads(ended.properties["responseBody"])
    assert body["id"] == one.id and body["properties"]["condition"] == one.condition
    assert body["properties"]["roleDefinitionId"].endswith(one.role)
    assert "responseBody" not in began.properties
    assert ended.authorization.action == "Microsoft.Authorization/roleAssignments/delete"
    assert "top/platform" in ended.properties["hierarchy"]


async def test_the_log_s_filter_is_narrow(contoso: Simulator) -> None:
    one = granted(contoso)
    contoso.actions.unassign(one.id, "Ann Lee")
    contoso.actions.restore(one, "Ann Lee")
    contoso.now += timedelta(minutes=5)
    assert len(await entries(contoso)) == 4
    assert len(await entries(contoso, f" and resourceUri eq '{one.id.upper()}'")) == 2
    assert len(await entries(contoso, " and resourceGroupName eq rg-one")) == 4
    assert len(await entries(contoso, " and resourceProvider eq 'Microsoft.Compute'")) == 0
    assert len(await entries(contoso, " and eventTimestamp le '2020-01-01T00:00:00Z'")) == 0
    (item, *_) = await entries(contoso, "", "caller,eventTimestamp")
    assert item.caller and item.operation_name is None
    for wrong in (
        " and caller eq 'x'",
        " and resourceUri eq 'a' and resourceGroupName eq 'b'",
        " or resourceUri eq 'a'",
    ):
        with pytest.raises(HttpResponseError):
            await entries(contoso, wrong)


async def test_a_write_shows_what_was_asked_for(contoso: Simulator) -> None:
    one = granted(contoso)
    contoso.actions.unassign(one.id, "Ann Lee")
    again = contoso.actions.restore(one, contoso.tenant.clusters[1].principal_id)
    assert again.name != one.name and again.condition == one.condition
    contoso.now += timedelta(minutes=2)
    ended, began = (await entries(contoso, f" and resourceUri eq '{again.id}'"))[:2]
    assert one.principal_id in began.properties["requestbody"]
    assert ended.sub_status.value == "Created" and "responseBody" not in ended.properties
    assert ended.caller == contoso.tenant.clusters[1].principal_id  # an app has no other name there
    assert not any(name.endswith("upn") for name in ended.claims)


async def test_bodies_come_in_two_spellings(contoso: Simulator) -> None:
    one = granted(contoso)
    for _ in range(8):
        contoso.actions.restore(one, "Ann Lee", same_id=True)
    contoso.now += timedelta(minutes=2)
    bodies = [json.loads(item.properties["requestbody"]) for item in (await entries(contoso))[1::2]]
    assert {tuple(body) for body in bodies} == {("properties",), ("Id", "Properties")}
    for body in bodies:
        properties = body.get("properties") or body["Properties"]
        lower = {name.lower(): value for name, value in properties.items()}
        assert lower["principalid"] == one.principal_id and lower["roledefinitionid"].endswith(one.role)


async def test_deleting_nothing_leaves_no_body(contoso: Simulator) -> None:
    one = granted(contoso)
    contoso.actions.unassign(one.id[:-4] + "0000", "Ann Lee")
    contoso.now += timedelta(minutes=2)
    ended, _ = await entries(contoso)
    assert ended.sub_status.value == "NoContent" and "responseBody" not in ended.properties


@pytest.mark.skipif(not SAMPLE.exists(), reason="the recorded log is not here")
def test_entries_have_the_members_that_recorded_ones_have(contoso: Simulator, client: Client) -> None:
    recorded = json.loads(SAMPLE.read_text(encoding="utf-8"))["value"]
    contoso.actions.restore(granted(contoso), "Ann Lee", same_id=True)
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    contoso.now += timedelta(minutes=2)
    path = (
        f"/subscriptions/{contoso.tenant.subscriptions[0].id}/providers/Microsoft.Insights/eventtypes/management/values"
    )
    shown = client.arm(f"{path}?api-version=2015-04-01&$filter=eventTimestamp ge '2026-01-01T00:00:00Z'").json()[
        "value"
    ]
    for ours, theirs in zip(shown, recorded, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours["properties"].keys() == theirs["properties"].keys()
        assert ours["eventName"] == theirs["eventName"] and ours["operationName"] == theirs["operationName"]
    ours, theirs = (json.loads(one[0]["properties"]["responseBody"]) for one in (shown, recorded))
    assert ours.keys() == theirs.keys() and ours["properties"].keys() == theirs["properties"].keys()


def test_deleting_a_scope_takes_its_assignments_silently(contoso: Simulator) -> None:
    tenant, registry = contoso.tenant, contoso.tenant.registries[0]
    before = len(tenant.access)
    contoso.actions.delete_scope(registry.id, "Ann Lee")
    assert len(tenant.access) == before - 1 and registry not in tenant.registries
    assert [one.action for one in tenant.log] == ["Microsoft.ContainerRegistry/registries/delete"]
    contoso.actions.delete_scope(tenant.groups[0].id, "Ann Lee")
    assert tenant.log[-1].action == "Microsoft.Resources/subscriptions/resourceGroups/delete"
    assert [one.name for one in tenant.clusters] == ["plain-cluster"] and not tenant.resources
    assert [one.name for one in tenant.identities] == ["plain-cluster-agentpool"]
    assert not any("rg-one" in one.scope or "rg-nodes" in one.scope for one in tenant.access)


def test_deleting_an_identity_leaves_its_assignments(contoso: Simulator, client: Client) -> None:
    tenant, one = contoso.tenant, granted(contoso)
    kubelet = next(identity for identity in tenant.identities if identity.name == "id-kubelet")
    contoso.actions.delete_identity(kubelet, "Ann Lee")
    assert client.arm(kubelet.id + "?api-version=2024-11-30").status_code == 404
    assert client.graph(f"/v1.0/servicePrincipals/{kubelet.principal_id}").status_code == 404
    assert tenant.access.find(one.id) == one
    assert tenant.log[-1].action == "Microsoft.ManagedIdentity/userAssignedIdentities/delete"


def test_a_cluster_that_is_made_anew_is_another_one(contoso: Simulator) -> None:
    tenant, actions = contoso.tenant, contoso.actions
    old = tenant.cluster("plain-cluster")
    issuer, principal = old.issuer(tenant.id), old.principal_id
    actions.delete_cluster(old, "Ann Lee")
    assert tenant.service_principals.find(principal) is None and not tenant.access.of([principal])
    new = Cluster(subscription_id=old.subscription_id, group=old.group, name=old.name)
    actions.create_cluster(new, "Ann Lee")
    assert new.id == old.id and new.issuer(tenant.id) != issuer and new.principal_id != principal
    assert [one.role for one in tenant.access.of([new.principal_id])] == [tenant.access.role("Contributor").id]
    assert [(one.action.rpartition("/")[2], one.status) for one in tenant.log] == [("delete", 200), ("write", 201)]


def test_a_cluster_is_updating_for_a_while(contoso: Simulator, client: Client) -> None:
    cluster = contoso.tenant.cluster("brought")
    for begin, state in ((True, "Updating"), (False, "Succeeded")):
        if begin:
            contoso.actions.begin_update(cluster, "Ann Lee")
        else:
            contoso.actions.end_update(cluster)
        shown = client.arm(cluster.id + "?api-version=2026-08-01").json()
        assert shown["properties"]["provisioningState"] == state


class SignedIn:
    """A credential of somebody who may change things."""

    def __init__(self, azure: Simulator, who: str) -> None:
        self._token = AccessToken(azure.token(who), int(time.time()) + 3600)

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return self._token


async def test_the_sdk_deletes_as_who_signed_in(contoso: Simulator) -> None:
    one, subscription = granted(contoso), contoso.tenant.subscriptions[0].id
    async with (
        managed_identity(contoso) as credential,
        authorization_client(contoso, credential, subscription) as client,
    ):
        with pytest.raises(HttpResponseError, match=r"Microsoft\.Authorization/roleAssignments/delete"):
            await client.role_assignments.delete_by_id(one.id)
    async with authorization_client(contoso, SignedIn(contoso, "Ann Lee"), subscription) as client:
        gone = await client.role_assignments.delete_by_id(one.id)
        assert gone is not None and gone.principal_id == one.principal_id
        assert await client.role_assignments.delete_by_id(one.id) is None


def test_a_clean_up_script_is_quick(start: Start) -> None:
    azure = start(generate(applications=1, clusters=20, role_assignments=40_000))
    begun = time.process_time()
    for one in list(azure.tenant.access)[:500]:
        azure.actions.unassign(one.id, "Person 3")
    assert time.process_time() - begun < 1 and len(azure.tenant.access) == 39_500


def test_steps_of_a_story_change_assignments(start: Start) -> None:
    at = datetime(2026, 11, 2, 9, tzinfo=UTC)
    kubelet, grant = {"cluster": "brought", "identity": "kubelet"}, {"role": "Puller", "on": "rg-one", "by": "Ann Lee"}
    steps = [
        {"date": at, "text": "gone", "unassign": {"from": kubelet, **grant}},
        {"date": at + timedelta(hours=1), "text": "back", "assign": {"to": kubelet, **grant}},
        {
            "date": at + timedelta(hours=2),
            "text": "Terraform begins",
            "update": {"of": "brought", "minutes": 12, "by": "Ann Lee", "done": "Terraform ends"},
        },
    ]
    tenant = parse(table(step=steps))
    cluster = tenant.cluster("brought")
    held = {one.id for one in tenant.access.of([cluster.principal_id, cluster.kubelet_object_id])}
    tenant.advance(at)
    assert not tenant.access.of([cluster.kubelet_object_id])
    assert [str(one) for one in tenant.advance(at + timedelta(hours=2, minutes=11))] == ["back", "Terraform begins"]
    left = tenant.access.of([cluster.principal_id, cluster.kubelet_object_id])
    assert cluster.state == "Updating" and [one.scope for one in left] == [cluster.node_group_id]
    assert [str(one) for one in tenant.advance(at + timedelta(hours=2, minutes=12))] == ["Terraform ends"]
    again = tenant.access.of([cluster.principal_id, cluster.kubelet_object_id])
    assert cluster.state == "Succeeded" and len(again) == len(held)
    assert len(held & {one.id for one in again}) == 1  # only the one on the node group kept its GUID
    assert tenant.log[-1].at == at + timedelta(hours=2, minutes=12)
    with pytest.raises(KeyError):
        parse(table(step=[{**steps[0], "unassign": {**steps[0]["unassign"], "role": "Owner"}}])).advance(at)
