"""Clusters that may not join the subnet, route table or NAT gateway they were given."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Membership, RoleAssignment, RoleDefinition, Subnet, UserAssignedIdentity
from ..drift import JOIN
from ..losses import Words, hits, runbooks
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, rule

_RUNBOOKS = runbooks(
    symptom="New nodes and load balancers cannot join the subnet (LinkedAuthorizationFailed): scaling and upgrades "
    "fail, Services get no address (EXTERNAL-IP <pending>).",
    cause="A subnet that was brought along is not the cluster's own: its identity needs Network Contributor on it, "
    "and on the route table or NAT gateway behind it where it uses them.",
    durable="Keep the grant in the code that makes the cluster, beside the subnet.",
)


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity, Subnet),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical when it was held before; warning when it was never seen held, or for what most clusters do "
    "without",
    title="A cluster may not use its subnet",
    runbook=_RUNBOOKS["lost"],
    variants=_RUNBOOKS,
    docs="https://learn.microsoft.com/azure/aks/configure-azure-cni",
)
def aks_cluster_cannot_join_subnet(snapshot: Snapshot) -> Iterator[Hit]:
    """The cluster identity has no right to join a subnet that was brought along, or what hangs on it."""
    yield from hits(
        snapshot,
        JOIN,
        Words(
            lost="Cluster {cluster} can no longer use its network {target}",
            never="Cluster {cluster} has no right on its network {target}",
        ),
    )
