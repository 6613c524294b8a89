"""Whatever is delivered, decode() understands it, drops it, or says what is wrong; stripped() keeps no more than it "
"needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import OPERATIONS, Change, EventError, decode, received, stripped

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


FIELDS = ("id", "topic", "subject", "eventType", "eventTime", "data")
DATA = (
    "authorization",
    "claims",
    "correlationId",
    "httpRequest",
    "operationName",
    "resourceUri",
    "status",
    "subscriptionId",
)
ODD: dict[str, Any] = {
    "missing": ...,
    "null": None,
    "empty": "",
    "a number": 7,
    "true": True,
    "a list": ["x"],
    "an object": {"x": "y"},
    "a text": "some text",
    "json in a text": '{"x": "y"}',
    "a broken text": '{"x": ',
    "deep": "[" * 100_000,
}
every_odd = pytest.mark.parametrize("odd", ODD)
NEEDED = {"data"}
"""What an event cannot be understood without; for everything else there is another source, or nobody needs it."""


@every_odd
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("schema", [event, cloud])
def test_one_field_of_the_envelope_that_is_odd(schema: Any, name: str, odd: str) -> None:
    made = schema(**{name: ODD[odd]})
    assert len(json.dumps(stripped(made))) < 32_000
    if name in NEEDED:
        with pytest.raises(EventError):
            decode(made)
    elif (name, odd) in {("eventType", "a text"), ("eventType", "json in a text"), ("eventType", "a broken text")} | {
        ("eventType", "deep")
    }:
        assert decode(made) is None, "no success"
    else:
        change = decode(made)
        assert change
        assert (change.resource_id, change.by.upn) == (GRANT, "tomas@shop.example")


@every_odd
@pytest.mark.parametrize("name", DATA)
def test_one_field_of_the_data_that_is_odd(name: str, odd: str) -> None:
    made = event(data(**{name: ODD[odd]}))
    wrong_text = isinstance(ODD[odd], str) and ODD[odd] != ""
    if name == "resourceUri" and wrong_text:
        with pytest.raises(EventError, match="lies in no subscription"):
            decode(made)
        return
    change = decode(made)
    if name == "operationName" and wrong_text:
        assert change is None
        return
    assert change
    assert change.resource_id == GRANT
    assert change.by.upn == ("" if name == "claims" else "tomas@shop.example")


PRIVATE = ("203.0.113.7", "Tomas Berg", "the caller's own", "secret-token", "Home Street 1")


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("schema", [event, cloud])
def test_of_a_person_nothing_is_kept_but_two_ids_and_a_name_to_sign_in(schema: Any, as_text: bool) -> None:
    claims = CLAIMS | {"xms_tok": "secret-token", "address": {"street": "Home Street 1"}, f"{UPN}2": "Tomas Berg"}
    inner = data(claims=json.dumps(claims) if as_text else claims, properties={"who": "Tomas Berg"})
    kept = stripped(schema(data=json.dumps(inner) if as_text else inner, who="Tomas Berg"))
    text = json.dumps(kept)
    assert not [one for one in PRIVATE if one in text]
    assert kept["data"]["claims"] == {OID: "oid", UPN: "tomas@shop.example", "appid": "app"}
    assert stripped(kept) == kept, "what was stripped once is as it is"


@settings(max_examples=300)
@given(
    st.dictionaries(st.text(max_size=10), st.text(min_size=1, max_size=20).map(lambda text: f"private {text}")),
    st.dictionaries(st.sampled_from([OID, UPN, "appid"]), st.none() | st.integers() | st.text(max_size=5000)),
    st.integers(0, 3),
)
def test_no_claim_but_three_leaves_stripped(others: dict[str, str], own: dict[str, Any], level: int) -> None:
    claims = {**{name: one for name, one in others.items() if name not in (OID, UPN, "appid")}, **own}
    made = event(data(claims=claims))
    (made, made["data"], made["data"]["authorization"], made["data"]["httpRequest"])[level].update(
        {f"x{name}": one for name, one in others.items()}
    )
    kept = stripped(made)
    text = json.dumps(kept, ensure_ascii=False)
    assert "private " not in text
    assert kept["data"]["claims"].keys() <= {OID, UPN, "appid"}
    assert all(len(one) <= 2000 for one in kept["data"]["claims"].values())


@given(st.text('x\\"\n', min_size=100, max_size=900).map(lambda text: text * 100))
@settings(max_examples=10, deadline=None)
def test_no_field_is_kept_at_more_than_its_length(long: str) -> None:
    made = event(dict.fromkeys(DATA, long) | {"claims": dict.fromkeys(CLAIMS, long)}, id=long, subject=long)
    kept = stripped(made)

    def texts(found: Any) -> list[str]:
        return [one for each in found.values() for one in texts(each)] if isinstance(found, dict) else [found]

    assert sum(map(len, texts(kept))) <= 32_000
    assert max(map(len, texts(kept))) == 2_000


def test_the_library_s_two_kinds_of_event_by_our_names() -> None:
    grid = func.EventGridEvent(
        id="e1",
        data=data(),
        topic="t",
        subject=GRANT,
        event_type="Microsoft.Resources.ResourceDeleteSuccess",
        event_time=datetime(2026, 11, 23, 6, tzinfo=UTC),
        data_version="2",
    )
    change = decode(received(grid))
    assert change
    assert (change.change, change.resource_id, change.at) == (Change.GRANT_DELETED, GRANT, NOW)
    inner = SimpleNamespace(id="e1", type="x.Success", time=None, subject=GRANT, get_json=lambda: json.dumps(data()))
    again = decode(received(inner))
    assert again
    assert (again.change, again.at) == (Change.GRANT_DELETED, None)


@pytest.mark.parametrize(
    ("late", "known"),
    [
        pytest.param(timedelta(seconds=2), NOW, id="at once"),
        pytest.param(timedelta(days=1), NOW, id="as late as Event Grid delivers"),
        pytest.param(timedelta(days=4), None, id="later than anything does"),
        pytest.param(timedelta(seconds=-5), NOW - timedelta(seconds=5), id="by a clock that is behind"),
        pytest.param(timedelta(days=-4), None, id="of a far future"),
    ],
)
def test_a_time_far_from_the_arrival_is_not_known_and_none_is_later(late: timedelta, known: datetime | None) -> None:
    change = decode(event())
    assert change
    assert change.received(NOW + late).at == known
    for moment in (datetime.min, datetime.max):
        assert change.received(moment.replace(tzinfo=UTC)).at is None
