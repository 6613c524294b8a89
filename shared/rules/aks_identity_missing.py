"""Clusters whose user-assigned identity no longer exists, or was made anew under the same id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..access import UserAssignedIdentity
from ..losses import doubt
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, Runbook, rule

_CONFIRM = 'az identity show --ids {identity_id} --query "[clientId, principalId]"'
_GRANTS = (
    "A new identity has none of the old one's role assignments: grant them again before the cluster uses it. "
    "python -m shared findings lists what the old one held."
)


@rule(
    reads=(ManagedCluster, UserAssignedIdentity),
    drift=True,
    severity=Severity.CRITICAL,
    severities="critical",
    title="A cluster's identity no longer exists",
    runbook=Runbook(
        symptom="The cluster gets no new tokens for this identity. Control plane: Services get no address, disks do "
        "not "
        "attach, scaling fails. Kubelet: new pods cannot pull images, new nodes do not become ready.",
        cause="Somebody deleted the user-assigned identity that the cluster was given. A deleted managed identity "
        "cannot "
        "be restored.",
        confirm=_CONFIRM,
        fix="az identity create --subscription {identity_subscription} --resource-group {identity_group} "
        "--name {identity_name}",
        durable="Put a delete lock on the identity, and keep it in the code that makes the cluster.",
        caveat=f"{_GRANTS} Then give it to the cluster: az aks update --enable-managed-identity "
        "--assign-identity, or --assign-kubelet-identity, "
        "which re-images all nodes.",
    ),
    variants={
        "remade": Runbook(
            symptom="The cluster still uses the client id of the identity that was deleted, and gets no tokens for it: "
            "Services get no address, disks do not attach, new pods cannot pull images.",
            cause="Somebody deleted the identity and made one of the same name. Its id is the same, its client id is "
            "not.",
            confirm=_CONFIRM,
            fix="az aks update --subscription {subscription} --resource-group {resource_group} --name {cluster} "
            "{assign_options} {identity_id}",
            durable="Put a delete lock on the identity, and keep it in the code that makes the cluster.",
            caveat=f"{_GRANTS} Changing the kubelet identity re-images all nodes.",
        ),
    },
    docs="https://learn.microsoft.com/azure/aks/use-managed-identity",
)
def aks_identity_missing(snapshot: Snapshot) -> Iterator[Hit]:
    """The user-assigned cluster or kubelet identity of a cluster was deleted, or made anew under the same id."""
    known = {one.id.lower(): one for one in snapshot.access.identities}
    for cluster in snapshot.clusters:
        if cluster.client_id:
            continue
        if cluster.provisioning_state.lower() in ("creating", "deleting"):
            yield doubt(cluster, "", "the cluster is being made or deleted")
            continue
        given: list[tuple[str, Sequence[str], UserAssignedIdentity]] = [
            ("cluster identity", ("--enable-managed-identity", "--assign-identity"), one) for one in cluster.identities
        ]
        if cluster.kubelet:
            given.append(("kubelet identity", ("--assign-kubelet-identity",), cluster.kubelet))
        for what, option, shown in given:
            found = known.get(shown.id.lower())
            gone = shown.id.lower() in snapshot.access.gone
            if found is None and not gone:
                yield doubt(cluster, shown.id, "the identity could not be read")
            elif gone:
                yield _hit(
                    cluster, what, option, shown, "", f"The {what} {shown.name} of cluster {cluster.name} is gone"
                )
            elif found and shown.client_id and found.client_id and found.client_id.lower() != shown.client_id.lower():
                title = f"The {what} {shown.name} of cluster {cluster.name} was made anew: the cluster uses the old one"
                yield _hit(cluster, what, option, shown, "remade", title)


def _hit(
    cluster: ManagedCluster, what: str, options: Sequence[str], shown: UserAssignedIdentity, variant: str, title: str
) -> Hit:
    parts = shown.id.split("/")
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=shown.id,
        title=title,
        facts={
            "subscription": cluster.subscription_id,
            "resource_group": cluster.resource_group,
            "cluster": cluster.name,
            "identity": what,
            "identity_id": shown.id,
            "identity_subscription": parts[2] if len(parts) > 2 else "",
            "identity_group": parts[4] if len(parts) > 4 else "",
            "identity_name": shown.name,
            "client_id": shown.client_id,
            "assign_options": list(options),
        },
        variant=variant,
    )
