"""Role assignments that an identity of a cluster held and that are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..access import BaselineGrant, Membership, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..drift import REMOVED, Blind, Watched, again, blurred, judged, surroundings, watched
from ..losses import CACHED, RESTORE, doubt, held, loss_facts, removal_key, story
from ..model import ManagedCluster, Severity, Snapshot
from ..permissions import Verdict
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
    access = snapshot.access
    roles = {one.role_id: one for one in access.definitions}
    known = watched(snapshot.clusters, surroundings(snapshot), access)
    verdicts = again(snapshot)
    blind = {item.cluster.id: item for item in judged(snapshot) if isinstance(item, Blind) and REMOVED in item.rules}
    strangers = any(holder not in known for row in access.baseline if row.lost for holder in row.holders)
    for cluster in snapshot.clusters:
        if cluster.id in blind:
            yield doubt(cluster, "", blind[cluster.id].why)
        elif strangers and blurred(snapshot, [cluster]):
            yield doubt(cluster, "", "whose the lost assignments were could not be read")
    for row in access.baseline:
        for holder in row.holders if row.lost else ():
            identity = known.get(holder)
            if identity is None:
                continue
            key, verdict = removal_key(row, holder), verdicts[row.assignment.key, holder]
            for cluster in identity.clusters:
                if cluster.id in blind:
                    continue
                if verdict is Verdict.YES:
                    yield held(cluster, key)
                elif verdict is not Verdict.NO:
                    yield doubt(cluster, key, "whether it is held again could not be read")
                else:
                    yield _hit(snapshot, row, identity, cluster, key, roles)


def _hit(
    snapshot: Snapshot,
    row: BaselineGrant,
    identity: Watched,
    cluster: ManagedCluster,
    key: str,
    roles: Mapping[str, RoleDefinition],
) -> Hit:
    one = row.assignment
    role = roles.get(one.role_id)
    name = role.name if role and role.name else one.role_id
    place = one.scope.rstrip("/").rsplit("/", 1)[-1] or "the root"
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=key,
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
