"""Clusters whose service principal or application is gone, disabled, or out of sight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import (
    Application,
    DeletedApplication,
    ManagedCluster,
    ServicePrincipal,
    Severity,
    Snapshot,
    Subscription,
)
from ..rule import Hit, Runbook, date_text, rule
from .aks_service_principal_cluster import CONVERT, cluster_facts

_DELETED = "https://graph.microsoft.com/v1.0/directory/deletedItems"
_CONFIRM = (
    "az ad app show --id {client_id} --query appId\n"
    'az ad sp show --id {client_id} --query "[accountEnabled, appOwnerOrganizationId]"'
)
_SYMPTOM = (
    "Every new call of the cluster to Azure fails: new nodes cannot pull images, services get no address "
    "(EXTERNAL-IP <pending>), disks do not attach."
)


@rule(
    reads=(ManagedCluster, Application, ServicePrincipal, DeletedApplication, Subscription),
    absence=(Application, ServicePrincipal, DeletedApplication),
    severity=Severity.CRITICAL,
    severities="critical when it is deleted or disabled; info when it cannot be seen from this tenant",
    title="A cluster's service principal is deleted or disabled",
    runbook=Runbook(
        symptom=_SYMPTOM,
        cause="Somebody deleted the application or service principal that the cluster signs in with. It stays in "
        "Entra's recycle bin for 30 days.",
        confirm=_CONFIRM,
        fix="az rest --method POST --url {restore_url}",
        durable=CONVERT,
        caveat="What is restored keeps its credentials; grant the role assignments again that were deleted since.",
    ),
    variants={
        "both": Runbook(
            symptom=_SYMPTOM,
            cause="Somebody deleted the application that the cluster signs in with, and its service principal went "
            "with it. Both stay in Entra's recycle bin for 30 days.",
            confirm=_CONFIRM,
            fix="az rest --method POST --url {restore_url}\naz rest --method POST --url {restore_principal_url}",
            durable=CONVERT,
            caveat="Restoring an application does not restore its service principal, so there are two commands; grant "
            "the role assignments again that were deleted since.",
        ),
        "orphaned": Runbook(
            symptom=_SYMPTOM,
            cause="Somebody deleted the service principal that the cluster signs in with, and it is no longer in "
            "Entra's recycle bin. Its application is still there, with its credentials.",
            confirm=_CONFIRM,
            fix="az ad sp create --id {client_id}",
            durable=CONVERT,
            caveat="The new service principal has none of the role assignments of the old one: grant them again.",
        ),
        "purged": Runbook(
            symptom=_SYMPTOM,
            cause="Somebody deleted the application or service principal that the cluster signs in with, and it is no "
            "longer in Entra's recycle bin.",
            confirm=_CONFIRM,
            fix="az ad sp create-for-rbac\n"
            "az aks update-credentials --subscription {subscription} --resource-group {resource_group} --name {cluster}"
            ' --reset-service-principal --service-principal "$NEW_CLIENT_ID" --client-secret "$NEW_SECRET"',
            durable=CONVERT,
            caveat="The first command prints the new client id and secret. The new service principal has none of the "
            "role assignments of the old one: grant them first. The second command re-images the nodes.",
        ),
        "disabled": Runbook(
            symptom=_SYMPTOM,
            cause="Somebody disabled the service principal that the cluster signs in with, or Microsoft disabled the "
            "application.",
            confirm=_CONFIRM,
            fix="az ad sp update --id {client_id} --set accountEnabled=true",
            durable=CONVERT,
            caveat="Ask first why it was disabled. What Microsoft disabled can only be mended with their support.",
        ),
        "unreadable": Runbook(
            symptom="Nothing is known to be broken, but nobody will be warned of this cluster's end.",
            cause="The application lives in another tenant, or its client id is in no listing of this one, so its "
            "credentials cannot be read from here.",
            confirm=_CONFIRM,
            fix="az aks show --subscription {subscription} --resource-group {resource_group} --name {cluster} "
            "--query servicePrincipalProfile",
            durable=CONVERT,
            caveat="The command mends nothing: it shows the client id, by which the other tenant finds the "
            "application.",
        ),
    },
    docs="https://learn.microsoft.com/azure/aks/kubernetes-service-principal",
)
def aks_service_principal_missing(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster's service principal or application is deleted, disabled, or cannot be read from this tenant."""
    applications = {entity.app_id.lower(): entity for entity in snapshot.applications}
    principals = {entity.app_id.lower(): entity for entity in snapshot.service_principals}
    for cluster in snapshot.clusters:
        client_id = cluster.client_id.lower()
        if client_id:
            hit = _judge(cluster, applications.get(client_id), principals.get(client_id), snapshot)
            if hit:
                yield hit


def _judge(
    cluster: ManagedCluster, application: Application | None, principal: ServicePrincipal | None, snapshot: Snapshot
) -> Hit | None:
    client_id = cluster.client_id.lower()
    if principal and (not principal.enabled or principal.disabled):
        return _hit(cluster, "disabled", "is disabled", Severity.CRITICAL)
    if application and application.disabled:
        return _hit(cluster, "disabled", "has an application that Microsoft disabled", Severity.CRITICAL)
    if principal and application:
        return None
    home = snapshot.tenant_id.lower()
    if principal and principal.owner_tenant.lower() not in ("", home):
        return _hit(cluster, "unreadable", "belongs to another tenant", Severity.INFO)
    binned = [entity for entity in snapshot.deleted if entity.app_id.lower() == client_id]
    if binned:
        when = f" on {date_text(binned[0].deleted)}" if binned[0].deleted else ""
        what = f"has an application that was deleted{when}" if principal else f"was deleted{when}"
        return _hit(cluster, "", what, Severity.CRITICAL, binned)
    if principal and not principal.owner_tenant:
        # Service principals from before app registrations have no application anywhere.
        return _hit(cluster, "unreadable", "has no application that can be seen", Severity.INFO)
    if principal:
        return _hit(cluster, "purged", "has lost its application", Severity.CRITICAL)
    if application:
        return _hit(cluster, "orphaned", "was deleted, its application was not", Severity.CRITICAL)
    if client_id in snapshot.known:
        return _hit(cluster, "purged", "was deleted for good", Severity.CRITICAL)
    return _hit(cluster, "unreadable", "is not known in this tenant", Severity.INFO)


def _hit(
    cluster: ManagedCluster, variant: str, what: str, severity: Severity, binned: Sequence[DeletedApplication] = ()
) -> Hit:
    names = ("restore_url", "restore_principal_url")
    urls = {name: f"{_DELETED}/{entity.object_id}/restore" for name, entity in zip(names, binned, strict=False)}
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=cluster.client_id,
        title=f"The service principal of cluster {cluster.name} {what}",
        facts={
            **cluster_facts(cluster),
            "state": variant or "deleted",
            **urls,
        },
        severity=severity,
        variant="both" if len(urls) == 2 else variant,
    )
