"""What a cluster was: whose grants still matter, and which the new identity is owed."""

from shared.former import Former, all_seen, owed, principals
from tests.builders import SP_OBJECT, cluster
from tests.catalogue import NEW_CONTROL, NEW_KUBELET, converted, on_principal, rebuilt, replaced, scan
from tests.estate import CONTROL_ID, KUBELET_ID, NODES, REGISTRY, SUBNET, assignment


def test_the_grants_of_a_replaced_identity_matter_beside_those_of_the_new_one():
    (former,) = replaced().former.values()
    assert principals(former) >= {CONTROL_ID, KUBELET_ID, NEW_CONTROL, NEW_KUBELET}


def test_the_service_principal_of_a_converted_cluster_matters_and_no_others():
    (former,) = converted().former.values()
    assert SP_OBJECT in principals(former)
    assert principals(Former()) == frozenset()


def test_what_the_new_identity_lacks_is_owed_until_it_holds_it():
    owing = replaced(assignment("AcrPull", REGISTRY, NEW_KUBELET))
    scopes = {key.partition("/providers/microsoft.authorization/")[0] for key in owed(owing)}
    assert scopes == {SUBNET.lower(), NODES.lower()}
    assert owed(scan(rebuilt())) == frozenset()


def test_every_cluster_is_known_by_its_lower_case_id():
    world = scan(cluster())
    assert all_seen(world, {}).keys() == {one.id.lower() for one in world.clusters}
    assert all_seen(scan(on_principal()), all_seen(world, {})) != all_seen(world, {})
