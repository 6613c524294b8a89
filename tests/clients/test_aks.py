"""Resource Manager behind real sockets: subscriptions, clusters and tags, and what of them could not be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.clients.http import NotFoundError, Patience, ReadError
from shared.model import ManagedCluster, Unread
from simulator import Fault, Simulator, generate, load

from ..conftest import ROOT, Start, Watch

BRIEF = Patience(attempts=2, connect=1, read=0.5, backoff=0.01, longest_wait=0.9, total=1.5)
LISTING = "managedClusters"
PAGE_2 = r"managedClusters\?.*skiptoken"
SAMPLES = ROOT.parent / "shared" / "samples"


@pytest.fixture
def fleet(start: Start) -> Watch:
    """Twelve clusters of one subscription, five a page."""
    watch = start(generate(applications=1, clusters=12), storage=False)
    watch.azure.arm_page_size = 5
    watch.patience = BRIEF
    return watch


def subscription(watch: Watch) -> str:
    return watch.azure.tenant.subscriptions[0].id


async def clusters(watch: Watch) -> tuple[list[ManagedCluster], list[Unread]]:
    async with watch.clients(storage=False) as clients:
        return await clients.aks.list_clusters(subscription(watch))


def answer(watch: Watch, *items: Any, **members: Any) -> None:
    watch.azure.add(Fault(path=LISTING, body=json.dumps({"value": list(items), **members}).encode()))


def item(name: str, **members: Any) -> dict[str, Any]:
    scope = "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg"
    return {"id": f"{scope}/providers/Microsoft.ContainerService/managedClusters/{name}", "name": name, **members}


# --- Paging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty_last_page", [False, True])
async def test_every_page_is_read(fleet: Watch, empty_last_page: bool) -> None:
    fleet.azure.empty_last_page = empty_last_page
    found, unread = await clusters(fleet)
    assert sorted(one.name for one in found) == [f"cluster-{number:04d}" for number in range(12)]
    assert not unread
    pages = [one for one in fleet.azure.requests if one.host == "arm"]
    assert len(pages) == (4 if empty_last_page else 3)


async def test_a_scan_reads_every_subscription_page_and_cluster(start: Start) -> None:
    watch = start(generate(applications=1, subscriptions=23, clusters=60), storage=False)
    watch.azure.arm_page_size = 2
    report = await watch.scan(watch.azure.now, storage=False)
    assert (report.snapshot.counts["subscriptions"], report.snapshot.counts["clusters"]) == (23, 60)
    assert not report.snapshot.unread


async def test_a_deleted_subscription_is_left_out_and_a_disabled_one_is_not(start: Start) -> None:
    watch = start(generate(applications=1, subscriptions=4), storage=False)
    for one, state in zip(watch.azure.tenant.subscriptions, ("Enabled", "Disabled", "Warned", "Deleted"), strict=True):
        one.state = state
    async with watch.clients(storage=False) as clients:
        found = await clients.aks.list_subscriptions()
        assert [one.name for one in found] == ["Subscription 0", "Subscription 1", "Subscription 2"]
        gone = watch.azure.tenant.subscriptions[3].id
        with pytest.raises(NotFoundError):
            await clients.aks.get_subscription(gone)


# --- Faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 503}, id="503"),
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 429, "retry_after": 1}, id="throttled"),
        pytest.param({"status": 429, "retry_after": 1.5, "retry_after_date": True}, id="throttled until a date"),
        pytest.param({"reset": "before"}, id="reset before"),
        pytest.param({"reset": "during"}, id="reset during"),
        pytest.param({"reset": "after"}, id="reset after"),
        pytest.param({"cut": True}, id="half a body"),
        pytest.param({"hang": True}, id="no answer"),
        pytest.param({"html": True}, id="an HTML page"),
        pytest.param({"body": b"{}"}, id="an empty object"),
    ],
)
async def test_a_fault_that_passes_costs_nothing(fleet: Watch, fault: dict[str, Any]) -> None:
    fleet.patience = Patience(attempts=2, connect=1, read=1, backoff=0.01, longest_wait=0.9, total=10)
    fleet.azure.add(Fault(path=PAGE_2, times=1, **fault))
    found, unread = await clusters(fleet)
    assert (len({one.id for one in found}), len(found), unread) == (12, 12, [])


@pytest.mark.parametrize(
    ("fault", "reason", "passing"),
    [
        pytest.param({"status": 403}, "HTTP 403 AuthorizationFailed", False, id="refused"),
        pytest.param({"status": 401}, "HTTP 401 AuthenticationFailed", False, id="a refused token"),
        pytest.param({"status": 503}, "HTTP 503 ServerTimeout", True, id="503"),
        pytest.param({"status": 429}, "HTTP 429 ", True, id="throttled for good"),
        pytest.param({"status": 429, "retry_after": 100}, "no complete answer within", True, id="a long wait"),
        pytest.param({"cut": True}, "connection fault with 127.0.0.1: ", True, id="half a body"),
        pytest.param({"reset": "before"}, "connection fault with 127.0.0.1: ", True, id="reset before"),
        pytest.param({"reset": "during"}, "connection fault with 127.0.0.1: ", True, id="reset during"),
        pytest.param({"reset": "after"}, "connection fault with 127.0.0.1: ", True, id="reset after"),
        pytest.param({"hang": True}, "no complete answer within", True, id="no answer"),
        pytest.param({"slow": 6}, "no complete answer within", True, id="a body that trickles for ever"),
        pytest.param({"html": True}, "the service answered 200 with something", True, id="an HTML page"),
        pytest.param({"body": b"{}"}, "the service answered 200 with something", True, id="an empty object"),
        pytest.param({"body": b""}, "the service answered 200 with something", True, id="no body"),
        pytest.param({"body": b"null"}, "the service answered 200 with something", True, id="null"),
        pytest.param({"body": b'{"value": {}}'}, "the service answered 200 with something", True, id="no list"),
        pytest.param({"body": b"\xff\xfe"}, "the service answered 200 with something", True, id="no text"),
        pytest.param({"body": b"[" * 100_000}, "the service answered 200 with something", True, id="nested deeply"),
    ],
)
async def test_what_is_read_is_kept_and_what_is_missing_is_said(
    fleet: Watch, fault: dict[str, Any], reason: str, passing: bool
) -> None:
    fleet.azure.add(Fault(path=PAGE_2, **fault))
    found, (unread,) = await clusters(fleet)
    assert [one.name for one in found] == [f"cluster-{number:04d}" for number in range(5)]
    assert unread.reason.startswith(reason)
    assert unread.passing is passing
    assert (unread.kind, unread.scope) == (ManagedCluster, f"/subscriptions/{subscription(fleet)}")
    assert ("Reader" in unread.permission) == (fault.get("status") == 403)


async def test_an_empty_object_on_the_first_page_is_no_empty_subscription(fleet: Watch) -> None:
    fleet.azure.add(Fault(path=LISTING, body=b"{}"))
    found, unread = await clusters(fleet)
    assert found == []
    assert len(unread) == 1


async def test_a_subscription_that_never_used_aks_has_no_cluster_and_is_not_registered(fleet: Watch) -> None:
    error = {"code": "MissingSubscriptionRegistration", "message": "The subscription is not registered."}
    fleet.azure.add(Fault(path=LISTING, status=409, body=json.dumps({"error": error}).encode()))
    assert await clusters(fleet) == ([], [])
    assert {one.method for one in fleet.azure.requests} == {"GET"}


async def test_another_conflict_is_unread(fleet: Watch) -> None:
    fleet.azure.add(Fault(path=LISTING, status=409))
    found, (unread,) = await clusters(fleet)
    assert (found, unread.reason) == ([], "HTTP 409 Conflict")


@pytest.mark.parametrize("path", [r"/subscriptions\?", "managedClusters", "resourcegroups"])
@pytest.mark.parametrize("fault", [{"status": 403}, {"body": b'{"value": [null, 5, {}, {"id": 7}]}'}])
async def test_a_scan_survives_whatever_arm_answers(start: Start, path: str, fault: dict[str, Any]) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path=path, host="arm", **fault))
    report = await watch.scan(watch.azure.now, storage=False)
    assert "entra_credential_expiry" in {one.rule for one in report.findings}
    assert report.snapshot.unread


# --- Links that lead elsewhere ----------------------------------------------------------------------------------------


@pytest.fixture
def stranger(start: Start) -> Simulator:
    """Another origin, where no request of ours may arrive."""
    return start(load("hostile"), storage=False).azure


async def test_a_next_link_to_another_origin_is_not_followed(stranger: Simulator, fleet: Watch) -> None:
    fleet.azure.add(Fault(path=LISTING, next_link=stranger.origins["arm"]))
    found, (unread,) = await clusters(fleet)
    assert len(found) == 5
    assert unread.reason == "the service answered with a link to another origin; it was not followed"
    assert stranger.requests == []


async def test_a_redirect_is_not_followed(stranger: Simulator, fleet: Watch) -> None:
    fleet.azure.add(Fault(path=PAGE_2, redirect=stranger.origins["arm"]))
    found, (unread,) = await clusters(fleet)
    assert (len(found), unread.reason) == (5, "HTTP 302: a redirect, not followed")
    assert stranger.requests == []


@pytest.mark.parametrize(
    "link", ["https://[/x", "https://evil.example/x", "/x", "//evil.example/x", "file:///etc/passwd", 5, ["x"]]
)
async def test_a_link_that_is_no_address_is_unread(fleet: Watch, link: Any) -> None:
    answer(fleet, item("one"), nextLink=link)
    found, unread = await clusters(fleet)
    assert [one.name for one in found] == ["one"]
    assert len(unread) == 1


async def test_a_next_link_that_leads_back_ends_when_the_patience_does(fleet: Watch) -> None:
    answer(fleet, item("one"), nextLink=f"{fleet.azure.origins['arm']}/subscriptions/x/managedClusters?skipToken=1")
    found, (unread,) = await clusters(fleet)
    assert {one.name for one in found} == {"one"}
    assert unread.reason == "no complete answer within 1.5 seconds"


# --- Single clusters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(None, id="null"),
        pytest.param(5, id="a number"),
        pytest.param("text", id="a text"),
        pytest.param([], id="a list"),
        pytest.param({}, id="an empty object"),
        pytest.param({"id": None, "name": None}, id="nulls"),
        pytest.param({"id": 7, "name": "x"}, id="a number as id"),
        pytest.param(item("x", properties="none"), id="properties that are a text"),
        pytest.param(item("x", properties={"servicePrincipalProfile": []}), id="a profile that is a list"),
        pytest.param(item("x", properties={"agentPoolProfiles": [5]}), id="a pool that is a number"),
        pytest.param(item("x", tags=["a"]), id="tags that are a list"),
    ],
)
async def test_one_malformed_cluster_costs_no_other(fleet: Watch, broken: Any) -> None:
    answer(fleet, item("one"), broken, item("three"))
    found, (unread,) = await clusters(fleet)
    assert [one.name for one in found] == ["one", "three"]
    assert unread.reason.startswith("a cluster of an unexpected shape")


async def test_a_listing_of_malformed_clusters_is_said_once(fleet: Watch) -> None:
    answer(fleet, *(item(f"c{number}", tags=5) for number in range(300)))
    found, (unread,) = await clusters(fleet)
    assert found == []
    assert unread.reason.startswith("300 clusters of an unexpected shape, the first: c0")


async def test_a_cluster_with_null_members_is_read(fleet: Watch) -> None:
    answer(fleet, item("one", properties=None, tags=None, location=None), item("two", properties={}, tags={"a": None}))
    found, unread = await clusters(fleet)
    assert [(one.name, one.client_id, one.tags, one.resource_group) for one in found] == [
        ("one", "", {}, "rg"),
        ("two", "", {}, "rg"),
    ]
    assert not unread


# --- Single subscriptions ---------------------------------------------------------------------------------------------


async def test_a_subscription_that_arm_does_not_know_is_not_found(fleet: Watch) -> None:
    async with fleet.clients(storage=False) as clients:
        with pytest.raises(NotFoundError):
            await clients.aks.get_subscription("00000000-0000-4000-8000-000000000000")
        fleet.azure.add(Fault(path="/subscriptions/", status=403))
        with pytest.raises(ReadError) as caught:
            await clients.aks.get_subscription(subscription(fleet))
        assert not isinstance(caught.value, NotFoundError)


async def test_the_tags_of_resource_groups_are_read_by_lower_case_name(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    production = watch.azure.tenant.subscription("Northwind Production").id
    async with watch.clients(storage=False) as clients:
        found = await clients.aks.list_resource_group_tags(production)
    assert {group: found[group] for group in ("rg-shop-prod", "rg-shop-dr")} == {
        "rg-shop-prod": {"team": "shop"},
        "rg-shop-dr": {"team": "shop"},
    }
    # AKS's own groups begin with MC_.
    assert "mc_rg-shop-prod_shop-prod_westeurope" in found and all(group.islower() for group in found)


# --- Recorded ---------------------------------------------------------------------------------------------------------


def sample(name: str) -> bytes:
    path: Path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the recorded answer {name} is not here")
    return path.read_bytes()


async def test_a_recorded_page_and_its_empty_last_one(fleet: Watch) -> None:
    scope = f"/subscriptions/{subscription(fleet)}/providers/Microsoft.ContainerService/managedClusters"
    first = sample("arm-aks-managedclusters-list-msi-page1.json")
    fleet.azure.record(scope, first, sample("arm-aks-managedclusters-list-empty-last-page.json"), rewrite=True)
    found, unread = await clusters(fleet)
    assert len(found) == 7
    assert {one.client_id for one in found} == {""}
    assert all(one.node_pools and one.resource_group for one in found)
    assert not unread
