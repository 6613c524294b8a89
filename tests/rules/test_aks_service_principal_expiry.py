from datetime import timedelta

import pytest

from shared.clients.rows import finding_row
from shared.credentials import expiry_fingerprint, held
from shared.model import Application, ManagedCluster, ServicePrincipal, Severity
from shared.rules import aks_service_principal_expiry as rule
from tests.builders import (
    CLIENT_ID,
    NOW,
    OTHER_TENANT,
    SUBSCRIPTION,
    TENANT_ID,
    after,
    application,
    certificate,
    cluster,
    hits,
    observed,
    secret,
    service_principal,
    unread,
)

MOMENT = timedelta(seconds=1)
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def ends(*moments):
    """A cluster whose application has secrets with these ends."""
    return cluster(), application(secret_ends=moments), service_principal()


def one(*records, **changes):
    (hit,) = hits(rule, *records, **changes)
    return hit


@pytest.mark.parametrize(
    ("end", "severity"),
    [
        pytest.param(after(60), WARNING, id="the window begins 60 days before the end"),
        pytest.param(after(7) + MOMENT, WARNING, id="a second before the last week"),
        pytest.param(after(7), CRITICAL, id="7 days before the sure end"),
        pytest.param(after(-1), CRITICAL, id="a day after it"),
        pytest.param(after(-30), CRITICAL, id="30 days after it"),
        pytest.param(after(-700), CRITICAL, id="two years after it, as long as nobody mended it"),
    ],
)
def test_the_only_credential(end, severity):
    hit = one(*ends(end))
    assert (hit.severity, hit.expires_on, hit.aged_out) == (severity, end, False)
    assert (hit.resource_id, hit.key) == (cluster().id, CLIENT_ID)
    assert hit.facts["surely_fails_on"] == hit.facts["may_fail_on"] == end.isoformat()


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(ends(after(60) + MOMENT), id="a second before the window"),
        pytest.param(ends(None), id="a credential that never ends"),
        pytest.param((cluster(client_id=""), *ends(after(5))[1:]), id="a cluster on a managed identity"),
        pytest.param(ends(after(5))[1:], id="an application that no cluster uses"),
        pytest.param((cluster(client_id=OTHER_TENANT), *ends(after(5))[1:]), id="a cluster on another application"),
        pytest.param((cluster(),), id="an application that cannot be seen"),
        pytest.param((cluster(), application()), id="an application without credential, its principal not to be seen"),
        pytest.param(
            (cluster(), application(secret(after(700)))), id="a principal that is gone, which is told elsewhere"
        ),
    ],
)
def test_silent(records):
    assert hits(rule, *records) == []


@pytest.mark.parametrize(
    ("moments", "counts_down_to", "severity"),
    [
        pytest.param((after(5), after(400)), after(5), WARNING, id="a successor makes it a may, however near the end"),
        pytest.param((after(-5), after(400)), after(-5), WARNING, id="and after the end"),
        pytest.param((after(-30), after(400)), after(-30), WARNING, id="for 30 days"),
        pytest.param((after(5), None), after(5), WARNING, id="a successor without an end"),
        pytest.param((after(5), after(20)), after(5), WARNING, id="a successor that ends in the window itself"),
        pytest.param((after(2), after(7)), after(2), CRITICAL, id="both end within the week"),
        pytest.param((after(-2), after(20)), after(20), WARNING, id="the earlier has ended: the next end counts"),
        pytest.param((after(-2), after(-9)), after(-2), CRITICAL, id="both have ended"),
        pytest.param((after(30), after(20), after(10)), after(10), WARNING, id="the earliest of three"),
    ],
)
def test_several_credentials(moments, counts_down_to, severity):
    hit = one(*ends(*moments))
    assert (hit.expires_on, hit.severity, hit.aged_out) == (counts_down_to, severity, False)


def test_a_may_ages_out_30_days_after_the_end():
    hit = one(*ends(after(-30) - MOMENT, after(400)))
    assert hit.aged_out


def test_one_that_aged_out_does_not_hide_one_that_has_not():
    hit = one(*ends(after(-100), after(-5), after(400)))
    assert (hit.aged_out, hit.facts["may_fail_on"]) == (False, after(-5).isoformat())


def test_a_successor_that_has_not_started_is_none():
    records = cluster(), application(secret(after(5)), secret(after(700), 2, start=NOW + MOMENT)), service_principal()
    assert one(*records).severity == CRITICAL


def test_the_credential_may_sit_on_the_service_principal():
    hit = one(cluster(), application(), service_principal(secret_ends=[after(5)]))
    assert (hit.severity, hit.expires_on) == (CRITICAL, after(5))


def test_a_credential_of_the_service_principal_may_succeed_one_of_the_application():
    hit = one(cluster(), application(secret_ends=[after(5)]), service_principal(certificate(after(500))))
    assert (hit.severity, hit.facts["surely_fails_on"]) == (WARNING, after(500).isoformat())


def test_client_ids_are_compared_without_case():
    assert (
        one(cluster(CLIENT_ID.upper()), application(secret_ends=[after(5)]), service_principal()).severity == CRITICAL
    )


def test_of_an_application_in_another_tenant_not_every_credential_can_be_seen():
    hit = one(cluster(), service_principal(secret_ends=[after(5)], owner_tenant=OTHER_TENANT))
    assert (hit.severity, hit.facts["surely_fails_on"]) == (WARNING, "")


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param([], id="there is none"),
        pytest.param([secret(after(700), start=NOW + MOMENT)], id="the only one has not started"),
    ],
)
def test_no_usable_credential(credentials):
    hit = one(cluster(), application(*credentials), service_principal())
    assert (hit.severity, hit.expires_on) == (CRITICAL, None)
    assert hit.title == "Cluster prod-weu cannot sign in to Azure: its service principal has no usable credential"


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(
            (cluster(), application(secret_ends=[after(5)]), unread(ServicePrincipal)), id="no service principals"
        ),
        pytest.param((cluster(), service_principal(secret_ends=[after(5)]), unread(Application)), id="no applications"),
        pytest.param((cluster(), unread(Application), unread(ServicePrincipal)), id="nothing of Entra"),
    ],
)
def test_half_of_what_it_joins_decides_nothing(records):
    assert hits(rule, *records) == []


@pytest.mark.parametrize("kind", [Application, ServicePrincipal])
def test_what_was_read_in_spite_of_a_fault_is_judged(kind):
    assert one(*ends(after(5)), unread(kind)).severity == CRITICAL


def test_another_subscription_that_is_unread_hides_nothing():
    assert one(*ends(after(5)), unread(ManagedCluster, f"/subscriptions/{SUBSCRIPTION}")).severity == CRITICAL


def test_it_includes_the_findings_of_the_credentials_it_tells():
    app, principal = application(secret_ends=[after(5), after(500)]), service_principal(secret_ends=[after(20)])
    hit = one(cluster(), app, principal)
    near = (held(app.credentials)[0], held(principal.credentials)[0])
    assert hit.includes == tuple(sorted((expiry_fingerprint(app, near[0]), expiry_fingerprint(principal, near[1]))))
    assert hit.facts["key_ids"] == sorted(one.credential.key_id for one in near)


@pytest.mark.parametrize(
    ("moments", "title"),
    [
        ((after(5),), "loses its sign-in to Azure on Sat 28 Nov 2026"),
        (
            (after(5), after(20)),
            "loses its sign-in to Azure on Sun 13 Dec 2026, perhaps as early as Sat 28 Nov 2026",
        ),
        (
            (after(5), after(400)),
            "may lose its sign-in to Azure on Sat 28 Nov 2026, and surely loses it on Tue 28 Dec 2027",
        ),
        ((after(5), None), "may lose its sign-in to Azure on Sat 28 Nov 2026, if it holds the credential that ends"),
        (
            (after(-5), None),
            "may have lost its sign-in to Azure on Wed 18 Nov 2026, if it holds the credential that ends",
        ),
        (
            (after(-5),),
            "cannot sign in to Azure: its service principal's last credential ended on Wed 18 Nov 2026",
        ),
    ],
)
def test_titles(moments, title):
    assert one(*ends(*moments)).title == f"Cluster prod-weu {title}"


def test_every_cluster_behind_one_application_is_a_finding():
    found = hits(rule, cluster(name="a"), cluster(name="b"), application(secret_ends=[after(5)]), service_principal())
    assert [hit.resource_name for hit in found] == ["a", "b"]


def test_an_application_with_a_thousand_secrets_is_a_finding_that_can_be_stored():
    credentials = [secret(after(5 + number / 100), number) for number in range(1_000)]
    found = observed(cluster(), application(*credentials), service_principal())
    (told,) = (one for one in found.findings if one.rule == rule.id)
    assert told.expires_on == after(5)
    secrets = [one for one in found.findings if one.rule == "entra_credential_expiry"]
    nearest = sorted(secrets, key=lambda one: one.expires_on)[:300]
    assert set(told.includes) == {one.fingerprint for one in nearest}
    assert finding_row(TENANT_ID, told)["includes"]
