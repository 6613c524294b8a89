import pytest

from shared.model import Severity
from shared.rules import aks_service_principal_cluster as rule
from tests.builders import CLIENT_ID, cluster, hits


def test_a_cluster_on_a_service_principal():
    (hit,) = hits(rule, cluster())
    assert (hit.resource_id, hit.key, rule.severity) == (cluster().id, CLIENT_ID, Severity.INFO)
    assert hit.title == "Cluster prod-weu runs on a service principal"
    assert hit.facts["node_pools"] == ["system", "web"]


@pytest.mark.parametrize(
    "clusters",
    [
        pytest.param([], id="no cluster"),
        pytest.param([cluster(client_id="")], id="a cluster on a managed identity"),
    ],
)
def test_silent(clusters):
    assert hits(rule, *clusters) == []


def test_each_cluster_is_a_finding():
    assert [hit.resource_name for hit in hits(rule, cluster(name="a"), cluster(client_id=""), cluster(name="b"))] == [
        "a",
        "b",
    ]
