from dataclasses import replace

import pytest

from shared import drift
from shared.model import Severity
from shared.rule import command
from shared.rules.aks_cluster_cannot_assign_kubelet import aks_cluster_cannot_assign_kubelet as rule
from tests.builders import after, problems
from tests.estate import CONTROL_ID, IDENTITIES, KUBELET, NODES, assignment, cluster, lost, only, whole

ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
OWN = replace(KUBELET, id=f"{NODES}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/prod-weu-agentpool")


def test_a_kubelet_identity_that_may_not_be_given_to_nodes_any_more():
    (hit,) = problems(rule, lost(drift.ASSIGN).snapshot(after(1)))
    assert (hit.severity, hit.variant, hit.key) == (Severity.CRITICAL, "lost", KUBELET.id.lower())
    assert hit.facts["principal_id"] == CONTROL_ID, "the control plane assigns it, not the kubelet"
    assert command(rule.runbook("lost").fix, hit.facts).endswith(
        f"--role f1a07417-d97a-45cb-824c-7a7467783830 --scope {KUBELET.id}"
    )


@pytest.mark.parametrize(
    ("action", "number"),
    [
        (ASSIGN, 0),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", 0),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/*/read", 1),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/write", 1),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/*", 0),
    ],
)
def test_the_one_action_is_needed_and_no_other(action, number):
    assert len(problems(rule, only(drift.ASSIGN, action).snapshot())) == number


SILENT = {
    "the identity that AKS made": {"kubelet": OWN},
    "no kubelet shown": {"kubelet": None},
    "a service principal": {"client_id": "4444", "identities": (), "kubelet": None},
    "it is being deleted": {"provisioning_state": "Deleting"},
}


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    estate = whole({drift.ASSIGN})
    estate.cluster = cluster(**SILENT[name])
    assert problems(rule, estate.snapshot()) == []


def test_silent_when_the_right_is_on_the_resource_group():
    estate = lost(drift.ASSIGN)
    estate.live.append(assignment("Managed Identity Operator", IDENTITIES.split("/providers/")[0], CONTROL_ID))
    assert problems(rule, estate.snapshot(after(1))) == []


def test_another_kubelet_identity_is_another_problem_and_the_old_one_none():
    estate = lost(drift.ASSIGN)
    other = replace(KUBELET, id=f"{IDENTITIES}/second")
    estate.cluster = cluster(kubelet=other)
    estate.identities = (*estate.identities, other)
    (hit,) = problems(rule, estate.snapshot(after(1)))
    assert (hit.key, hit.variant, hit.severity) == (other.id.lower(), "never", Severity.WARNING)
