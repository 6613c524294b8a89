"""Clusters that act as another principal than before, which does not hold what the old one held."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import BaselineGrant, Membership, RoleAssignment, RoleDefinition, UserAssignedIdentity
from ..former import Succession, successions
from ..losses import CACHED, RESTORE, loss_facts
from ..model import ManagedCluster, ServicePrincipal, Severity, Snapshot
from ..needs import Identity
from ..permissions import Verdict, permits
from ..rule import Hit, Runbook, command, date_text, rule

MOST = 20
"""How many lost grants a finding tells with their commands; it names no more than the baseline holds."""
PULLS = (
    "Microsoft.ContainerRegistry/registries/pull/read",
    "Microsoft.ContainerRegistry/registries/repositories/content/read",
)
"""What makes a right one of the kubelet, where a service principal was both identities."""


@rule(
    reads=(ManagedCluster, RoleAssignment, RoleDefinition, Membership, UserAssignedIdentity, ServicePrincipal),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical",
    title="A cluster acts as another identity, without the rights of the old one",
    runbook=Runbook(
        symptom="What the cluster could do before, it cannot now: new pods cannot pull images, Services get no address "
        "(EXTERNAL-IP <pending>), nodes cannot join their subnet. Which of these depends on what was lost.",
        cause="The cluster was made anew, or given another identity. A system-assigned identity, and the kubelet "
        "identity that AKS makes, are new with each cluster, under the same names; role assignments are not "
        "taken along.",
        confirm="az role assignment list --assignee {principal_id} --all --include-groups --fill-principal-name false "
        "-o table",
        fix=RESTORE,
        durable="Give the cluster user-assigned identities, which outlive it, and keep their role assignments in the "
        "code that makes it. If a right is not needed any more, say so: python -m shared accept, with the "
        "fingerprint and a comment.",
        caveat=f"The command restores one right; the others have theirs above. {CACHED}",
    ),
    docs="https://learn.microsoft.com/azure/aks/use-managed-identity",
)
def aks_identity_replaced(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster acts as another principal than the one before, and does not hold what that one held."""
    for cluster in snapshot.clusters:
        if cluster.provisioning_state.lower() in ("creating", "deleting"):
            yield _doubt(cluster, "", "the cluster is being made or deleted")
    for one in successions(snapshot):
        if one.cluster.provisioning_state.lower() in ("creating", "deleting"):
            continue
        if one.missing:
            yield _hit(one, snapshot)
        elif one.unclear:
            yield _doubt(one.cluster, one.before, "whether the new identity holds these rights could not be read")


def _doubt(cluster: ManagedCluster, key: str, why: str) -> Hit:
    return Hit(resource_id=cluster.id, resource_name=cluster.name, key=key, title="", facts={}, doubt=why)


def _hit(one: Succession, snapshot: Snapshot) -> Hit:
    cluster = one.cluster
    roles = {role.role_id: role for role in snapshot.access.definitions}

    def name(row: BaselineGrant) -> str:
        role = roles.get(row.assignment.role_id)
        return role.name if role and role.name else row.assignment.role_id

    def place(row: BaselineGrant) -> str:
        return row.assignment.scope.rstrip("/").rsplit("/", 1)[-1] or "the root"

    rows = sorted(one.missing, key=lambda row: (not _pulls(row, snapshot), row.assignment.key))
    heirs = {row.assignment.key: _heir(row, one, snapshot) for row in rows}
    first, identity = heirs[rows[0].assignment.key]
    kinds = sorted({kind for _, kind in one.after})
    what = "identities" if len(kinds) > 1 else f"{kinds[0]} identity"
    lost = [f"{name(row)} on {place(row)}" for row in rows[:3]] + ([f"{len(rows) - 3} more"] if len(rows) > 3 else [])
    evidence = [
        f"The {what} was {one.before} before, and is {' and '.join(dict.fromkeys(new for new, _ in one.after))} since "
        f"{date_text(one.since)}, {one.since:%H:%M} UTC at the latest."
    ]
    for row in rows[:MOST]:
        new, kind = heirs[row.assignment.key]
        line = command(RESTORE, {**loss_facts(row), "lost_principal": new, "lost_type": "ServicePrincipal"})
        evidence.append(
            f"The {kind} identity does not hold role {name(row)} at {row.assignment.scope}. To give it: {line}"
        )
    if len(rows) > MOST:
        evidence.append(f"… and {len(rows) - MOST} more.")
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=one.before,
        title=f"Cluster {cluster.name} has another {'identity' if len(kinds) > 1 else what}, without what the old one "
        f"held: {', '.join(lost)}",
        facts={
            "subscription": cluster.subscription_id,
            "resource_group": cluster.resource_group,
            "cluster": cluster.name,
            "identity": identity,
            "before": one.before,
            **loss_facts(rows[0], *rows[1:]),
            "principal_id": first,
            "lost_principal": first,
            "lost_type": "ServicePrincipal",
            # Settle asks for what each of them holds: any one may have it all.
            "successors": list(dict.fromkeys(new for new, _ in one.after)),
            "targets": [row.assignment.scope for row in rows],
            "evidence": evidence,
        },
        lost_at=one.since,
    )


def _pulls(row: BaselineGrant, snapshot: Snapshot) -> bool:
    role = next((role for role in snapshot.access.definitions if role.role_id == row.assignment.role_id), None)
    return role is not None and any(
        permits(role, action, data=data) is not Verdict.NO for action, data in zip(PULLS, (False, True), strict=True)
    )


def _heir(row: BaselineGrant, one: Succession, snapshot: Snapshot) -> tuple[str, str]:
    """Who should hold a right now, and which of the cluster's identities that is."""
    wanted = Identity.KUBELET if _pulls(row, snapshot) else Identity.CLUSTER
    return next((heir for heir in one.after if heir[1] == wanted.value), one.after[0])
