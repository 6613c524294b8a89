"""Clusters that may not hand their kubelet identity to new nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Membership, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..drift import ASSIGN
from ..losses import Words, hits, runbooks
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, rule

_RUNBOOKS = runbooks(
    symptom="New nodes cannot be given the kubelet identity (LinkedAuthorizationFailed): scaling, upgrades and new "
    "node pools fail.",
    cause="A kubelet identity that was brought along lies outside the node resource group: the cluster identity needs "
    "Managed Identity Operator on it.",
    durable="Keep the grant in the code that makes the cluster, beside the kubelet identity.",
)


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical when it was held before; warning when it was never seen held",
    title="A cluster may not assign its kubelet identity",
    runbook=_RUNBOOKS["lost"],
    variants=_RUNBOOKS,
    docs="https://learn.microsoft.com/azure/aks/use-managed-identity#bring-your-own-kubelet-managed-identity",
)
def aks_cluster_cannot_assign_kubelet(snapshot: Snapshot) -> Iterator[Hit]:
    """The cluster identity may not assign the kubelet identity that was brought along."""
    yield from hits(
        snapshot,
        ASSIGN,
        Words(
            lost="Cluster {cluster} can no longer give its kubelet identity {target} to new nodes",
            never="Cluster {cluster} has no right to give its kubelet identity {target} to new nodes",
        ),
    )
