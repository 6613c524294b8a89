"""Clusters that still run on a service principal."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import ManagedCluster, Severity, Snapshot, Subscription
from ..rule import Fact, Hit, Runbook, rule

CONVERT = (
    "Convert the cluster to a managed identity, in a change window: az aks update --enable-managed-identity, then "
    "upgrade the node image of every pool (they keep the service principal until then), --attach-acr for each "
    "registry, check, and only then delete the service principal. It cannot be undone."
)


def cluster_facts(cluster: ManagedCluster) -> dict[str, Fact]:
    """The facts of a cluster that every command about its service principal needs."""
    return {
        "subscription": cluster.subscription_id,
        "resource_group": cluster.resource_group,
        "cluster": cluster.name,
        "client_id": cluster.client_id,
        "node_pools": list(cluster.node_pools),
    }


@rule(
    reads=(ManagedCluster, Subscription),
    severity=Severity.INFO,
    severities="info",
    title="A cluster runs on a service principal",
    runbook=Runbook(
        symptom="Nothing yet. Some day its secret or certificate ends, and the cluster limps.",
        cause="The cluster was made with a service principal; a managed identity has no credential that ends.",
        confirm="az aks show --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        "--query servicePrincipalProfile.clientId --output tsv",
        fix="az aks update --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        "--enable-managed-identity",
        durable=CONVERT,
        caveat="The command re-images all nodes, needs a newer node image to be available, and cannot be undone.",
    ),
    docs="https://learn.microsoft.com/azure/aks/use-managed-identity",
)
def aks_service_principal_cluster(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster acts in Azure as a service principal, so that it depends on a credential that ends."""
    for cluster in snapshot.clusters:
        if cluster.client_id:
            yield Hit(
                resource_id=cluster.id,
                resource_name=cluster.name,
                key=cluster.client_id,
                title=f"Cluster {cluster.name} runs on a service principal",
                facts=cluster_facts(cluster),
            )
