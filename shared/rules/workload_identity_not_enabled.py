"""Clusters that federated credentials rely on, without the issuer or the webhook that these need."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import FederatedIdentityCredential, UserAssignedIdentity
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, Runbook, rule
from ..workloads import Trust, holder_text, trusts


@rule(
    reads=(ManagedCluster, FederatedIdentityCredential, UserAssignedIdentity),
    severity=Severity.WARNING,
    severities="warning",
    title="Workload identity is not switched on",
    runbook=Runbook(
        symptom="Pods get no token: their AZURE_FEDERATED_TOKEN_FILE is not there, or Entra cannot read the cluster's "
        "issuer.",
        cause="Federated credentials name this cluster, but its OIDC issuer or the workload-identity webhook, which "
        "hands the tokens to pods, is off. A webhook that somebody installed by hand is not seen from Azure.",
        confirm="az aks show --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        '--query "[oidcIssuerProfile, securityProfile.workloadIdentity]"',
        fix="az aks update --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        "--enable-oidc-issuer --enable-workload-identity",
        durable="Switch both on in the code that makes the cluster.",
        caveat="The OIDC issuer cannot be switched off again. Pods get the token when they are made anew. If you "
        "run the "
        "open-source webhook yourself, silence this finding, or move to the add-on.",
    ),
    docs="https://learn.microsoft.com/azure/aks/workload-identity-deploy-cluster",
)
def workload_identity_not_enabled(snapshot: Snapshot) -> Iterator[Hit]:
    """A federated credential names a cluster whose OIDC issuer or workload-identity webhook is off."""
    found: dict[str, list[Trust]] = {}
    for one in trusts(snapshot):
        # A credential for an issuer that the cluster has no more is another rule's.
        if one.cluster and (one.exact or one.slash or not one.live) and not _on(one.cluster):
            found.setdefault(one.cluster.id.lower(), []).append(one)
    for many in found.values():
        cluster = many[0].cluster
        assert cluster
        what = "the workload-identity webhook" if cluster.oidc_issuer else "the OIDC issuer"
        number = f"{len(many)} federated credential{'' if len(many) == 1 else 's'}"
        yield Hit(
            resource_id=cluster.id,
            resource_name=cluster.name,
            key="",
            title=f"{number} rely on cluster {cluster.name}, where {what} is off".replace(
                "credential rely", "credential relies"
            ),
            facts={
                "subscription": cluster.subscription_id,
                "resource_group": cluster.resource_group,
                "cluster": cluster.name,
                "evidence": [f"{one.credential.name} of {holder_text(one.credential)}" for one in many[:20]],
            },
        )


def _on(cluster: ManagedCluster) -> bool:
    return bool(cluster.oidc_issuer) and cluster.workload_identity
