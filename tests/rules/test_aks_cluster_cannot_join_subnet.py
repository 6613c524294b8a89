from dataclasses import replace

import pytest

from shared import drift
from shared.access import Subnet
from shared.model import NodePool, Severity
from shared.rule import command
from shared.rules.aks_cluster_cannot_join_subnet import aks_cluster_cannot_join_subnet as rule
from tests.builders import after, problems
from tests.estate import CONTROL_ID, NETWORK, NODES, SUBNET, assignment, cluster, lost, only, whole

JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
READ = "Microsoft.Network/virtualNetworks/subnets/read"
TABLE = f"{NETWORK}/providers/Microsoft.Network/routeTables/udr"
GATEWAY = f"{NETWORK}/providers/Microsoft.Network/natGateways/out"


def test_a_subnet_that_may_not_be_joined_any_more():
    (hit,) = problems(rule, lost(drift.JOIN).snapshot(after(1)))
    assert hit.title == "Cluster prod-weu can no longer use its network nodes"
    assert (hit.severity, hit.variant, hit.key) == (Severity.CRITICAL, "lost", SUBNET.lower())
    assert command(rule.runbook("lost").fix, hit.facts) == (
        f"az role assignment create --assignee-object-id {CONTROL_ID} --assignee-principal-type ServicePrincipal "
        f"--role 4d97b98b-1d4f-4787-a291-c67834d212e7 --scope {SUBNET}"
    )


@pytest.mark.parametrize(("actions", "number"), [((JOIN, READ), 0), ((JOIN,), 1), ((READ,), 1)])
def test_both_actions_and_no_others_are_needed(actions, number):
    assert len(problems(rule, only(drift.JOIN, *actions).snapshot())) == number


def routed(subnet, **changes):
    estate = whole()
    estate.cluster = cluster(**changes)
    estate.subnets = (subnet,)
    return estate


LINKED = {
    "a route table": (Subnet(id=SUBNET, route_table_id=TABLE), {"outbound_type": "userDefinedRouting"}),
    "a NAT gateway": (Subnet(id=SUBNET, nat_gateway_id=GATEWAY), {"outbound_type": "userAssignedNATGateway"}),
}


@pytest.mark.parametrize("what", LINKED)
def test_what_most_clusters_do_without_is_a_warning_when_it_was_lost_and_silent_when_it_never_was_held(what):
    subnet, changes = LINKED[what]
    estate = routed(subnet, **changes)
    assert problems(rule, estate.snapshot()) == []
    gone = assignment("Network Contributor", subnet.route_table_id or subnet.nat_gateway_id, CONTROL_ID)
    estate.live.append(gone)
    estate.scan()
    estate.delete(gone)
    (hit,) = problems(rule, estate.snapshot(after(1)))
    assert (hit.severity, hit.variant) == (Severity.WARNING, "lost")


def test_kubenet_writes_routes_and_that_is_sure():
    estate = routed(Subnet(id=SUBNET, route_table_id=TABLE), network_plugin="kubenet")
    (hit,) = problems(rule, estate.snapshot())
    assert (hit.severity, hit.variant, hit.key) == (Severity.WARNING, "never", TABLE.lower())


SILENT = {
    "a subnet of its own in the node resource group": {
        "pools": (NodePool(name="system", subnet_id=f"{NODES}/providers/x/virtualNetworks/v/subnets/s"),)
    },
    "no subnet at all": {"pools": (NodePool(name="system"),)},
    "it is being made": {"provisioning_state": "Creating"},
    "it shows no identity": {"identities": ()},
}


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    estate = whole({drift.JOIN})
    estate.cluster = cluster(**SILENT[name])
    assert problems(rule, estate.snapshot()) == []


def test_silent_when_the_right_comes_from_the_virtual_network():
    estate = lost(drift.JOIN)
    estate.live.append(assignment("Network Contributor", SUBNET.split("/subnets/")[0], CONTROL_ID))
    assert problems(rule, estate.snapshot(after(1))) == []


def test_a_right_on_a_subnet_whose_name_only_begins_alike_is_none():
    estate = lost(drift.JOIN)
    estate.live.append(assignment("Network Contributor", SUBNET + "2", CONTROL_ID))
    assert len(problems(rule, estate.snapshot(after(1)))) == 1


def test_a_pool_added_in_another_subnet_is_another_problem():
    estate = whole()
    pools = (*estate.cluster.pools, NodePool(name="user", subnet_id=SUBNET + "2"))
    estate.cluster = replace(estate.cluster, pools=pools)
    (hit,) = problems(rule, estate.snapshot())
    assert (hit.key, hit.variant) == (SUBNET.lower() + "2", "never")
