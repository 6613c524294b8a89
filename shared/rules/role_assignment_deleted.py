"""Role assignments that an identity of a cluster held and that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Membership, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..drift import CACHED, RESTORE, loss_facts, removal_key, removals, story, surroundings, watched
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, Runbook, rule

SHOW = (
    "az role assignment list --assignee {lost_principal} --scope {lost_scope} --include-inherited --include-groups "
    "--fill-principal-name false -o table"
)


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity),
    drift=True,
    severity=Severity.WARNING,
    severities="warning; where another rule says what breaks, that one is told and this is its evidence",
    title="A role assignment of a cluster's identity is gone",
    runbook=Runbook(
        symptom="What the identity did with this right, it cannot do any more. Nothing that Fusewatch knows to be "
        "needed "
        "by the cluster itself rests on it; an add-on or a workload may.",
        cause="Somebody deleted it, or the resource or group that it hung on.",
        confirm=SHOW,
        fix=RESTORE,
        durable="If it was meant, say so: python -m shared accept, with the fingerprint and a comment.",
        caveat=CACHED,
    ),
    docs="https://learn.microsoft.com/azure/role-based-access-control/role-assignments-list-cli",
)
def role_assignment_deleted(snapshot: Snapshot) -> Iterator[Hit]:
    """An assignment of a cluster's identity, or of a group it is in, is gone, and nothing else grants the same."""
    definitions = {one.role_id: one for one in snapshot.access.definitions}
    known = watched(snapshot.clusters, surroundings(snapshot), snapshot.access)
    for row, holder, identity in removals(snapshot, known):
        one = row.assignment
        role = definitions.get(one.role_id)
        name = role.name if role and role.name else one.role_id
        place = one.scope.rstrip("/").rsplit("/", 1)[-1] or "the root"
        for cluster in identity.clusters:
            yield Hit(
                resource_id=cluster.id,
                resource_name=cluster.name,
                key=removal_key(row, holder),
                title=f"The {identity.name} of cluster {cluster.name} lost role {name} on {place}",
                facts={
                    "subscription": cluster.subscription_id,
                    "resource_group": cluster.resource_group,
                    "cluster": cluster.name,
                    "principal_id": identity.principal_id,
                    **loss_facts(row),
                    "evidence": story(row, snapshot, identity.name),
                },
                lost_at=row.deleted_at,
            )
