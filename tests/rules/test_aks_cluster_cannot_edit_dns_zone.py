import pytest

from shared import drift
from shared.model import Severity
from shared.rule import command
from shared.rules.aks_cluster_cannot_edit_dns_zone import aks_cluster_cannot_edit_dns_zone as rule
from tests.builders import after, problems, unread
from tests.estate import CONTROL_ID, NODES, OTHER, ZONE, assignment, cluster, lost, only, whole

HUB = ZONE.replace("11111111-1111-4111-8111-111111111111", OTHER)


def test_a_zone_that_may_not_be_written_any_more():
    (hit,) = problems(rule, lost(drift.DNS).snapshot(after(1)))
    assert (hit.severity, hit.variant, hit.key) == (Severity.CRITICAL, "lost", ZONE.lower())
    assert command(rule.runbook("lost").fix, hit.facts) == (
        f"az role assignment create --assignee-object-id {CONTROL_ID} --assignee-principal-type ServicePrincipal "
        f"--role b12aa53e-6015-4669-85d0-8515ebb3ae7f --scope {ZONE}"
    )


@pytest.mark.parametrize(
    ("action", "number"),
    [
        ("Microsoft.Network/privateDnsZones/A/write", 0),
        ("Microsoft.Network/privatednszones/a/*", 0),
        ("Microsoft.Network/privateDnsZones/read", 1),
        ("Microsoft.Network/privateDnsZones/AAAA/write", 1),
        ("Microsoft.Network/dnsZones/A/write", 1),
    ],
)
def test_the_one_action_is_needed_and_no_other(action, number):
    assert len(problems(rule, only(drift.DNS, action).snapshot())) == number


SILENT = {
    "AKS's own zone": {"private_dns_zone": "system"},
    "no zone": {"private_dns_zone": "none"},
    "no zone shown": {"private_dns_zone": ""},
    "a zone in the node resource group": {"private_dns_zone": f"{NODES}/providers/Microsoft.Network/privateDnsZones/z"},
    "a public cluster": {"private": False},
    "it is being made": {"provisioning_state": "Creating"},
}


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    estate = whole({drift.DNS})
    estate.cluster = cluster(**SILENT[name])
    assert problems(rule, estate.snapshot()) == []


def test_a_zone_in_a_hub_that_was_not_listed_is_in_doubt_and_in_one_that_was_it_is_told():
    estate = whole({drift.DNS})
    estate.cluster = cluster(private_dns_zone=HUB)
    assert problems(rule, estate.snapshot()) == []
    (doubt,) = [hit for hit in rule.check(estate.snapshot()) if hit.doubt]
    assert doubt.key == HUB.lower()
    both = (estate.cluster.subscription_id, OTHER)
    (hit,) = problems(rule, estate.snapshot(listed=both))
    assert hit.variant == "never"
    estate.live.append(assignment("Private DNS Zone Contributor", HUB, CONTROL_ID, listed_in=frozenset({OTHER})))
    assert problems(rule, estate.snapshot(listed=both)) == []


def test_a_zone_whose_hub_cannot_be_read_any_more_is_not_lost():
    estate = whole({drift.DNS})
    estate.cluster = cluster(private_dns_zone=HUB)
    kept = assignment("Private DNS Zone Contributor", HUB, CONTROL_ID, listed_in=frozenset({OTHER}))
    estate.live.append(kept)
    assert estate.scan(listed=(estate.cluster.subscription_id, OTHER)) == {}
    estate.live.remove(kept)
    refused = unread(type(kept), f"/subscriptions/{OTHER}")
    assert estate.scan(after(1), unread=[refused]) == {}
    assert not [row for row in estate.known.values() if row.lost]
