"""Clusters that still use pod-managed identity."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import ManagedCluster, Severity, Snapshot, Subscription
from ..rule import Hit, Runbook, rule


@rule(
    reads=(ManagedCluster, Subscription),
    severity=Severity.WARNING,
    severities="warning",
    title="A cluster uses pod-managed identity",
    runbook=Runbook(
        symptom="Nothing yet. When the add-on breaks, pods get no tokens for their identities: 403 from Key Vault and "
        "Storage. Nobody mends it any more.",
        cause="Pod-managed identity was deprecated in October 2022, and support for the add-on ended in "
        "September 2025.",
        confirm="az aks show --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        "--query podIdentityProfile",
        fix="az aks update --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        "--enable-oidc-issuer --enable-workload-identity",
        durable="Move each workload to workload identity: a federated credential for its service account, the label "
        "azure.workload.identity/use on its pods. Then switch pod-managed identity off, "
        "with the extension aks-preview.",
        caveat="The command only prepares: the OIDC issuer cannot be switched off again, and pods go on with "
        "pod-managed identity until they are moved. Which pods use it stands in the cluster (AzureIdentityBinding), "
        "which Fusewatch does not read.",
    ),
    docs="https://learn.microsoft.com/azure/aks/use-azure-ad-pod-identity",
)
def aks_pod_identity_deprecated(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster has pod-managed identity switched on, which nobody supports any more."""
    for cluster in snapshot.clusters:
        if cluster.pod_identity:
            yield Hit(
                resource_id=cluster.id,
                resource_name=cluster.name,
                key="",
                title=f"Cluster {cluster.name} uses pod-managed identity, which is not supported any more",
                facts={
                    "subscription": cluster.subscription_id,
                    "resource_group": cluster.resource_group,
                    "cluster": cluster.name,
                },
            )
