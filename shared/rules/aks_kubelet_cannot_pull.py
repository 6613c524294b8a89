"""Kubelet identities that could pull from a registry and may not any more."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Membership, Registry, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..drift import PULL
from ..losses import Words, hits, runbooks
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, rule

_RUNBOOKS = runbooks(
    symptom="New pods cannot pull their images: ImagePullBackOff, 401 Unauthorized from the registry. Running pods go "
    "on until they move.",
    cause="The kubelet identity pulls by AcrPull, by Container Registry Repository Reader on registries with ABAC, or "
    "by any role that holds the same action.",
    durable="az aks update --attach-acr grants AcrPull to the kubelet identity by itself; it refuses registries with "
    "ABAC. az aks check-acr shows whether a node can pull.",
)


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity, Registry),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical: what was never seen held is not known to be needed",
    title="A kubelet identity can no longer pull from a registry",
    runbook=_RUNBOOKS["lost"],
    variants=_RUNBOOKS,
    docs="https://learn.microsoft.com/azure/aks/cluster-container-registry-integration",
)
def aks_kubelet_cannot_pull(snapshot: Snapshot) -> Iterator[Hit]:
    """The kubelet identity of a cluster could pull from a registry, and may not now."""
    yield from hits(
        snapshot,
        PULL,
        Words(
            lost="Cluster {cluster} can no longer pull images from {target}",
            never="Cluster {cluster} may not pull images from {target}",
        ),
    )
