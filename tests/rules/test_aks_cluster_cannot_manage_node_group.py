import pytest

from shared import drift
from shared.model import NodePool, Severity
from shared.rule import command
from shared.rules.aks_cluster_cannot_manage_node_group import aks_cluster_cannot_manage_node_group as rule
from tests.builders import after, problems
from tests.estate import CONTROL_ID, NODES, S, assignment, cluster, lost, only, whole

ACTIONS = (
    "Microsoft.Compute/disks/write",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write",
    "Microsoft.Compute/virtualMachineScaleSets/write",
    "Microsoft.Network/loadBalancers/write",
    "Microsoft.Network/publicIPAddresses/write",
)


def test_a_node_resource_group_that_may_not_be_written_any_more():
    (hit,) = problems(rule, lost(drift.MANAGE).snapshot(after(1)))
    assert (hit.severity, hit.variant, hit.key) == (Severity.CRITICAL, "lost", NODES.lower())
    assert command(rule.runbook("lost").fix, hit.facts).endswith(f"--scope {NODES}")
    assert "PersistentVolumeClaim Pending" in str(hit.facts["fails"])


def test_every_action_is_needed_and_no_other():
    assert problems(rule, only(drift.MANAGE, *ACTIONS).snapshot()) == []
    for left_out in ACTIONS:
        estate = only(drift.MANAGE, *(one for one in ACTIONS if one != left_out))
        assert len(problems(rule, estate.snapshot())) == 1, left_out


@pytest.mark.parametrize("outbound", ["userDefinedRouting", "none", "block"])
def test_a_cluster_that_lets_nothing_out_needs_no_public_address(outbound):
    estate = only(drift.MANAGE, *ACTIONS[:4])
    estate.cluster = cluster(outbound_type=outbound)
    assert problems(rule, estate.snapshot()) == []


def test_single_machines_need_their_own_network_interfaces():
    estate = only(drift.MANAGE, *ACTIONS)
    estate.cluster = cluster(pools=(NodePool(name="system", type="VirtualMachines"),))
    (hit,) = problems(rule, estate.snapshot())
    assert "Microsoft.Network/networkInterfaces/write" in hit.facts["actions"]


def test_two_halves_are_a_whole():
    estate = only(drift.MANAGE, *ACTIONS[:3])
    estate.live.append(assignment("Network Contributor", NODES, CONTROL_ID))
    assert problems(rule, estate.snapshot()) == []


def test_of_an_automatic_cluster_only_a_loss_is_told_and_as_a_warning():
    estate = whole({drift.MANAGE})
    estate.cluster = cluster(sku="Automatic")
    assert problems(rule, estate.snapshot()) == []
    estate = lost(drift.MANAGE)
    estate.cluster = cluster(sku="Automatic")
    (hit,) = problems(rule, estate.snapshot(after(1)))
    assert (hit.severity, hit.variant) == (Severity.WARNING, "lost")


SILENT = {
    "it shows no node resource group": {"node_resource_group": ""},
    "it shows no identity": {"identities": ()},
    "it is being made": {"provisioning_state": "Creating"},
    "a service principal that is not known": {"client_id": "4444", "identities": (), "kubelet": None},
}


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    estate = whole({drift.MANAGE})
    estate.cluster = cluster(**SILENT[name])
    assert problems(rule, estate.snapshot()) == []


def test_a_group_whose_name_only_begins_alike_is_another_one():
    estate = lost(drift.MANAGE)
    estate.live.append(assignment("Contributor", NODES + "2", CONTROL_ID))
    assert len(problems(rule, estate.snapshot(after(1)))) == 1
    estate.live.append(assignment("Contributor", S, CONTROL_ID))
    assert problems(rule, estate.snapshot(after(1))) == []
