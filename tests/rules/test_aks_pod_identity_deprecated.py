from shared.model import ManagedCluster, Severity
from shared.rules import aks_pod_identity_deprecated as rule
from tests.builders import problems, unread
from tests.catalogue import cluster, scan


def test_pod_identity_that_is_on_is_a_warning():
    (hit,) = problems(rule, scan(cluster(pod_identity=True)))
    assert (hit.resource_name, rule.severity) == ("prod-weu", Severity.WARNING)


def test_pod_identity_that_is_off_or_not_shown_is_silent():
    assert problems(rule, scan(cluster())) == []


def test_a_tenant_without_clusters_is_silent():
    assert problems(rule, scan(unread=[unread(ManagedCluster)], clusters=())) == []
