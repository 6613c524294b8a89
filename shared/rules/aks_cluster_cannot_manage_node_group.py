"""Clusters that may not manage their node resource group."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Membership, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..drift import MANAGE
from ..losses import Words, hits, runbooks
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, rule

_RUNBOOKS = runbooks(
    symptom="Services get no address (EXTERNAL-IP <pending>), disks do not attach (PersistentVolumeClaim Pending), "
    "scaling and upgrades fail.",
    cause="AKS gives the cluster identity Contributor on the node resource group when it makes the cluster. Somebody "
    "removed it.",
    durable="Nobody needs to touch the role assignments of a node resource group: exclude these groups from clean-ups.",
)


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical when it was held before; warning when it was never seen held",
    title="A cluster may not manage its node resource group",
    runbook=_RUNBOOKS["lost"],
    variants=_RUNBOOKS,
    docs="https://learn.microsoft.com/azure/aks/aks-service-permissions",
)
def aks_cluster_cannot_manage_node_group(snapshot: Snapshot) -> Iterator[Hit]:
    """The cluster identity may not write disks, load balancers, scale sets or machines in the node resource group."""
    yield from hits(
        snapshot,
        MANAGE,
        Words(
            lost="Cluster {cluster} can no longer manage its nodes' resource group {target}",
            never="Cluster {cluster} has no right to manage its nodes' resource group {target}",
        ),
    )
