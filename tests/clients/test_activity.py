"""What the activity log's entries become: deletions of role assignments, and who did them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.mgmt.monitor.models import EventData

from shared.access import Caller, Deletion
from shared.clients.activity import OBJECT_ID, UPN, caller, deletion
from shared.clients.http import ReadError
from simulator import Fault, load

from ..conftest import Start, Watch, day

SCOPE = "/subscriptions/1/resourceGroups/g"
ID = f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments/A"
BODY = {
    "id": ID,
    "properties": {
        "principalId": "p",
        "principalType": "Group",
        "roleDefinitionId": "/subscriptions/1/providers/Microsoft.Authorization/roleDefinitions/R",
        "scope": SCOPE,
        "condition": "@a",
        "conditionVersion": "2.0",
    },
}


def entry(body: Any = BODY, **changes: Any) -> EventData:
    fields = {
        "operationName": {"value": "Microsoft.Authorization/roleAssignments/delete"},
        "status": {"value": "Succeeded"},
        "eventTimestamp": "2026-10-12T06:00:00.1234567Z",
        "caller": "ada@shop.example",
        "claims": {OBJECT_ID: "oid", UPN: "ada@shop.example", "appid": "app", "ipaddr": "203.0.113.7"},
        "properties": {"responseBody": json.dumps(body) if not isinstance(body, str) else body},
        "resourceId": ID,
    }
    return EventData.deserialize({**fields, **changes})


def test_a_deletion() -> None:
    found = deletion(entry())
    assert isinstance(found, Deletion)
    one = found.assignment
    assert (one.id, one.principal_id, one.principal_type, one.role_id) == (ID, "p", "Group", "r")
    assert (one.scope, one.condition, one.condition_version) == (SCOPE, "@a", "2.0")
    assert found.by == Caller(object_id="oid", upn="ada@shop.example", confirmed=True)
    assert found.at == datetime(2026, 10, 12, 6, 0, 0, 123456, tzinfo=UTC)


def upper(found: Any) -> Any:
    return {name.upper(): upper(value) if isinstance(value, dict) else value for name, value in found.items()}


def test_names_in_any_case() -> None:
    plain = deletion(entry())
    odd = entry(
        upper(BODY),
        operationName={"value": "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/DELETE"},
        status={"value": "succeeded"},
    )
    assert deletion(odd) == plain
    body = json.dumps(BODY)
    assert deletion(entry(properties={"RESPONSEBODY": body})) == plain


@pytest.mark.parametrize(
    "other",
    [
        entry(status={"value": "Started"}),
        entry(status={"value": "Failed"}),
        entry(status=None),
        entry(operationName={"value": "Microsoft.Authorization/roleAssignments/write"}),
        entry(operationName=None),
        entry(operationName={}),
        entry(properties=None),
        entry(properties={}),
        entry(""),
        entry("null"),
        entry("[]"),
        entry("{}"),
        entry("no json"),
        entry("[" * 100_000),
        entry('"text"'),
        entry({"id": ID}),
        entry({"id": ID, "properties": None}),
        entry({"id": ID, "properties": []}),
        entry({"properties": BODY["properties"]}),
        entry({**BODY, "id": ""}),
        entry({**BODY, "properties": {**BODY["properties"], "principalId": None}}),  # type: ignore[dict-item]
        entry({**BODY, "properties": {**BODY["properties"], "scope": 7}}),  # type: ignore[dict-item]
        entry({"id": ID, "properties": {"scope": SCOPE, "principalId": "p"}}),
        entry(eventTimestamp=None),
    ],
)
def test_no_deletion(other: EventData) -> None:
    assert deletion(other) is None


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        ({OBJECT_ID: "o", UPN: "a@b"}, "a@b", Caller(object_id="o", upn="a@b")),
        ({OBJECT_ID: "o", "appid": "app"}, "o", Caller(object_id="o", app_id="app")),
        ({"appid": "app"}, "o", Caller(object_id="o", app_id="app")),
        ({}, "a@b", Caller(upn="a@b")),
        ({}, "o", Caller(object_id="o")),
        ({}, "", Caller()),
        ({OBJECT_ID: 7, UPN: None, "appid": ["x"]}, "", Caller()),
        ({"ipaddr": "203.0.113.7", "name": "Ada"}, "", Caller()),
    ],
)
def test_the_caller_by_object_id_and_name_to_sign_in_and_no_more(
    claims: dict[str, Any], name: str, found: Caller
) -> None:
    assert caller(claims, name) == found


NOW = day("2026-10-12T06:00")


async def test_a_log_that_breaks_off_is_unread(start: Start) -> None:
    watch: Watch = start(load("retailer"), storage=False)
    watch.advance(NOW)
    watch.azure.now = NOW
    tenant = watch.azure.tenant
    name = tenant.subscription("Northwind Production").id
    gone = next(one for one in tenant.access if name in one.scope)
    for _ in range(120):
        watch.azure.actions.unassign(gone.id, "Tomas Berg")
        gone = watch.azure.actions.restore(gone, "Tomas Berg")
    watch.azure.now = NOW + timedelta(minutes=5)
    async with watch.clients(storage=False) as clients:
        found = await clients.activity.list_deletions(name, NOW - timedelta(minutes=1), watch.azure.now)
        assert len(found) == 120, "every page"
        assert {one.by.upn for one in found} == {"tomas.berg@northwind-retail.example"}
        for fault in ({"status": 503}, {"cut": True}, {"html": True}):
            watch.azure.clear()
            watch.azure.add(Fault(path="eventtypes", host="arm", page=2, **fault))  # type: ignore[arg-type]
            with pytest.raises(ReadError) as caught:
                await clients.activity.list_deletions(name, NOW - timedelta(minutes=1), watch.azure.now)
            assert (caught.value.unread.kind, caught.value.unread.scope) == (Deletion, f"/subscriptions/{name}")
