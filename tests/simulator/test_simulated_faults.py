"""Each fault does what it says."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from simulator import Fault, Simulator, generate, load

from .clients import Client, Connect, Start, trust

APPS = "/v1.0/applications"


def test_429_with_seconds_and_with_a_date(client: Client) -> None:
    client.azure.add(Fault(path=APPS, status=429, retry_after=3, times=1))
    client.azure.add(Fault(path=APPS, status=429, retry_after=30, retry_after_date=True, times=1))
    first, second, third = (client.graph(APPS) for _ in range(3))
    assert [answer.status_code for answer in (first, second, third)] == [429, 429, 200]
    assert first.headers["retry-after"] == "3" and first.json()["error"]["code"] == "TooManyRequests"
    assert 20 < parsedate_to_datetime(second.headers["retry-after"]).timestamp() - time.time() <= 30


def test_the_services_word_their_own_refusals(client: Client) -> None:
    client.azure.add(Fault(path=".", host="graph", status=403))
    client.azure.add(Fault(path=".", host="arm", status=403))
    assert client.graph(APPS).json()["error"]["code"] == "Authorization_RequestDenied"
    path = "/subscriptions/1/providers/Microsoft.ContainerService/managedClusters?api-version=1"
    refused = client.arm(path).json()["error"]
    assert refused["code"] == "AuthorizationFailed"
    assert "'Microsoft.ContainerService/managedClusters/read' over scope '/subscriptions/1'" in refused["message"]


def test_5xx_at_one_page_of_a_listing(client: Client) -> None:
    client.azure.add(Fault(path=APPS, page=2, status=503, times=2))
    first = client.graph(APPS + "?$top=4").json()
    assert [client.graph(first["@odata.nextLink"]).status_code for _ in range(3)] == [503, 503, 200]


def test_5xx_at_one_page_of_clusters(client: Client) -> None:
    client.azure.arm_page_size = 1
    client.azure.add(Fault(path="managedClusters", page=2, status=500))
    production = client.azure.tenant.subscription("Northwind Production")
    path = f"/subscriptions/{production.id}/providers/Microsoft.ContainerService/managedClusters?api-version=1"
    first = client.arm(path).json()
    failed = client.arm(first["nextLink"])
    assert (failed.status_code, failed.json()["error"]["code"]) == (500, "InternalServerError")


def test_after_times_and_method(client: Client) -> None:
    fault = client.azure.add(Fault(path=APPS, status=500, after=1, times=2, method="GET"))
    assert [client.graph(APPS).status_code for _ in range(4)] == [200, 500, 500, 200]
    assert client.graph(APPS, method="POST").status_code == 405
    assert (fault.seen, fault.happened) == (4, 2)
    client.azure.clear()
    assert client.graph(APPS).status_code == 200


def test_latency_of_everything_and_of_one_path(client: Client) -> None:
    client.token("https://graph.microsoft.com")
    client.azure.add(Fault(path=APPS, latency=0.3))
    begun = time.monotonic()
    client.graph(APPS)
    assert time.monotonic() - begun >= 0.3
    client.azure.clear()
    client.azure.latency = 0.2
    begun = time.monotonic()
    client.graph(APPS)
    assert time.monotonic() - begun >= 0.4  # the token, and the listing


def test_a_cut_off_body(client: Client) -> None:
    client.azure.add(Fault(path=APPS, cut=True))
    with pytest.raises(httpx.RemoteProtocolError):
        client.graph(APPS)
    assert client.azure.requests[-1].sent > 0


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_reset_connection(client: Client, when: str) -> None:
    client.azure.add(Fault(path=APPS, reset=when))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.graph(APPS)


def test_a_reset_before_the_card_is_taken_and_after(azure: Simulator) -> None:
    card = {"type": "AdaptiveCard", "version": "1.5", "body": []}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    for when, cards in (("before", 0), ("after", 1)):
        azure.clear()
        azure.add(Fault(path="/invoke", reset=when))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            httpx.post(
                azure.environment["TEAMS_WEBHOOK_URL"],
                json={"type": "message", "attachments": [attachment]},
                verify=trust(azure.environment),
            )
        assert len(azure.cards()) == cards


def test_a_slow_body(client: Client) -> None:
    client.azure.add(Fault(path=APPS, slow=0.4))
    begun = time.monotonic()
    assert len(client.graph(APPS).json()["value"]) == 10
    assert time.monotonic() - begun >= 0.4


def test_a_server_that_never_answers(client: Client) -> None:
    client.azure.add(Fault(path=APPS, hang=True))
    client.http.timeout = httpx.Timeout(0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.graph(APPS)


def test_stopping_does_not_wait_for_a_request_that_hangs(connect: Connect) -> None:
    with Simulator(load("retailer")) as azure:
        client = connect(azure)
        azure.add(Fault(path=APPS, hang=True))
        client.http.timeout = httpx.Timeout(0.2)
        with pytest.raises(httpx.ReadTimeout):
            client.graph(APPS)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2


def test_a_body_that_is_no_json(client: Client) -> None:
    client.azure.add(Fault(path=APPS, body=b'{"value":[{', times=1))
    client.azure.add(Fault(path=APPS, html=True, times=1))
    broken, page = client.graph(APPS), client.graph(APPS)
    assert (broken.status_code, page.status_code) == (200, 200)
    assert page.headers["content-type"].startswith("text/html")
    for answer in (broken, page):
        with pytest.raises(json.JSONDecodeError):
            answer.json()


def test_a_redirect_and_a_next_link_to_another_origin(client: Client) -> None:
    client.azure.add(Fault(path=APPS, redirect="https://127.0.0.2:1", times=1))
    client.azure.add(Fault(path=APPS, next_link="https://127.0.0.2:1"))
    away = client.graph(APPS + "?$top=4")
    assert (away.status_code, away.headers["location"]) == (302, "https://127.0.0.2:1/v1.0/applications?$top=4")
    page = client.graph(APPS + "?$top=4").json()
    assert page["@odata.nextLink"].startswith("https://127.0.0.2:1/v1.0/applications?$top=4&")
    assert len(page["value"]) == 4


def test_a_fault_on_a_large_packed_page(start: Start, connect: Connect) -> None:
    client = connect(start(generate(applications=2000)))
    client.azure.add(Fault(path=APPS, cut=True))
    with pytest.raises(httpx.RemoteProtocolError):
        client.graph(APPS + "?$top=999")
    client.azure.clear()
    client.azure.add(Fault(path=APPS, slow=0.1))
    assert len(client.graph(APPS + "?$top=999").json()["value"]) == 999


@pytest.mark.parametrize("status", [400, 401, 500])
def test_the_identity_endpoint_refuses(client: Client, status: int) -> None:
    client.azure.add(Fault(path="/msi/token", host="identity", status=status))
    answer = client.http.get(client.azure.environment["IDENTITY_ENDPOINT"])
    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)


def test_the_identity_endpoint_wants_its_header_and_a_known_resource(client: Client) -> None:
    environment = client.azure.environment
    known = {
        "resource": "https://graph.microsoft.com",
        "api-version": "2019-08-01",
        "client_id": client.azure.client_id,
    }

    def status(header: str = environment["IDENTITY_HEADER"], **changed: str) -> int:
        answer = client.http.get(
            environment["IDENTITY_ENDPOINT"], params=known | changed, headers={"X-IDENTITY-HEADER": header}
        )
        return answer.status_code

    assert status() == 200
    assert status(header="guessed") == 401
    assert status(resource="https://nobody.example") == 500
    assert status(client_id="00000000-0000-0000-0000-000000000000") == 400
    assert status(**{"api-version": "2017-09-01"}) == 400
