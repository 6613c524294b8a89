from dataclasses import replace

import pytest

from shared import former
from shared.findings import evaluate
from shared.model import ManagedCluster, Severity
from shared.rules import aks_service_principal_leftover as rule
from tests.builders import CLIENT_ID, NOW, SP_OBJECT, after, application, problems, secret, service_principal, unread
from tests.catalogue import POOLS, cluster, converted, on_principal, remembered, scan
from tests.estate import S, assignment


@pytest.mark.parametrize(
    ("left", "variant"),
    [
        pytest.param({"applications": [application(secret())]}, "", id="a secret of the application"),
        pytest.param({"applications": [application(secret(after(-9)))]}, "", id="even one that has ended"),
        pytest.param({"principals": [service_principal(secret())]}, "", id="a secret of the service principal"),
        pytest.param({"live": [assignment("Reader", S, SP_OBJECT)]}, "", id="a role assignment"),
        pytest.param(
            {"live": [assignment("Reader", S, SP_OBJECT)], "principals": []}, "assignments", id="one of nobody"
        ),
        pytest.param({"images": ("image-1", "image-2")}, "nodes", id="nodes of one pool"),
        pytest.param({"images": ("image-1", "image-1")}, "nodes", id="nodes of all"),
    ],
)
def test_what_is_left_is_told_as_info(left, variant):
    (hit,) = problems(rule, converted(**left))
    assert (rule.severity, hit.severity, hit.variant, hit.key) == (Severity.INFO, None, variant, CLIENT_ID)


def test_the_command_deletes_what_is_there():
    (hit,) = problems(rule, converted(applications=[application(secret())]))
    assert hit.facts["object"] == "app"
    (hit,) = problems(rule, converted(principals=[service_principal(secret())]))
    assert hit.facts["object"] == "sp"


def test_only_the_pools_with_the_image_from_before_are_named():
    (hit,) = problems(rule, converted(("image-1", "image-2")))
    assert hit.facts["node_pools"] == ["system"]


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(converted(), id="converted, nothing left"),
        pytest.param(converted(applications=[application()]), id="an app that can do nothing"),
        pytest.param(converted(live=[assignment("Reader", S, "somebody")]), id="somebody else's assignment"),
        pytest.param(scan(on_principal(pools=POOLS), before=remembered(on_principal(pools=POOLS))), id="not converted"),
        pytest.param(scan(cluster(pools=POOLS), before=remembered(cluster(pools=POOLS))), id="never on one"),
        pytest.param(scan(cluster(pools=POOLS), applications=[application(secret())]), id="nothing known of it"),
        pytest.param(
            scan(
                cluster(pools=POOLS, identity_type="", principal_id=""),
                before=remembered(on_principal(pools=POOLS), principals=[service_principal()]),
                applications=[application(secret())],
            ),
            id="a failed cluster that shows nothing is not converted",
        ),
    ],
)
def test_nothing_left_is_silent(world):
    assert problems(rule, world) == []


def test_a_pool_that_is_new_or_shows_no_image_is_silent():
    assert problems(rule, converted(("", "image-2"))) == []


def test_a_service_principal_that_another_cluster_runs_on_is_no_leftover():
    world = converted(applications=[application(secret())], live=[assignment("Reader", S, SP_OBJECT)])
    other = on_principal(id=f"{S}/resourceGroups/x/providers/Microsoft.ContainerService/managedClusters/y", name="y")
    assert problems(rule, replace(world, clusters=(*world.clusters, other))) == []


def test_while_a_subscription_is_unread_its_clusters_may_still_run_on_the_service_principal():
    world = converted(applications=[application(secret())])
    elsewhere = unread(ManagedCluster, "/subscriptions/another")
    (known,) = evaluate(world, (rule,)).findings
    blind = evaluate(replace(world, unread=(elsewhere,)), (rule,))
    assert (blind.findings, blind.undecided) == ((), {known.fingerprint})


def test_old_nodes_are_known_whatever_else_is_unread():
    world = replace(converted(("image-1", "image-2")), unread=(unread(ManagedCluster, "/subscriptions/another"),))
    assert len(evaluate(world, (rule,)).findings) == 1


def test_the_time_of_the_conversion_stays_the_first_one():
    first = converted(applications=[application(secret())])
    kept = former.kept(first, whole=True)
    later = scan(
        *first.clusters, before=kept[first.clusters[0].id.lower()], now=after(5), applications=[application(secret())]
    )
    (hit,) = problems(rule, later)
    assert f"{NOW:%H:%M} UTC" in hit.facts["evidence"][0] and later.former.popitem()[1].converted == NOW


def test_once_nothing_is_left_it_is_forgotten_unless_something_was_unread():
    world = converted()
    name = world.clusters[0].id.lower()
    assert former.kept(world, whole=True)[name].client_id == ""
    assert former.kept(world, whole=False)[name].client_id == CLIENT_ID
    left = converted(("image-1", "image-2"))
    assert former.kept(left, whole=True)[name].client_id == CLIENT_ID
