"""Workload identities that may do nothing in Azure, or less than before."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import (
    FederatedIdentityCredential,
    Membership,
    RoleAssignment,
    RoleDefinition,
    UserAssignedIdentity,
)
from ..drift import REMOVED, Watched, again, held_now, surroundings, watched
from ..losses import CACHED, RESTORE, loss_facts, removal_key, removals, story, workload_of
from ..model import ManagedCluster, Severity, Snapshot
from ..permissions import Verdict
from ..rule import Hit, Runbook, fingerprint, rule

_SHOW = "az role assignment list --assignee {holder} --all --include-groups --fill-principal-name false -o table"
_ENTRA = (
    "If it uses only Microsoft Graph, a database user or an access policy of a key vault, it needs no role: "
    "silence this "
    "finding, or leave it, it is announced to nobody."
)


@rule(
    reads=(
        ManagedCluster,
        RoleAssignment,
        RoleDefinition,
        Membership,
        UserAssignedIdentity,
        FederatedIdentityCredential,
    ),
    absence=(RoleAssignment, Membership),
    drift=True,
    severity=Severity.INFO,
    severities="info if no role was ever seen: it may use Graph, a database or an access policy; warning if it "
    "lost one",
    title="A workload identity has no role",
    runbook=Runbook(
        symptom="Pods that sign in as it are refused: 403 from Key Vault, Storage or whatever they call.",
        cause="A service account of the cluster may sign in as this identity, and nobody gave it a role.",
        confirm=_SHOW,
        fix="az role assignment create --assignee-object-id {holder} --assignee-principal-type ServicePrincipal --role "
        '"$ROLE" --scope "$SCOPE"',
        durable="Grant the role on the target in the code that makes the identity.",
        caveat=f"Set ROLE and SCOPE first, such as Key Vault Secrets User and the id of the vault. {_ENTRA}",
    ),
    variants={
        "lost": Runbook(
            symptom="Pods that sign in as it are refused what they did by this role: 403 from Key Vault, Storage or "
            "whatever they call.",
            cause="Somebody deleted a role assignment of the identity, or the resource that it hung on.",
            confirm=_SHOW,
            fix=RESTORE,
            durable="Grant the role in the code that makes the identity. If it was meant, say so: python -m "
            "shared accept, "
            "with the fingerprint and a comment.",
            caveat=CACHED,
        ),
    },
    docs="https://learn.microsoft.com/azure/aks/workload-identity-overview",
)
def workload_identity_without_role(snapshot: Snapshot) -> Iterator[Hit]:
    """A workload identity of a live cluster holds no role at all, or lost one that nothing else gives it."""
    now = held_now(snapshot.access)
    known = watched(snapshot.clusters, surroundings(snapshot), snapshot.access)
    lost: dict[str, list[str]] = {}
    rows = {}
    for row, holder, identity in removals(snapshot, known):
        if workload_of(identity):
            rows[row.assignment.key] = row
            lost.setdefault(holder, []).append(row.assignment.key)
    unclear = {holder for (_, holder), verdict in again(snapshot).items() if verdict is Verdict.UNKNOWN}
    for holder, identity in known.items():
        if not workload_of(identity):
            continue
        if not now.complete(holder):
            yield from _each(identity, holder, doubt="its groups could not be read")
        elif holder in lost:
            many = sorted((rows[key] for key in lost[holder]), key=lambda row: str(row.deleted_at), reverse=True)
            role = next(
                (
                    one.name
                    for one in snapshot.access.definitions
                    if one.role_id == many[0].assignment.role_id and one.name
                ),
                many[0].assignment.role_id,
            )
            place = many[0].assignment.scope.rstrip("/").rsplit("/", 1)[-1] or "the root"
            more = f" and {len(many) - 1} more" if len(many) > 1 else ""
            for cluster in identity.clusters:
                yield Hit(
                    resource_id=cluster.id,
                    resource_name=cluster.name,
                    key=holder,
                    title=f"The {identity.name} of cluster {cluster.name} lost role {role} on {place}{more}",
                    facts={
                        **_facts(identity, cluster),
                        "principal_id": identity.principal_id,
                        "targets": [row.assignment.scope for row in many],
                        **loss_facts(many[0], *many[1:]),
                        "evidence": [line for row in many[:5] for line in story(row, snapshot, identity.name)],
                    },
                    severity=Severity.WARNING,
                    variant="lost",
                    lost_at=many[0].deleted_at,
                    includes=tuple(fingerprint(REMOVED, cluster.id, removal_key(row, holder)) for row in many),
                )
        elif holder in unclear:
            yield from _each(identity, holder, doubt="whether it holds again what it lost could not be read")
        elif not now.of(holder):
            for cluster in identity.clusters:
                yield Hit(
                    resource_id=cluster.id,
                    resource_name=cluster.name,
                    key=holder,
                    title=f"The {identity.name} of cluster {cluster.name} holds no role in Azure",
                    facts=_facts(identity, cluster),
                )


def _facts(identity: Watched, cluster: ManagedCluster) -> dict[str, str]:
    return {
        "subscription": cluster.subscription_id,
        "resource_group": cluster.resource_group,
        "cluster": cluster.name,
        "holder": identity.principal_id,
    }


def _each(identity: Watched, holder: str, *, doubt: str) -> Iterator[Hit]:
    for one in identity.clusters:
        yield Hit(resource_id=one.id, resource_name=one.name, key=holder, title="", facts={}, doubt=doubt)
