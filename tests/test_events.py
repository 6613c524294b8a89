"""Whatever is delivered, decode() understands it, drops it, or says what is wrong; stripped() keeps no more than it "
"needs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import OPERATIONS, Change, EventError, decode, stripped

from .builders import NOW, SUBSCRIPTION

GRANT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Authorization/roleAssignments/1"
OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
CLAIMS = {OID: "oid", UPN: "tomas@shop.example", "appid": "app", "ipaddr": "203.0.113.7", "name": "Tomas Berg"}


def data(**changes: Any) -> dict[str, Any]:
    fields = {
        "authorization": {
            "scope": GRANT,
            "action": Change.GRANT_DELETED.value,
            "evidence": {"role": "Owner", "principalId": "the caller's own"},
        },
        "claims": CLAIMS,
        "correlationId": "c",
        "httpRequest": {"clientIpAddress": "203.0.113.7", "method": "DELETE"},
        "operationName": Change.GRANT_DELETED.value,
        "resourceUri": GRANT,
        "status": "Succeeded",
        "subscriptionId": SUBSCRIPTION,
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def event(inner: Any = None, **changes: Any) -> dict[str, Any]:
    fields = {
        "id": "e1",
        "topic": f"/subscriptions/{SUBSCRIPTION}",
        "subject": GRANT,
        "eventType": "Microsoft.Resources.ResourceDeleteSuccess",
        "eventTime": NOW.isoformat().replace("+00:00", "Z"),
        "data": data() if inner is None else inner,
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def cloud(**changes: Any) -> dict[str, Any]:
    plain = event(**changes)
    names = {"eventType": "type", "eventTime": "time", "topic": "source"}
    return {**{names.get(name, name): value for name, value in plain.items()}, "specversion": "1.0"}


UNDERSTOOD = {
    "as Event Grid sends it": event(),
    "as a CloudEvent": cloud(),
    "data as a text": event(json.dumps(data())),
    "authorization and claims as texts": event(
        data(authorization=json.dumps(data()["authorization"]), claims=json.dumps(CLAIMS))
    ),
    "without resourceUri": event(data(resourceUri=...)),
    "without subject": event(subject=...),
    "without subject and resourceUri": event(data(resourceUri=...), subject=None),
    "without operationName": event(data(operationName=...)),
    "without evidence, httpRequest and correlationId": event(
        data(authorization={"scope": GRANT}, httpRequest=None, correlationId=...)
    ),
    "without eventType": event(eventType=...),
    "everything in upper case": event(
        data(resourceUri=GRANT.upper(), operationName=Change.GRANT_DELETED.value.upper())
    ),
    "in the library's own names": {"event_type" if n == "eventType" else n: v for n, v in event().items()},
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_understood(name: str) -> None:
    change = decode(UNDERSTOOD[name])
    assert change
    assert change.change is Change.GRANT_DELETED
    assert change.resource_id.lower() == GRANT.lower()
    assert change.subscription_id == SUBSCRIPTION
    assert change.by.upn == "tomas@shop.example"
    assert change.by.object_id == "oid"
    assert change.by.app_id == ""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_of_the_event_subscription_is_understood(operation: str) -> None:
    provider, kind, _ = operation.split("/")
    resource = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/x/providers/{provider}/{kind}/name"
    change = decode(event(data(operationName=operation, resourceUri=resource)))
    assert change
    assert change.change.value == operation


def test_a_caller_without_a_user_is_an_app() -> None:
    change = decode(event(data(claims={OID: "oid", "appid": "app"})))
    assert change
    assert (change.by.label, change.by.confirmed) == ("app app", False)


@pytest.mark.parametrize("claims", [None, "", "no json", [], 1, {}, {OID: None, UPN: 7}])
def test_a_caller_that_is_not_named_is_nobody(claims: Any) -> None:
    change = decode(event(data(claims=claims)))
    assert change
    assert change.by.label == ""


@pytest.mark.parametrize("time", [None, "", "soon", 7, "9999-99-99", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_is_left_to_the_clock(time: Any) -> None:
    change = decode(event(eventTime=time))
    assert change
    assert change.at is None


@pytest.mark.parametrize(
    "other",
    [
        event(eventType="Microsoft.Resources.ResourceDeleteFailure"),
        event(eventType="Microsoft.Resources.ResourceWriteCancel"),
        event(data(operationName="Microsoft.Compute/disks/delete")),
        event(data(operationName="Microsoft.Authorization/roleAssignments/deleted")),
    ],
)
def test_what_is_none_of_ours_is_dropped(other: dict[str, Any]) -> None:
    assert decode(other) is None


@pytest.mark.parametrize(
    ("riddle", "problem"),
    [
        ({}, "no data"),
        (event("{"), "no data"),
        (event([1]), "no data"),
        (event(data(operationName=..., authorization=...)), "names no operation"),
        (event(data(resourceUri=..., authorization=...), subject=...), "names no resource"),
        (event(data(resourceUri="/providers/Microsoft.Authorization/roleAssignments/1")), "lies in no subscription"),
        (event(data(resourceUri=f"/subscriptions/{SUBSCRIPTION}")), "not of the kind"),
    ],
)
def test_a_riddle_says_what_is_wrong(riddle: dict[str, Any], problem: str) -> None:
    with pytest.raises(EventError, match=problem):
        decode(riddle)


def test_a_megabyte_of_claims_and_everything_personal_are_left_behind() -> None:
    claims = CLAIMS | {f"claim{number}": "x" * 1000 for number in range(1000)} | {UPN: "u" * 100_000}
    kept = json.dumps(stripped(event(data(claims=claims))))
    assert len(kept) < 8_000
    assert "203.0.113.7" not in kept and "Tomas Berg" not in kept and "the caller's own" not in kept
    assert decode(json.loads(kept)) == decode(event(data(claims=claims)))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("id", "subject", "eventType", "eventTime", "data", "type", "time")
INNER = ("authorization", "claims", "operationName", "resourceUri", "status", "httpRequest", "subscriptionId")


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(NAMES), anything, max_size=7),
    st.dictionaries(st.sampled_from(INNER), anything, max_size=7),
    st.booleans(),
)
def test_nothing_but_an_event_error_leaves_decode(outer: dict[str, Any], inner: dict[str, Any], as_text: bool) -> None:
    odd = event(json.dumps(data(**inner)) if as_text else data(**inner)) | outer
    assert len(json.dumps(stripped(odd))) < 100_000
    try:
        decode(odd)
    except EventError as error:
        assert str(error)
