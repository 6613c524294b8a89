import pytest

from shared.access import Permission, RoleDefinition
from shared.model import Severity
from shared.rules import aks_identity_overprivileged as rule
from tests.builders import CLIENT_ID, SP_OBJECT, problems, service_principal
from tests.catalogue import cluster, on_principal, scan
from tests.estate import CONTROL_ID, GROUP, KUBELET_ID, MG, NODES, REGISTRY, SUBNET, S, assignment

SHOP = f"{S}/resourceGroups/shop"


@pytest.mark.parametrize("role", ["Owner", "Contributor", "User Access Administrator"])
@pytest.mark.parametrize("scope", [S, MG, "/", SHOP, S.upper(), f"{NODES}-2"])
@pytest.mark.parametrize("holder", [CONTROL_ID, KUBELET_ID.upper()])
def test_a_broad_role_beyond_the_node_group_is_a_warning(role, scope, holder):
    (hit,) = problems(rule, scan(live=[assignment(role, scope, holder)]))
    assert rule.severity is Severity.WARNING and hit.severity is None
    assert role in hit.title and ("kubelet" in hit.title) is (holder != CONTROL_ID)


def test_a_service_principal_is_told_once_though_it_is_both_identities():
    one = assignment("Owner", S, SP_OBJECT)
    (hit,) = problems(rule, scan(on_principal(), live=[one], principals=[service_principal()]))
    assert "service principal" in hit.title
    assert scan(on_principal()).clusters[0].client_id == CLIENT_ID


def test_a_group_s_role_is_its_members_role():
    one = assignment("Contributor", S, GROUP, principal_type="Group")
    (hit,) = problems(rule, scan(live=[one], groups={KUBELET_ID: [GROUP]}))
    assert any(GROUP in line for line in hit.facts["evidence"])


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(assignment("Contributor", NODES, CONTROL_ID), id="the node resource group is the cluster's own"),
        pytest.param(assignment("Owner", NODES.upper(), CONTROL_ID), id="whatever the case of its id"),
        pytest.param(assignment("Contributor", f"{NODES}/providers/a/b/c", CONTROL_ID), id="a resource in it"),
        pytest.param(assignment("Owner", SUBNET, CONTROL_ID), id="one resource, however broad the role"),
        pytest.param(assignment("Contributor", REGISTRY, KUBELET_ID), id="one registry"),
        pytest.param(assignment("Reader", S, CONTROL_ID), id="a role that changes nothing"),
        pytest.param(assignment("Network Contributor", SHOP, CONTROL_ID), id="a narrower role"),
        pytest.param(assignment("Owner", S, GROUP), id="somebody else's"),
        pytest.param(assignment("Owner", S, CONTROL_ID, condition="@x"), id="a conditional one may be narrow"),
    ],
)
def test_what_is_narrow_is_silent(quiet):
    assert problems(rule, scan(live=[quiet])) == []


def test_a_role_that_could_not_be_read_is_known_by_its_guid():
    unknown = RoleDefinition(id="/x/99999999-0000-4000-8000-00000000ffff", permissions=(Permission(actions=("*",)),))
    assert problems(rule, scan(live=[assignment(unknown, S, CONTROL_ID)])) == []


def test_a_cluster_without_any_identity_is_silent():
    bare = cluster(identity_type="", principal_id="", kubelet=None)
    assert problems(rule, scan(bare, live=[assignment("Owner", S, CONTROL_ID)])) == []
