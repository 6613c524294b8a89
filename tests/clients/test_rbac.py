"""What azure-mgmt-authorization's objects become, and what a listing gives that is not whole."""

from __future__ import annotations

from typing import Any

import pytest
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment as Assignment
from azure.mgmt.authorization.v2022_04_01.models import RoleDefinition as Definition

from shared.access import Permission, RoleAssignment, RoleDefinition, last_segment
from shared.clients.http import ReadError
from shared.clients.rbac import role_assignment, role_definition
from simulator import Fault, load

from ..conftest import Start, Watch, day

WIRE: dict[str, Any] = {
    "id": "/subscriptions/1/providers/Microsoft.Authorization/roleAssignments/a",
    "properties": {
        "principalId": "p",
        "principalType": "ServicePrincipal",
        "roleDefinitionId": "/subscriptions/1/providers/Microsoft.Authorization/roleDefinitions/R",
        "scope": "/subscriptions/1",
        "condition": "@a",
        "conditionVersion": "2.0",
    },
}


def wire(**changes: Any) -> dict[str, Any]:
    properties = {name: value for name, value in {**WIRE["properties"], **changes}.items() if value is not ...}
    return {**WIRE, "properties": properties}


def test_a_role_assignment() -> None:
    found = role_assignment(Assignment.deserialize(wire()), "1")
    assert found == RoleAssignment(
        id=WIRE["id"],
        principal_id="p",
        principal_type="ServicePrincipal",
        role_definition_id="/subscriptions/1/providers/Microsoft.Authorization/roleDefinitions/R",
        scope="/subscriptions/1",
        condition="@a",
        condition_version="2.0",
        listed_in=frozenset({"1"}),
    )
    assert (found.role_id, found.key) == ("r", WIRE["id"].lower())


def test_a_condition_of_many_lines_is_one_and_its_literals_stay_as_they_are() -> None:
    """As the portal writes them."""
    many = (
        "(\n (\n  !(ActionMatches{'Microsoft.Storage/x'})\r\n )\n OR\n\t@Resource[a:b] StringEquals 'it\\'s  two'\n)\n"
    )
    found = role_assignment(Assignment.deserialize(wire(condition=many)))
    assert found.condition == (
        "( ( !(ActionMatches{'Microsoft.Storage/x'}) ) OR @Resource[a:b] StringEquals 'it\\'s  two' )"
    )


@pytest.mark.parametrize("nothing", [None, ...])
def test_what_may_be_missing_is_empty(nothing: Any) -> None:
    bare = role_assignment(
        Assignment.deserialize(wire(principalType=nothing, condition=nothing, conditionVersion=nothing))
    )
    assert (bare.principal_type, bare.condition, bare.condition_version) == ("", "", "")
    assert bare.listed_in == frozenset()


@pytest.mark.parametrize("name", ["principalId", "roleDefinitionId", "scope", "id"])
@pytest.mark.parametrize("nothing", [None, "", ...])
def test_an_assignment_of_nobody_nothing_or_nowhere_is_none(name: str, nothing: Any) -> None:
    odd = wire(**{name: nothing}) if name != "id" else {**WIRE, "id": "" if nothing is ... else nothing}
    with pytest.raises(ValueError, match="without id, principal, role or scope"):
        role_assignment(Assignment.deserialize(odd))


def test_a_role_definition() -> None:
    block = {"actions": ["*"], "notActions": ["*/write"], "dataActions": ["d"], "notDataActions": ["e"]}
    found = role_definition(
        Definition.deserialize(
            {"id": "/x/R", "properties": {"roleName": "Mine", "type": "CustomRole", "permissions": [block, {}]}}
        )
    )
    assert found == RoleDefinition(
        id="/x/R",
        name="Mine",
        custom=True,
        permissions=(
            Permission(actions=("*",), not_actions=("*/write",), data_actions=("d",), not_data_actions=("e",)),
            Permission(),
        ),
    )
    assert role_definition(Definition.deserialize({"id": "/x/R", "properties": {"permissions": None}})) == (
        RoleDefinition(id="/x/R")
    )


def test_the_condition_of_a_later_api_version_is_kept() -> None:
    class Block:
        actions, not_actions, data_actions, not_data_actions = ["*"], None, None, None
        condition = "@a"

    class Later:
        id, role_name, role_type, permissions = "/x/R", "R", "BuiltInRole", [Block()]

    assert role_definition(Later()).permissions[0].condition == "@a"


def test_a_role_without_an_id_is_none() -> None:
    with pytest.raises(ValueError, match="without an id"):
        role_definition(Definition.deserialize({"properties": {"roleName": "R"}}))


NOW = day("2026-10-12T06:00")


@pytest.fixture
def retailer(start: Start) -> Watch:
    watch = start(load("retailer"), storage=False)
    watch.advance(NOW)
    return watch


def production(watch: Watch) -> str:
    return watch.azure.tenant.subscription("Northwind Production").id


async def test_a_listing_in_which_one_row_is_a_riddle_gives_nothing(retailer: Watch) -> None:
    import json

    body = {"value": [wire(), wire(principalId=None), {"id": None}]}
    name = production(retailer)
    retailer.azure.add(Fault(path="roleAssignments", host="arm", body=json.dumps(body).encode()))
    async with retailer.clients(storage=False) as clients:
        found, (unread,) = await clients.rbac.list_assignments(name)
        assert (found, unread.reason) == ([], "2 role assignments of an unexpected shape")
        with pytest.raises(ReadError, match="unexpected shape"):
            await clients.rbac.list_held_at(f"/subscriptions/{name}", "p")


async def test_only_what_is_wanted_is_kept(retailer: Watch) -> None:
    kubelet = retailer.azure.tenant.cluster("shop-prod").kubelet_object_id
    async with retailer.clients(storage=False) as clients:
        found, unread = await clients.rbac.list_assignments(production(retailer), {kubelet})
        named, _ = await clients.rbac.list_assignments(production(retailer), {last_segment(found[0].id)})
    assert not unread
    assert {one.principal_id for one in found} == {kubelet}
    assert named == found[:1]


@pytest.mark.parametrize(
    ("fault", "permission"),
    [({"status": 403}, "roleDefinitions/read"), ({"status": 500}, ""), ({"html": True}, ""), ({"body": b"{}"}, "")],
)
async def test_a_role_that_cannot_be_read_says_why(retailer: Watch, fault: dict[str, Any], permission: str) -> None:
    retailer.azure.add(Fault(path="roleDefinitions", host="arm", **fault))
    name = production(retailer)
    path = (
        f"/subscriptions/{name}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
    )
    async with retailer.clients(storage=False) as clients:
        with pytest.raises(ReadError) as caught:
            await clients.rbac.get_definition(path)
    assert caught.value.unread.kind is RoleDefinition
    assert caught.value.unread.scope == f"/subscriptions/{name}"
    assert permission in caught.value.unread.permission
    assert bool(permission) is bool(caught.value.unread.permission)
