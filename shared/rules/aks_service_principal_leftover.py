"""What converted clusters have left of the service principal that they ran on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..access import RoleAssignment
from ..former import Leftover, leftovers
from ..model import TENANT, Application, ManagedCluster, ServicePrincipal, Severity, Snapshot
from ..rule import Hit, Runbook, date_text, rule

_GENERAL = Runbook(
    symptom="Nothing breaks. A secret that nobody needs can still sign in, and a clean-up meets an app that "
    "nobody dares "
    "to delete.",
    cause="The cluster was converted to a managed identity; its service principal stays in Entra, with its credentials "
    "and role assignments, until somebody deletes it.",
    confirm="az ad {object} credential list --id {client_id}\n"
    "az role assignment list --assignee {client_id} --all --fill-principal-name false -o table\n"
    "az aks nodepool list --subscription {subscription} --resource-group {resource_group} --cluster-name {cluster} "
    '--query "[].[name, nodeImageVersion]"',
    fix="az ad {object} delete --id {client_id}",
    durable="Delete it with its role assignments, once nothing else signs in as it.",
    caveat="Fusewatch knows the clusters that use it, and no pipeline or script: look at its sign-ins first. A "
    "deleted app "
    "can be restored for 30 days.",
)


@rule(
    reads=(ManagedCluster, Application, ServicePrincipal, RoleAssignment),
    absence=(ManagedCluster,),
    severity=Severity.INFO,
    severities="info",
    title="A converted cluster has left its service principal behind",
    runbook=_GENERAL,
    variants={
        "nodes": Runbook(
            symptom="Nodes that still run the old image act as the service principal: if it is deleted or its secret "
            "ends, they cannot pull images any more.",
            cause="The cluster was converted to a managed identity, but a node keeps the service principal until its "
            "image is upgraded.",
            confirm=_GENERAL.confirm,
            fix="az aks upgrade --subscription {subscription} --resource-group {resource_group} --name {cluster} "
            "--node-image-only",
            durable="Upgrade the node image of every pool, and only then delete the service principal.",
            caveat="The upgrade re-images all nodes, pool by pool, and needs a newer image to be available.",
        ),
        "assignments": replace(
            _GENERAL,
            symptom="Nothing breaks. Role assignments of an unknown principal clutter every list.",
            cause="The cluster was converted and its service principal deleted; role assignments outlive their "
            "principal.",
            confirm="az role assignment list --assignee {principal_id} --all --fill-principal-name false -o table",
            fix="az role assignment delete --ids {assignments}",
            durable="Delete them; nobody holds them.",
            caveat="Deleted role assignments cannot be restored, only made anew.",
        ),
    },
    docs="https://learn.microsoft.com/azure/aks/use-managed-identity",
)
def aks_service_principal_leftover(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster was converted to a managed identity, and its old service principal or nodes that use it are left."""
    for one in leftovers(snapshot):
        cluster = one.cluster
        former = snapshot.former[cluster.id.lower()]
        alive = one.application or one.service_principal
        yield Hit(
            resource_id=cluster.id,
            resource_name=cluster.name,
            key=one.client_id,
            title=f"Cluster {cluster.name} runs on a managed identity, and {_what(one)}",
            facts={
                "subscription": cluster.subscription_id,
                "resource_group": cluster.resource_group,
                "cluster": cluster.name,
                "client_id": one.client_id,
                "principal_id": former.service_principal,
                "object": "app" if one.application else "sp",
                "assignments": list(one.assignments),
                "node_pools": list(one.pools),
                "evidence": [
                    f"The conversion was seen on {date_text(one.converted)}, {one.converted:%H:%M} UTC.",
                    *_left(one),
                ],
            },
            # Any cluster that was not read may still run on the service principal; its old nodes are this one's.
            absent_in=cluster.id if one.pools else TENANT,
            variant="nodes" if one.pools else "" if alive else "assignments",
        )


def _what(one: Leftover) -> str:
    if one.pools:
        return f"nodes of {len(one.pools)} of its pools still use the service principal"
    return "its old service principal is still there" if one.credentials else "its old one still holds roles"


def _left(one: Leftover) -> list[str]:
    lines = []
    if one.pools:
        lines.append(f"Node pools with the image from before: {', '.join(one.pools)}.")
    if one.credentials:
        lines.append(f"Secrets and certificates left: {one.credentials}.")
    if one.assignments:
        lines.append(f"Role assignments left: {len(one.assignments)}.")
    return lines
