"""Private clusters that may not write their own DNS zone."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Membership, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..drift import DNS
from ..losses import Words, hits, runbooks
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, rule

_RUNBOOKS = runbooks(
    symptom="The API server's record is not written when its address changes, as after a stop and start: nodes and "
    "people cannot find the API server. Updates of the cluster fail.",
    cause="A private DNS zone that was brought along is not the cluster's own: its identity needs Private DNS Zone "
    "Contributor on it.",
    durable="Keep the grant in the code that makes the cluster, beside the zone.",
)


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical when it was held before; warning when it was never seen held",
    title="A private cluster may not write its DNS zone",
    runbook=_RUNBOOKS["lost"],
    variants=_RUNBOOKS,
    docs="https://learn.microsoft.com/azure/aks/private-clusters#configure-a-private-dns-zone",
)
def aks_cluster_cannot_edit_dns_zone(snapshot: Snapshot) -> Iterator[Hit]:
    """The cluster identity may not write the private DNS zone that was brought along."""
    yield from hits(
        snapshot,
        DNS,
        Words(
            lost="Cluster {cluster} can no longer write its private DNS zone {target}",
            never="Cluster {cluster} has no right to write its private DNS zone {target}",
        ),
    )
