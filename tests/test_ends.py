from dataclasses import replace

import pytest

from shared.ends import YEAR, ends
from shared.model import NEVER
from tests.builders import (
    NOW,
    after,
    application,
    certificate,
    cluster,
    days,
    saml,
    secret,
    service_principal,
    snapshot,
)

OTHER = {"app_id": "55555555-5555-4555-8555-555555555555", "object_id": "6", "name": "Payroll"}


def told(*records):
    return [(one.title, one.end) for one in ends(snapshot(*records))]


def test_the_credentials_of_a_year_the_earliest_first():
    found = told(
        application(secret(after(200), 2, name="b"), secret(after(10), name="a")),
        service_principal(*saml(after(30)), **OTHER),
    )
    assert found == [
        ("Secret “a” of checkout ends", after(10)),
        ("SAML certificate “CN=SAML” of Payroll ends", after(30)),
        ("Secret “b” of checkout ends", after(200)),
    ]


@pytest.mark.parametrize(
    ("end", "number"),
    [
        (NOW - days(30), 1),
        (
            NOW
            - days(
                30,
            )
            - days(0.001),
            0,
        ),
        (NOW + YEAR, 1),
        (NOW + YEAR + days(0.001), 0),
        (None, 0),
    ],
)
def test_the_window(end, number):
    assert len(told(application(secret(end)))) == number


@pytest.mark.parametrize(
    "records",
    [
        [],
        [cluster("", name="modern")],
        [service_principal(secret(), owner_tenant="f8cdef31-a31e-4b4a-93e4-5f571e91255a", **OTHER)],
        [service_principal(secret(), type="ManagedIdentity", **OTHER)],
        [cluster(), application()],
        [cluster(), application(secret(None))],
        [cluster()],
    ],
    ids=[
        "nothing",
        "managed identity",
        "Microsoft's",
        "a managed identity's own",
        "no credential",
        "no end",
        "nothing known",
    ],
)
def test_silent(records):
    assert told(*records) == []


def test_a_cluster_with_one_secret():
    one, other = ends(snapshot(cluster(), application(secret(after(10))), service_principal()))
    assert (one.title, one.sure, one.end) == ("Cluster prod-weu loses its sign-in to Azure", True, after(10))
    assert (other.clusters, other.cluster) == (("prod-weu",), False)


def test_a_cluster_that_may_hold_either():
    found = told(cluster(), application(secret(after(10)), secret(after(100), 2)))
    assert ("Cluster prod-weu may lose its sign-in to Azure", after(10)) in found
    assert ("Cluster prod-weu loses its sign-in to Azure", after(100)) in found


def test_an_end_long_past_is_not_the_first_on_which_a_cluster_may_fail():
    found = told(cluster(), application(secret(after(-100)), secret(after(50), 2), secret(after(90), 3)))
    assert ("Cluster prod-weu may lose its sign-in to Azure", after(50)) in found


@pytest.mark.parametrize(
    "records",
    [
        [application(secret(after(10)), secret(None, 2))],
        [service_principal(secret(after(10)), owner_tenant="other")],
    ],
    ids=["another never ends", "an application of another tenant"],
)
def test_a_cluster_whose_last_day_is_not_known(records):
    clusters = [one for one in ends(snapshot(cluster(), *records)) if one.cluster]
    assert [(one.sure, one.end) for one in clusters] == [(False, after(10))]


def test_a_credential_that_has_not_started_saves_no_cluster():
    found = told(cluster(), application(secret(after(10)), secret(after(400), 2, start=after(1))))
    assert ("Cluster prod-weu loses its sign-in to Azure", after(10)) in found


def test_what_is_replaced_says_by_what():
    def replaced(*others):
        found = ends(snapshot(application(secret(after(10)), *others)))
        return next(one.replaced_on for one in found if one.end == after(10))

    assert replaced() is None
    assert replaced(secret(after(300), 2)) == after(300)
    assert replaced(secret(None, 2)) == NEVER
    assert replaced(certificate(after(300))) is None


def test_keys_stay_when_names_and_dates_change():
    def keys(seen):
        return {(one.cluster, one.sure): one.key for one in ends(seen)}

    before = snapshot(cluster(), application(secret(after(10))))
    later = snapshot(cluster(), application(secret(after(20), name="renamed"), name="renamed"))
    assert keys(before) == keys(later)
    shouted = replace(cluster(), id=cluster().id.upper())
    assert keys(before) == keys(snapshot(shouted, application(secret(after(10)))))
