"""Clusters whose identities may do far more than they need."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import Level, Membership, RoleAssignment, UserAssignedIdentity, level
from ..drift import held_now, surroundings
from ..model import ManagedCluster, ServicePrincipal, Severity, Snapshot, covers
from ..needs import CONTRIBUTOR, BuiltInRole, Identity, principal
from ..permissions import Grant
from ..rule import Hit, Runbook, rule

OWNER = BuiltInRole(name="Owner", role_id="8e3af657-a8ff-443c-a75c-2fe8c4bcb635")
ACCESS = BuiltInRole(name="User Access Administrator", role_id="18d7d88d-d35e-4fb5-a5c3-7773c20a72d9")
BROAD = {one.role_id: one for one in (OWNER, CONTRIBUTOR, ACCESS)}


@rule(
    reads=(ManagedCluster, RoleAssignment, Membership, UserAssignedIdentity, ServicePrincipal),
    severity=Severity.WARNING,
    severities="warning",
    title="A cluster's identity may do far more than it needs",
    runbook=Runbook(
        symptom="Nothing breaks. But whoever gets onto a node, or into a pod that reaches the node's token endpoint, "
        "can do all of this.",
        cause="Somebody gave the identity Owner, Contributor or User Access Administrator where a narrow role would "
        "have been enough.",
        confirm="az role assignment list --assignee {principal_id} --scope {scope} --include-inherited "
        "--include-groups --fill-principal-name false -o table",
        fix="python -m shared impact --assignment {assignment}\naz role assignment delete --ids {assignment}",
        durable="Narrow roles at narrow scopes: Contributor on the node resource group, Network Contributor on the "
        "subnet, AcrPull on the registry.",
        caveat="What the first command names rests on this assignment: grant the narrow roles for it, wait ten "
        "minutes, and only then delete the broad one. A group's assignment is that of all its members.",
    ),
    docs="https://learn.microsoft.com/azure/aks/concepts-identity",
)
def aks_identity_overprivileged(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster or kubelet identity is Owner, Contributor or User Access Administrator beyond its node group."""
    now, around = held_now(snapshot.access), surroundings(snapshot)
    for cluster in snapshot.clusters:
        told = set()
        for identity in (Identity.CLUSTER, Identity.KUBELET):
            holder = principal(cluster, identity, around)
            for grant in now.of(holder) if isinstance(holder, str) else ():
                key = f"{holder}|{grant.assignment.role_id}|{grant.assignment.scope}".lower()
                # A conditional grant is less than it seems; one service principal is both identities.
                if _broad(cluster, grant) and not grant.assignment.condition and key not in told:
                    told.add(key)
                    yield _hit(cluster, identity, str(holder), grant, key)


def _broad(cluster: ManagedCluster, grant: Grant) -> bool:
    scope = grant.assignment.scope
    if grant.assignment.role_id not in BROAD:
        return False
    if level(scope) is Level.RESOURCE_GROUP:
        return not (cluster.node_group_id and covers(cluster.node_group_id, scope))
    return level(scope) in (Level.ROOT, Level.MANAGEMENT_GROUP, Level.SUBSCRIPTION)


def _hit(cluster: ManagedCluster, identity: Identity, holder: str, grant: Grant, key: str) -> Hit:
    one = grant.assignment
    name = "service principal" if cluster.client_id else f"{identity.value} identity"
    role, what = BROAD[one.role_id].name, level(one.scope)
    place = one.scope.rstrip("/").rsplit("/", 1)[-1]
    where = "at the root of the tenant" if what is Level.ROOT else f"on {what} {place}"
    via = [f"It holds it as a member of group {grant.group}."] if grant.group else []
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=key,
        title=f"The {name} of cluster {cluster.name} is {role} {where}",
        facts={
            "subscription": cluster.subscription_id,
            "resource_group": cluster.resource_group,
            "cluster": cluster.name,
            "principal_id": holder,
            "scope": one.scope,
            "assignment": one.id,
            "evidence": [f"Role {role} at {one.scope}.", *via],
        },
    )
