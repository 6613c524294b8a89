import pytest

from shared.findings import evaluate
from shared.model import Application, DeletedApplication, ManagedCluster, ServicePrincipal, Severity
from shared.rule import commands
from shared.rules import aks_service_principal_missing as rule
from tests.builders import (
    APP_OBJECT,
    CLIENT_ID,
    OTHER_TENANT,
    SP_OBJECT,
    TENANT_ID,
    application,
    cluster,
    deleted,
    hits,
    service_principal,
    snapshot,
    unread,
)

INFO, CRITICAL = Severity.INFO, Severity.CRITICAL
KNOWN = {"known": frozenset({CLIENT_ID})}


def one(*records, **changes):
    (hit,) = hits(rule, cluster(), *records, **changes)
    return hit


@pytest.mark.parametrize(
    ("records", "changes", "variant", "severity"),
    [
        pytest.param(
            [application(), service_principal(enabled=False)], {}, "disabled", CRITICAL, id="somebody disabled it"
        ),
        pytest.param(
            [application(), service_principal(disabled="DisabledDueToViolation")],
            {},
            "disabled",
            CRITICAL,
            id="Microsoft disabled the service principal",
        ),
        pytest.param(
            [application(disabled="DisabledDueToViolation"), service_principal()],
            {},
            "disabled",
            CRITICAL,
            id="Microsoft disabled the application",
        ),
        pytest.param([application(), deleted(SP_OBJECT)], {}, "", CRITICAL, id="the service principal is in the bin"),
        pytest.param([service_principal(), deleted()], {}, "", CRITICAL, id="the application is in the bin"),
        pytest.param([deleted()], {}, "", CRITICAL, id="only one of them is in the bin, the other nowhere"),
        pytest.param([deleted(), deleted(SP_OBJECT)], {}, "both", CRITICAL, id="both are in the bin"),
        pytest.param([application()], {}, "orphaned", CRITICAL, id="the service principal is gone for good"),
        pytest.param([service_principal()], {}, "purged", CRITICAL, id="the application is gone for good"),
        pytest.param([], KNOWN, "purged", CRITICAL, id="both are gone, and an earlier scan saw them"),
        pytest.param([], {}, "unreadable", INFO, id="nobody ever saw it: perhaps it lives in another tenant"),
        pytest.param(
            [service_principal(owner_tenant=OTHER_TENANT)], {}, "unreadable", INFO, id="its application is elsewhere"
        ),
        pytest.param(
            [service_principal(owner_tenant=OTHER_TENANT), deleted()],
            {},
            "unreadable",
            INFO,
            id="an earlier one in the bin does not matter when a foreign one is at work",
        ),
        pytest.param(
            [service_principal(owner_tenant="")], {}, "unreadable", INFO, id="one so old that it has no application"
        ),
    ],
)
def test_a_hit(records, changes, variant, severity):
    hit = one(*records, **changes)
    assert (hit.variant, hit.severity) == (variant, severity)
    assert (hit.resource_id, hit.key) == (cluster().id, CLIENT_ID)
    runbook = rule.runbook(hit.variant)
    assert commands(runbook.confirm, hit.facts) and commands(runbook.fix, hit.facts)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([cluster(), application(), service_principal()], id="both are there"),
        pytest.param([cluster(), application(), service_principal(owner_tenant="")], id="both, of an unknown tenant"),
        pytest.param([cluster(), application(), service_principal(), deleted()], id="both were made again"),
        pytest.param([cluster(CLIENT_ID.upper()), application(), service_principal()], id="an id in capitals"),
        pytest.param(
            [cluster(), application(), service_principal(owner_tenant=TENANT_ID.upper())], id="a tenant id in capitals"
        ),
        pytest.param([cluster(client_id="")], id="a cluster on a managed identity"),
        pytest.param([cluster(client_id=""), deleted()], id="something in the bin that no cluster uses"),
        pytest.param([service_principal(enabled=False)], id="a disabled one that no cluster uses"),
        *(
            pytest.param([cluster(), unread(kind)], id=f"{kind.__name__} was not read, so nothing is missing")
            for kind in (Application, ServicePrincipal, DeletedApplication)
        ),
        pytest.param(
            [cluster(), service_principal(), unread(Application, f"/applications/{APP_OBJECT}", passing=True)],
            id="the application itself was not read",
        ),
    ],
)
def test_silent(records):
    assert not evaluate(snapshot(*records), [rule]).findings


def test_another_subscription_that_is_unread_hides_nothing():
    records = [cluster(), application(), unread(ManagedCluster, "/subscriptions/x")]
    assert len(evaluate(snapshot(*records), [rule]).findings) == 1


@pytest.mark.parametrize(
    ("records", "objects"),
    [
        ([deleted()], [APP_OBJECT]),
        ([application(), deleted(SP_OBJECT)], [SP_OBJECT]),
        ([deleted(), deleted(SP_OBJECT)], [APP_OBJECT, SP_OBJECT]),
    ],
)
def test_every_deleted_object_is_restored_in_the_order_read(records, objects):
    hit = one(*records)
    prefix = "az rest --method POST --url https://graph.microsoft.com/v1.0/directory/deletedItems/"
    assert commands(rule.runbook(hit.variant).fix, hit.facts) == tuple(f"{prefix}{name}/restore" for name in objects)


@pytest.mark.parametrize(
    ("records", "changes", "title"),
    [
        ([deleted()], {}, "was deleted on Sat 21 Nov 2026"),
        ([deleted(deleted=None)], {}, "was deleted"),
        ([service_principal(), deleted()], {}, "has an application that was deleted on Sat 21 Nov 2026"),
        ([service_principal()], {}, "has lost its application"),
        ([application()], {}, "was deleted, its application was not"),
        ([], KNOWN, "was deleted for good"),
        ([], {}, "is not known in this tenant"),
    ],
)
def test_titles(records, changes, title):
    assert one(*records, **changes).title == f"The service principal of cluster prod-weu {title}"
