"""Events, their delivery, and the host that takes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
import pytest

from shared.events import OPERATIONS
from simulator import EventGrid, FunctionsHost, Simulator, parse
from simulator.eventgrid import SCHEDULE
from simulator.events import Schema, event
from simulator.operation import HANDLED

from .clients import Start
from .test_simulated_access import table
from .test_simulated_changes import granted

BOTH = pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
DELETE = "Microsoft.Authorization/roleAssignments/delete"
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


@pytest.fixture
def contoso(start: Start) -> Simulator:
    return start(parse(table()))


class Function:
    """The function under the host: keeps what it was given, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.fails = 0
        self.takes = 0.0

    async def __call__(self, event: Any) -> None:
        self.events.append(event)
        await asyncio.sleep(self.takes)
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a secret")


@pytest.fixture
async def function() -> Function:
    return Function()


@pytest.fixture
async def host(function: Function) -> AsyncIterator[FunctionsHost]:
    async with FunctionsHost(function) as running:
        yield running


def subscribed(azure: Simulator, host: FunctionsHost, **options: Any) -> EventGrid:
    return EventGrid(azure=azure, endpoint=host.url, code=host.code, **options)


# --- Events -----------------------------------------------------------------------------------------------------------


def test_an_event_names_the_caller_and_not_what_was_lost(contoso: Simulator) -> None:
    tenant, one = contoso.tenant, granted(contoso)
    contoso.actions.unassign(one.id, "Ann Lee")
    made = event(tenant.log[-1], tenant.id, "EventGridSchema")
    data = made["data"]
    assert made["eventType"] == "Microsoft.Resources.ResourceDeleteSuccess"
    assert made["subject"] == data["resourceUri"] == data["authorization"]["scope"]
    assert made["subject"].lower() == one.id.lower()
    (owner,) = tenant.access.of([tenant.users[0].id])
    evidence = data["authorization"]["evidence"]
    assert evidence["role"] == "Owner" and evidence["roleAssignmentId"] == owner.name.replace("-", "")
    assert all(isinstance(value, str) for value in data["claims"].values())
    assert data["httpRequest"]["method"] == "DELETE"
    for lost in (one.principal_id, one.role):
        assert lost not in json.dumps(made) and lost.replace("-", "") not in json.dumps(made)


def test_only_what_is_new_has_no_http_request(contoso: Simulator) -> None:
    tenant, one = contoso.tenant, granted(contoso)
    app = tenant.clusters[1].principal_id
    contoso.actions.restore(one, app)
    contoso.actions.restore(one, app, same_id=True)
    new, old = (event(operation, tenant.id, "CloudEventSchemaV1_0") for operation in tenant.log)
    assert "httpRequest" not in new["data"] and "httpRequest" in old["data"]
    # The app's own grant is elsewhere, and the log of a real tenant would not show why it was let.
    assert new["data"]["authorization"]["evidence"] == {"role": "Subscription Admin"}
    assert not any(name.endswith("upn") or name == "name" for name in new["data"]["claims"])


def test_ids_come_in_several_cases(contoso: Simulator) -> None:
    tenant, one = contoso.tenant, granted(contoso)
    for _ in range(20):
        contoso.actions.unassign(one.id, "Ann Lee")
    subjects = {event(operation, tenant.id, "EventGridSchema")["subject"] for operation in tenant.log}
    assert len(subjects) == 3 and len({subject.lower() for subject in subjects}) == 1


@pytest.mark.skipif(not SAMPLES.exists(), reason="the published samples are not here")
@pytest.mark.parametrize(
    ("schema", "name"), [("EventGridSchema", "eventgridschema"), ("CloudEventSchemaV1_0", "cloudevents")]
)
def test_events_have_the_members_of_the_published_samples(contoso: Simulator, schema: Schema, name: str) -> None:
    file = SAMPLES / f"eventgrid-resource-delete-success-{name}.docs-sample.json"
    (published,) = json.loads(file.read_text(encoding="utf-8"))
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    made = event(contoso.tenant.log[-1], contoso.tenant.id, schema)
    assert made.keys() == published.keys() and made["data"].keys() == published["data"].keys()
    assert made["data"]["httpRequest"].keys() == published["data"]["httpRequest"].keys()


def test_what_is_let_through_is_what_the_app_handles() -> None:
    assert set(OPERATIONS) == HANDLED


# --- Delivery ---------------------------------------------------------------------------------------------------------


@BOTH
async def test_an_event_arrives_as_the_library_decodes_it(
    contoso: Simulator, host: FunctionsHost, function: Function, schema: Schema
) -> None:
    grid, one = subscribed(contoso, host, schema=schema), granted(contoso)
    assert await grid.validate()
    contoso.actions.unassign(one.id, "Ann Lee")
    assert await grid.deliver() == []
    contoso.now += timedelta(seconds=1)
    assert [attempt.status for attempt in await grid.deliver()] == [202]
    (got,) = function.events
    assert isinstance(got, func.CloudEvent if schema == "CloudEventSchemaV1_0" else func.EventGridEvent)
    assert got.subject is not None and got.subject.lower() == one.id.lower()
    assert got.get_json()["operationName"] == DELETE
    assert await grid.deliver() == [] and grid.next_due is None


async def test_objects_may_come_as_texts(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    grid = subscribed(contoso, host, textual=True)
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    await grid.run(contoso.now + timedelta(minutes=1))
    data = function.events[0].get_json()
    assert json.loads(data["authorization"])["action"] == DELETE and json.loads(data["claims"])["ver"] == "1.0"
    assert isinstance(data["httpRequest"], str) and data["operationName"] == DELETE


async def test_what_raises_no_event(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    grid, tenant, actions = subscribed(contoso, host), contoso.tenant, contoso.actions
    (root,) = tenant.access.of([tenant.users[0].id])
    (inherited,) = [one for one in tenant.access if "managementGroups" in one.scope]
    actions.unassign(inherited.id, "Ann Lee")
    actions.delete_scope(tenant.registries[0].id, "Ann Lee")  # takes an assignment along
    actions.delete_principal(tenant.clusters[1].principal_id)
    actions.join("outer", tenant.clusters[1].principal_id)
    actions.unassign(root.id, "Ann Lee")
    await grid.run(contoso.now + timedelta(days=1))
    assert function.events == [] and len(tenant.log) == 3
    actions.delete_identity(tenant.identities[0], "Ann Lee")
    actions.delete_cluster(tenant.clusters[1], "Ann Lee")
    await grid.run(contoso.now + timedelta(days=1))
    assert [one.get_json()["operationName"].rpartition(".")[2] for one in function.events] == [
        "ManagedIdentity/userAssignedIdentities/delete",
        "ContainerService/managedClusters/delete",
    ]


async def test_only_wired_subscriptions(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    one, two = contoso.tenant.subscriptions
    grid = subscribed(contoso, host, subscriptions=[two.id.upper()])
    contoso.actions.begin_update(contoso.tenant.cluster("brought"), "Ann Lee")
    contoso.actions.begin_update(contoso.tenant.cluster("plain-cluster"), "Ann Lee")
    await grid.run(contoso.now + timedelta(minutes=1))
    assert [item.topic for item in function.events] == [f"/subscriptions/{two.id}"] and one.id != two.id


async def test_nothing_comes_from_before_the_subscription(
    contoso: Simulator, host: FunctionsHost, function: Function
) -> None:
    one = granted(contoso)
    contoso.actions.unassign(one.id, "Ann Lee")
    grid = subscribed(contoso, host)
    again = contoso.actions.restore(one, "Ann Lee")
    contoso.now += timedelta(days=2)  # time leaps: the first attempt is made however late it is
    assert [attempt.status for attempt in await grid.deliver()] == [202]
    assert [item.subject.lower() for item in function.events] == [again.id.lower()] and not grid.dead_letters


async def test_duplicates_and_disorder(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    grid, one = subscribed(contoso, host, duplicates=1, shuffle=3, parallel=1), granted(contoso)
    for _ in range(4):
        contoso.actions.unassign(one.id, "Ann Lee")
    await grid.run(contoso.now + timedelta(minutes=1))
    ids = [item.id for item in function.events]
    assert len(ids) == 8 and len(set(ids)) == 4
    order = list(dict.fromkeys(ids))
    assert order != [event(op, contoso.tenant.id, "EventGridSchema")["id"] for op in contoso.tenant.log]


async def test_a_failure_is_retried_by_the_schedule(
    contoso: Simulator, host: FunctionsHost, function: Function
) -> None:
    grid, begun = subscribed(contoso, host), contoso.now
    function.fails = 4
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    await grid.run(begun + timedelta(hours=1))
    assert [(one.at - begun).total_seconds() for one in grid.attempts] == [1, 11, 41, 101, 401]
    assert [one.status for one in grid.attempts] == [500, 500, 500, 500, 202]
    assert host.answers == [500, 500, 500, 500, 202] and len(host.failures) == 4
    assert contoso.now == begun + timedelta(hours=1) and not grid.dead_letters


async def test_an_event_dies_after_a_day(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    grid = subscribed(contoso, host)
    host.function = None  # function_app.py cannot be imported
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    await grid.run(contoso.now + timedelta(days=3))
    waits = [later.at - earlier.at for earlier, later in zip(grid.attempts, grid.attempts[1:], strict=False)]
    assert waits[:5] == [timedelta(minutes=5)] * 4 + [SCHEDULE[4]] and max(waits) == timedelta(hours=12)
    (letter,) = grid.dead_letters
    assert letter["deadLetterReason"] == "TimeToLiveExceeded" and letter["lastDeliveryOutcome"] == "NotFound"
    assert letter["deliveryAttempts"] == len(grid.attempts) and letter["lastHttpStatusCode"] == 404


async def test_an_event_dies_after_as_many_attempts_as_were_asked_for(
    contoso: Simulator, host: FunctionsHost, function: Function
) -> None:
    grid = subscribed(contoso, host, max_attempts=2)
    function.fails = 9
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    await grid.run(contoso.now + timedelta(days=1))
    (letter,) = grid.dead_letters
    assert (letter["deadLetterReason"], letter["deliveryAttempts"]) == ("MaxDeliveryAttemptsExceeded", 2)
    published = SAMPLES / "eventgrid-deadletter-eventgridschema.docs-sample.json"
    if published.exists():
        assert set(json.loads(published.read_text(encoding="utf-8"))) <= set(letter)


@BOTH
async def test_some_answers_end_an_event_at_once(contoso: Simulator, host: FunctionsHost, schema: Schema) -> None:
    grid = subscribed(contoso, host, schema=schema)
    grid.code = "wrong"
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    await grid.run(contoso.now + timedelta(days=1))
    (letter,) = grid.dead_letters
    reason = "deadletterreason" if schema == "CloudEventSchemaV1_0" else "deadLetterReason"
    assert letter[reason] == "UndeliverableDueToHttpUnauthorized" and letter["id"]
    assert [one.status for one in grid.attempts] == [401] and not grid.pending


async def test_a_late_answer_is_none(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    grid = subscribed(contoso, host, patience=0.1)
    function.takes = 0.5
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    contoso.now += timedelta(seconds=1)
    assert [one.status for one in await grid.deliver()] == [408]
    assert grid.next_due == contoso.now + timedelta(minutes=2)


async def test_nobody_listens(contoso: Simulator) -> None:
    grid = EventGrid(azure=contoso, endpoint="http://127.0.0.1:9", code="x")
    contoso.actions.unassign(granted(contoso).id, "Ann Lee")
    contoso.now += timedelta(seconds=1)
    assert [one.status for one in await grid.deliver()] == [0]
    assert grid.next_due == contoso.now + timedelta(seconds=10)


async def test_five_hundred_at_once(contoso: Simulator, host: FunctionsHost, function: Function) -> None:
    grid, one = subscribed(contoso, host), granted(contoso)
    for _ in range(500):
        contoso.actions.unassign(one.id, "Ann Lee")
    await grid.run(contoso.now + timedelta(seconds=5))
    assert len({item.id for item in function.events}) == 500
    assert {item.status for item in grid.attempts} == {202}


# --- The host ---------------------------------------------------------------------------------------------------------

NOTIFY = {"aeg-event-type": "Notification"}
BARE = {"id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-11-01T06:00:00Z", "dataVersion": "2"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "runs"),
    [
        ([{**BARE, "data": {}}], NOTIFY, 202, 1),
        ({**BARE, "data": {}}, NOTIFY, 202, 1),
        ([{**BARE, "data": "text"}], NOTIFY, 202, 1),
        ([{**BARE, "data": None}], NOTIFY, 202, 1),
        ([{"id": "1"}], NOTIFY, 202, 1),
        ([{**BARE, "data": {}}] * 3, NOTIFY, 202, 3),
        ([], NOTIFY, 202, 0),
        ([{**BARE, "data": {"claims": "x" * 1024 * 1024}}], NOTIFY, 202, 1),
        (b"{", NOTIFY, 500, 0),
        ([{**BARE, "data": {}}], {}, 400, 0),
        ([{**BARE, "data": {}}], {"aeg-event-type": "Other"}, 400, 0),
        ([{**BARE, "data": {"validationCode": "c"}}], {"aeg-event-type": "SubscriptionValidation"}, 200, 0),
    ],
)
async def test_the_host_answers_as_the_real_one(
    host: FunctionsHost, function: Function, body: Any, headers: dict[str, str], status: int, runs: int
) -> None:
    url = f"{host.url}/runtime/webhooks/eventgrid?functionName=on_role_change&code={host.code}"
    async with httpx.AsyncClient() as client:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await client.post(url, content=content, headers=headers)
    assert (answer.status_code, len(function.events)) == (status, runs)


async def test_one_failure_fails_a_batch_and_tells_nothing(host: FunctionsHost, function: Function) -> None:
    function.fails = 1
    url = f"{host.url}/runtime/webhooks/eventgrid?functionName=on_role_change&code={host.code}"
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, json=[{**BARE, "data": {}}] * 3, headers=NOTIFY)
        assert answer.status_code == 500 and len(function.events) == 3
        assert "on_role_change" in answer.text and "secret" not in answer.text
        for wrong, status in ((url + "x", 401), (url.replace("on_role", "of_role"), 404)):
            assert (await client.post(wrong, json=[BARE], headers=NOTIFY)).status_code == status
        answer = await client.options(url, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
        assert answer.headers["webhook-allowed-origin"] == "eventgrid.azure.net"
