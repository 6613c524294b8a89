"""Microsoft Graph behind real sockets: what is there is read, what is not is Unread with its reason."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shared.access import Membership
from shared.clients.entra import Listing
from shared.clients.http import Patience
from shared.model import Application, Unread
from simulator import Fault, Simulator, generate, load

from ..conftest import Start, Watch, day

BRIEF = Patience(attempts=2, connect=1, read=0.5, backoff=0.01, longest_wait=0.9, total=1.5)
LISTING = r"/v1\.0/applications\?"
PAGE = 999


@pytest.fixture
def big(start: Start) -> Watch:
    """A tenant of three pages of applications."""
    watch = start(generate(applications=2 * PAGE + 2), storage=False)
    watch.patience = BRIEF
    return watch


async def applications(watch: Watch) -> Listing[Application]:
    async with watch.clients(storage=False) as clients:
        return await clients.entra.list_applications(lambda one: True)


def answer(watch: Watch, *items: Any, link: Any = None) -> None:
    """Let /applications answer these items."""
    body = {"value": list(items)} | ({"@odata.nextLink": link} if link is not None else {})
    watch.azure.add(Fault(path=LISTING, body=json.dumps(body).encode()))


def item(number: int, **members: Any) -> dict[str, Any]:
    return {"id": f"{number:08d}-0000-4000-8000-000000000000", "appId": f"{number:08d}-1111-4000-8000-0", **members}


def targets(azure: Simulator, host: str = "graph") -> list[str]:
    return [one.target for one in azure.requests if one.host == host]


# --- Paging -----------------------------------------------------------------------------------------------------------


async def test_every_page_is_read(big: Watch) -> None:
    counts: list[int] = []
    async with big.clients(storage=False) as clients:
        found = await clients.entra.list_applications(lambda one: True, counts.append)
    assert counts == [PAGE, 2 * PAGE, 2 * PAGE + 2]
    assert found.count == len({one.object_id for one in found.kept}) == 2 * PAGE + 2
    assert not found.unread


async def test_only_what_is_wanted_is_kept(big: Watch) -> None:
    async with big.clients(storage=False) as clients:
        found = await clients.entra.list_applications(lambda one: False)
    assert (found.count, found.kept) == (2 * PAGE + 2, [])


async def test_a_credential_on_object_101_on_1000_and_on_20000_is_found(start: Start) -> None:
    places = (101, 1000, 20_000)
    watch = start(generate(applications=20_000, expiring=places), storage=False)
    report = await watch.scan(watch.azure.now, storage=False)
    wanted = {one.id for number, one in enumerate(watch.azure.tenant.applications, 1) if number in places}
    assert {one.facts["object_id"] for one in report.findings} == wanted
    # Every seventh generated application has no owner: the last of these is one.
    assert {one.rule for one in report.findings} == {"entra_credential_expiry", "entra_application_without_owner"}
    assert len(report.findings) == len(places) + 1
    assert report.snapshot.counts["applications"] == 20_000


# --- Faults that pass while they are retried --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 429, "retry_after": 1}, id="throttled, with seconds to wait"),
        pytest.param({"status": 429, "retry_after": 1.5, "retry_after_date": True}, id="throttled, with a date"),
        pytest.param({"status": 429}, id="throttled, without saying how long"),
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 502}, id="502"),
        pytest.param({"status": 503, "html": True}, id="503 with an HTML page"),
        pytest.param({"status": 504}, id="504"),
        pytest.param({"reset": "before"}, id="reset before the answer"),
        pytest.param({"reset": "during"}, id="reset during the answer"),
        pytest.param({"reset": "after"}, id="reset after the request was processed"),
        pytest.param({"cut": True}, id="half a body"),
        pytest.param({"slow": 0.5}, id="a body that trickles"),
        pytest.param({"hang": True}, id="no answer at all"),
    ],
)
async def test_a_fault_that_passes_costs_nothing(big: Watch, fault: dict[str, Any]) -> None:
    big.patience = Patience(attempts=2, connect=1, read=1, backoff=0.01, longest_wait=0.9, total=10)
    big.azure.add(Fault(path=LISTING, page=2, times=1, **fault))
    found = await applications(big)
    assert found.count == len({one.object_id for one in found.kept}) == 2 * PAGE + 2
    assert not found.unread


@pytest.mark.parametrize("date", [False, True])
async def test_retry_after_is_honoured(big: Watch, date: bool) -> None:
    big.patience = Patience(attempts=2, connect=1, read=1, backoff=0.01, longest_wait=0.9, total=10)
    big.azure.add(Fault(path=LISTING, page=2, times=1, status=429, retry_after=2, retry_after_date=date))
    assert not (await applications(big)).unread
    refused, again, _ = (one.time for one in big.azure.requests if "skiptoken" in one.target)
    # A date has no fractions of a second.
    assert again - refused >= (0.9 if date else 1.9)


# --- Faults that stay -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason", "passing"),
    [
        pytest.param({"status": 429}, "HTTP 429 TooManyRequests", True, id="throttled for good"),
        pytest.param({"status": 429, "retry_after": 100}, "no complete answer within 1.5 s", True, id="a long wait"),
        pytest.param({"status": 500}, "HTTP 500 InternalServerError", True, id="500"),
        pytest.param({"status": 503}, "HTTP 503 serviceNotAvailable", True, id="503"),
        pytest.param({"status": 404}, "HTTP 404", False, id="404"),
        pytest.param({"reset": "before"}, "connection fault with 127.0.0.1: ", True, id="reset before the answer"),
        pytest.param({"reset": "during"}, "connection fault with 127.0.0.1: ", True, id="reset during the answer"),
        pytest.param(
            {"reset": "after"}, "connection fault with 127.0.0.1: ", True, id="reset after the request was processed"
        ),
        pytest.param({"cut": True}, "connection fault with 127.0.0.1: RemoteProtocolError", True, id="half a body"),
        pytest.param({"hang": True}, "connection fault with 127.0.0.1: no answer in time", True, id="no answer at all"),
        pytest.param({"slow": 6}, "no complete answer within 1.5 seconds", True, id="a body that trickles for ever"),
        pytest.param({"html": True}, "an answer 200 that is no listing", True, id="an HTML page with 200"),
        pytest.param({"body": b"{}"}, "an answer 200 that is no listing", True, id="an empty object"),
        pytest.param({"body": b"[]"}, "an answer 200 that is no listing", True, id="a list"),
        pytest.param({"body": b""}, "an answer 200 that is no listing", True, id="no body"),
        pytest.param({"body": b'{"value": null}'}, "an answer 200 that is no listing", True, id="a null listing"),
        pytest.param({"body": b"\xff\xfe{"}, "an answer 200 that is no listing", True, id="bytes that are no text"),
        pytest.param({"body": b'{"value":' + b"[" * 100_000}, "an answer 200 that is no", True, id="nested deeply"),
        pytest.param({"status": 403}, "HTTP 403 Authorization_RequestDenied", False, id="refused"),
        pytest.param({"status": 401}, "HTTP 401 InvalidAuthenticationToken", False, id="a refused token"),
        pytest.param({"redirect": "{origin}"}, "HTTP 302: a redirect, not followed", False, id="a redirect home"),
        pytest.param({"status": 204}, "HTTP 204", False, id="no content"),
    ],
)
async def test_what_is_read_is_kept_and_what_is_missing_is_said(
    big: Watch, fault: dict[str, Any], reason: str, passing: bool
) -> None:
    if fault.get("redirect"):
        fault = {"redirect": big.azure.origins["graph"]}
    big.azure.add(Fault(path=LISTING, page=2, **fault))
    found = await applications(big)
    assert found.count == len(found.kept) == PAGE
    (unread,) = found.unread
    assert unread.reason.startswith(reason)
    assert unread.passing is passing
    assert (unread.kind, unread.scope) == (Application, "/")
    assert ("Application.Read.All" in unread.permission) == (fault.get("status") == 403)


async def test_a_scan_goes_on_without_graph_and_names_the_permission(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.tenant.permissions.clear()
    report = await watch.scan(day("2026-09-13T06:00"), storage=False)
    assert all("Application.Read.All" in one.permission for one in report.snapshot.unread)
    assert {one.rule for one in report.findings} == {"aks_service_principal_cluster", "scan_scope_unreadable"}


async def test_a_dead_graph_costs_one_more_request_a_listing_however_many_clusters_there_are(start: Start) -> None:
    watch = start(generate(applications=30, clusters=12, on_service_principals=12), storage=False)
    watch.azure.add(Fault(path="/v1.0/", host="graph", status=403))
    report = await watch.scan(watch.azure.now, storage=False)
    paths = Counter(one.partition("?")[0].partition("(")[0] for one in targets(watch.azure))
    # The third is the count of those that trust anything.
    assert (paths["/v1.0/applications"], paths["/v1.0/servicePrincipals"]) == (3, 2)
    assert {one.rule for one in report.findings} == {"aks_service_principal_cluster", "scan_scope_unreadable"}


@pytest.mark.parametrize("status", [400, 500])
async def test_a_token_that_nobody_gives_is_said_in_one_line(big: Watch, status: int) -> None:
    big.azure.add(Fault(path="/msi/token", host="identity", status=status))
    found = await applications(big)
    assert found.kept == []
    (unread,) = found.unread
    assert unread.reason.startswith("no token: " if status == 400 else "no complete answer within")
    assert "\n" not in unread.reason
    assert unread.passing is (status == 500)
    assert targets(big.azure) == []


# --- Links that lead elsewhere ----------------------------------------------------------------------------------------


@pytest.fixture
def stranger(start: Start) -> Simulator:
    """Another origin, where no request of ours may arrive."""
    return start(load("hostile"), storage=False).azure


async def test_a_next_link_to_another_origin_is_not_followed(stranger: Simulator, big: Watch) -> None:
    big.azure.add(Fault(path=LISTING, next_link=stranger.origins["graph"]))
    found = await applications(big)
    assert found.count == PAGE
    assert [one.reason for one in found.unread] == ["a nextLink to another origin, not followed"]
    assert stranger.requests == []


async def test_a_redirect_to_another_origin_is_not_followed(stranger: Simulator, big: Watch) -> None:
    big.azure.add(Fault(path=LISTING, page=2, redirect=stranger.origins["graph"]))
    found = await applications(big)
    assert found.count == PAGE
    assert [one.reason for one in found.unread] == ["HTTP 302: a redirect, not followed"]
    assert stranger.requests == []


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/applications",
        "https://[/v1.0/applications",
        "https://{here}@evil.example/v1.0/applications",
        "https://{here}\\@evil.example/v1.0/applications",
        "http://{here}/v1.0/applications",
        "//evil.example/v1.0/applications",
        "/v1.0/applications?$skiptoken=x",
        "https://127.0.0.1:99999/v1.0/applications",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
async def test_a_link_that_is_no_address_of_the_endpoint_goes_nowhere(big: Watch, link: str) -> None:
    answer(big, item(1), link=link.format(here=big.azure.origins["graph"].removeprefix("https://")))
    found = await applications(big)
    assert found.count == 1
    assert [one.reason for one in found.unread] == ["a nextLink to another origin, not followed"]
    assert len(targets(big.azure)) == 1


@pytest.mark.parametrize("rest", ["/v1.0/applications?\x00", "/v1.0/\n", "/v1.0/" + "x" * 70_000, "/v1.0/{id}?{a}"])
async def test_a_link_that_cannot_be_asked_for_is_unread(big: Watch, rest: str) -> None:
    answer(big, item(1), link=big.azure.origins["graph"] + rest)
    found = await applications(big)
    assert found.count == 1
    assert len(found.unread) == 1


async def test_a_next_link_that_leads_back_ends(big: Watch) -> None:
    link = f"{big.azure.origins['graph']}/v1.0/applications?$skiptoken=again"
    answer(big, item(1), link=link)
    found = await applications(big)
    assert [one.reason for one in found.unread] == ["a nextLink that leads back"]
    assert len(targets(big.azure)) == 2


# --- Single objects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(None, id="null"),
        pytest.param(5, id="a number"),
        pytest.param({"appId": "x"}, id="no id"),
        pytest.param({"id": 7}, id="a number as id"),
        pytest.param(item(2, passwordCredentials="none"), id="credentials that are a text"),
        pytest.param(item(2, passwordCredentials=[None]), id="a credential that is null"),
        pytest.param(item(2, keyCredentials=[{"endDateTime": 1}]), id="a date that is a number"),
        pytest.param(item(2, passwordCredentials=[{"endDateTime": "soon"}]), id="a date that is none"),
        pytest.param(item(2, passwordCredentials=[{"endDateTime": "9999-12-31T23:00:00-05:00"}]), id="year 10000"),
        pytest.param(item(2, passwordCredentials=[{"endDateTime": "0001-01-01T00:00:00+05:00"}]), id="year 0"),
    ],
)
async def test_one_malformed_object_costs_no_other(big: Watch, broken: Any) -> None:
    answer(big, item(1), broken, item(3))
    found = await applications(big)
    assert [one.object_id[:8] for one in found.kept] == ["00000001", "00000003"]
    assert found.count == 3
    (unread,) = found.unread
    assert unread.reason.startswith("an object of an unexpected shape")
    assert not unread.passing


async def test_a_listing_of_malformed_objects_is_said_once(big: Watch) -> None:
    answer(big, *({"id": 7} for _ in range(500)), *(item(n, keyCredentials=[{"endDateTime": "x"}]) for n in range(500)))
    found = await applications(big)
    assert found.count == 1000
    (unread,) = found.unread
    assert unread.reason.startswith("1,000 objects of an unexpected shape, the first: ")


async def test_the_app_of_a_cluster_that_is_malformed_does_not_stop_the_scan(start: Start) -> None:
    watch = start(generate(applications=2, clusters=1, on_service_principals=1), storage=False)
    body = json.dumps(item(1, passwordCredentials=[{"endDateTime": "soon"}])).encode()
    watch.azure.add(Fault(path=r"/applications\(appId=", host="graph", body=body))
    watch.azure.add(Fault(path=LISTING, body=b'{"value": []}'))
    report = await watch.scan(watch.azure.now, storage=False)
    assert "an object of an unexpected shape" in str([one.reason for one in report.snapshot.unread])
    assert "aks_service_principal_missing" not in {one.rule for one in report.findings}


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-11-20T14:55:22.3447654Z", "2026-11-20T14:55:22.344765+00:00"),
        ("2026-11-20T14:55:22Z", "2026-11-20T14:55:22+00:00"),
        ("2026-11-20T14:55:22.344Z", "2026-11-20T14:55:22.344000+00:00"),
        ("2026-11-20T16:55:22+02:00", "2026-11-20T14:55:22+00:00"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
    ],
)
async def test_dates_as_graph_writes_them(start: Start, text: str, end: str) -> None:
    watch = start(generate(applications=1), storage=False)
    keys = [{"keyId": "k", "endDateTime": text, "startDateTime": text, "displayName": "x"}]
    answer(watch, item(1, passwordCredentials=keys, keyCredentials=keys))
    found = await applications(watch)
    assert [one.end.isoformat() for one in found.kept[0].credentials if one.end] == [end, end]
    assert not (await watch.scan(day("2026-11-19"), storage=False)).snapshot.unread


async def test_a_credential_without_an_end_has_none(big: Watch) -> None:
    answer(big, item(1, passwordCredentials=[{"keyId": None, "endDateTime": None}], keyCredentials=None))
    (one,) = (await applications(big)).kept
    assert [(credential.end, credential.key_id) for credential in one.credentials] == [(None, "")]


# --- Owners, 20 a request ---------------------------------------------------------------------------------------------


@pytest.fixture
def owned(start: Start) -> Watch:
    """Thirty applications, each with an owner."""
    watch = start(generate(applications=30), storage=False)
    watch.patience = BRIEF
    for number, one in enumerate(list(watch.azure.tenant.applications)):
        found = watch.azure.tenant.applications.find(one.id)
        assert found
        found.owners = [watch.azure.tenant.users[number % 20].id]
    return watch


def paths(watch: Watch) -> list[str]:
    return [f"/applications/{one.id}" for one in watch.azure.tenant.applications]


async def owners(watch: Watch, wanted: list[str]) -> tuple[dict[str, list[str]], list[Unread]]:
    async with watch.clients(storage=False) as clients:
        found, unread = await clients.entra.list_owners(wanted)
    return {path: [owner.name for owner in many] for path, many in found.items()}, unread


async def test_owners_come_twenty_a_request(owned: Watch) -> None:
    found, unread = await owners(owned, paths(owned))
    assert not unread
    assert found == {path: [f"Person {number % 20}"] for number, path in enumerate(paths(owned))}
    assert targets(owned.azure) == ["/v1.0/$batch"] * 2


async def test_an_object_that_is_gone_has_no_owners(owned: Watch) -> None:
    gone = "/servicePrincipals/00000000-0000-4000-8000-000000000000"
    found, unread = await owners(owned, [gone, paths(owned)[0]])
    assert (found, unread) == ({gone: [], paths(owned)[0]: ["Person 0"]}, [])


@pytest.mark.parametrize("status", [429, 503])
async def test_a_part_that_is_throttled_is_asked_for_again_by_itself(owned: Watch, status: int) -> None:
    first = paths(owned)[0]
    owned.azure.add(Fault(path=f"{first}/owners", host="graph", status=status, retry_after=0.5, times=1))
    found, unread = await owners(owned, paths(owned)[:3])
    assert not unread
    assert [found[path] for path in paths(owned)[:3]] == [["Person 0"], ["Person 1"], ["Person 2"]]
    one, two = (request.time for request in owned.azure.requests if "$batch" in request.target)
    assert two - one >= 0.01


@pytest.mark.parametrize("date", [False, True])
async def test_a_part_says_how_long_to_wait(owned: Watch, date: bool) -> None:
    owned.patience = Patience(attempts=2, connect=1, read=1, backoff=0.01, longest_wait=5, total=10)
    fault = Fault(path="/owners", host="graph", status=429, retry_after=2, retry_after_date=date, times=1)
    owned.azure.add(fault)
    assert not (await owners(owned, paths(owned)[:2]))[1]
    one, two = (request.time for request in owned.azure.requests if "$batch" in request.target)
    assert two - one >= (0.9 if date else 1.9)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param({"status": 429}, "HTTP 429 TooManyRequests", id="throttled for good"),
        pytest.param({"status": 403}, "HTTP 403 Authorization_RequestDenied", id="refused"),
        pytest.param({"status": 500}, "HTTP 500 InternalServerError", id="500"),
        pytest.param({"body": b"{}"}, "an answer 200 that is no listing", id="no listing"),
        pytest.param({"body": b"[]"}, "an answer 200 that is no listing", id="a list"),
    ],
)
async def test_one_part_that_fails_costs_no_other(owned: Watch, fault: dict[str, Any], reason: str) -> None:
    wanted = paths(owned)
    owned.azure.add(Fault(path=f"{wanted[1]}/owners", host="graph", **fault))
    found, unread = await owners(owned, wanted)
    assert found.keys() == set(wanted) - {wanted[1]}
    assert [one.reason for one in unread] == [reason]
    assert ("Application.Read.All" in unread[0].permission) == (fault.get("status") == 403)


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"nothing", b'{"responses": []}', b'{"responses": {}}', b'{"responses": [{"id": "0"}]}', b"null"]
    + [b'{"responses": [{"id": "0", "status": Infinity}]}'],
)
async def test_a_batch_that_is_none_is_unread(owned: Watch, body: bytes) -> None:
    owned.azure.add(Fault(path=r"\$batch", body=body, times=1))
    found, unread = await owners(owned, paths(owned))
    assert found.keys() == set(paths(owned)[20:])
    assert [one.reason for one in unread] == ["a $batch answer that is no batch"]


async def test_a_part_whose_headers_are_none_is_asked_for_again(owned: Watch) -> None:
    body = b'{"responses": [{"id": "0", "status": 429, "headers": ["Retry-After"], "body": null}]}'
    owned.azure.add(Fault(path=r"\$batch", body=body, times=1))
    assert await owners(owned, paths(owned)[:1]) == ({paths(owned)[0]: ["Person 0"]}, [])


async def test_owners_that_are_not_objects_are_left_out(owned: Watch) -> None:
    body = b'{"value": [null, {"id": null}, {"id": "a", "displayName": null}, {"id": "b", "displayName": "B"}]}'
    owned.azure.add(Fault(path=f"{paths(owned)[0]}/owners", body=body))
    found, unread = await owners(owned, paths(owned)[:1])
    assert (found, unread) == ({paths(owned)[0]: ["", "B"]}, [])


async def test_owners_that_cannot_be_read_keep_the_findings(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path=r"\$batch", status=403))
    now = day("2026-09-13T06:00")
    watch.advance(now)
    report = await watch.scan(now, storage=False)
    assert "aks_service_principal_expiry" in {one.rule for one in report.findings}
    assert "scan_scope_unreadable" in {one.rule for one in report.findings}


# --- The recycle bin --------------------------------------------------------------------------------------------------


async def test_deleted_applications_are_found_on_any_page(start: Start) -> None:
    tenant = generate(applications=2200)
    for one in list(tenant.applications)[:1100]:
        tenant.delete(one, tenant.starts - timedelta(days=3))
    watch = start(tenant, storage=False)
    async with watch.clients(storage=False) as clients:
        found = await clients.entra.list_deleted(lambda one: True)
    assert found.count == len({one.app_id for one in found.kept}) == 1100
    assert {one.deleted for one in found.kept} == {tenant.starts - timedelta(days=3)}
    assert not found.unread


async def test_a_recycle_bin_that_cannot_be_read_makes_nothing_missing(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    tenant = watch.azure.tenant
    tenant.delete(tenant.application("aks-shop-prod"), tenant.starts)
    watch.azure.add(Fault(path="deletedItems", status=403))
    report = await watch.scan(tenant.starts, storage=False)
    assert {one.permission for one in report.snapshot.unread} != {""}
    assert "scan_scope_unreadable" in {one.rule for one in report.findings}


# --- Groups, 20 a request ---------------------------------------------------------------------------------------------


async def memberships(
    watch: Watch, wanted: list[str]
) -> tuple[dict[str, tuple[str, ...]], frozenset[str], list[Unread]]:
    async with watch.clients(storage=False) as clients:
        found, gone, unread = await clients.entra.list_memberships(wanted)
    return {one.principal_id: one.groups for one in found}, gone, unread


@pytest.fixture
def grouped(start: Start) -> Watch:
    """Thirty service principals."""
    watch = start(generate(applications=30, service_principals=30), storage=False)
    watch.patience = BRIEF
    return watch


def principals(watch: Watch) -> list[str]:
    return [one.id for one in watch.azure.tenant.service_principals][:30]


async def test_groups_come_twenty_a_request_and_who_is_in_none_is_known_to_be(grouped: Watch) -> None:
    wanted = principals(grouped)
    found, gone, unread = await memberships(grouped, wanted)
    assert (found, gone, unread) == (dict.fromkeys(wanted, ()), frozenset(), [])
    assert targets(grouped.azure) == ["/v1.0/$batch"] * 2


async def test_every_page_of_the_groups_and_nothing_but_groups(grouped: Watch) -> None:
    (one, *_) = principals(grouped)
    first = {
        "value": [{"@odata.type": "#microsoft.graph.group", "id": f"g{n}"} for n in range(2)]
        + [{"@odata.type": "#microsoft.graph.directoryRole", "id": "role"}],
        "@odata.nextLink": "https://graph.microsoft.com/v1.0/next",
    }
    last = {"value": [{"id": "g2"}, {"@odata.type": "#microsoft.graph.administrativeUnit", "id": "unit"}]}
    path = f"/v1.0/servicePrincipals/{one}/transitiveMemberOf"
    grouped.azure.record(path, *(json.dumps(page).encode() for page in (first, last)), rewrite=True)
    found, _, unread = await memberships(grouped, [one])
    assert (found, unread) == ({one: ("g0", "g1", "g2")}, [])


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize(
    "body", [b'{"value": [null]}', b'{"value": [{"id": null}]}', b'{"value": ["g"]}', b"{}", b'{"value": 7}']
)
async def test_groups_that_are_not_all_there_are_unread(grouped: Watch, page: int, body: bytes) -> None:
    one, other, *_ = principals(grouped)
    whole = b'{"value": [{"id": "g"}], "@odata.nextLink": "https://graph.microsoft.com/v1.0/next"}'
    path = f"/v1.0/servicePrincipals/{one}/transitiveMemberOf"
    grouped.azure.record(path, *([whole, body] if page == 2 else [body]), rewrite=True)
    found, gone, unread = await memberships(grouped, [one, other])
    assert (found, gone) == ({other: ()}, frozenset()), "half of somebody's groups would look like the other half left"
    assert [entry.kind for entry in unread] == [Membership]


@pytest.mark.parametrize(("status", "gone"), [(404, True), (403, False), (500, False)])
async def test_only_who_graph_does_not_know_is_gone(grouped: Watch, status: int, gone: bool) -> None:
    one, other, *_ = principals(grouped)
    grouped.azure.add(Fault(path=f"{one}/transitiveMemberOf", host="graph", status=status))
    found, lost, unread = await memberships(grouped, [one.upper(), other])
    assert found == {other: ()}
    assert lost == (frozenset({one}) if gone else frozenset())
    assert bool(unread) is not gone
