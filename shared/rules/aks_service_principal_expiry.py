"""Clusters on a service principal whose secret or certificate ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..credentials import Held, expiry_fingerprint, held, started
from ..model import Application, ManagedCluster, ServicePrincipal, Severity, Snapshot, Subscription
from ..rule import Hit, Runbook, date_text, rule
from .aks_service_principal_cluster import CONVERT, cluster_facts

SURE = timedelta(days=7)
"""How long before the sure end a cluster is critical."""

MOST = 300
"""How many credentials a finding names: a row of storage holds no more than some 800."""


@rule(
    reads=(ManagedCluster, Application, ServicePrincipal, Subscription),
    severity=Severity.WARNING,
    severities="critical from 7 days before the last usable credential ends, and after it until it is mended; warning "
    "before that, and while the cluster may or may not hold the one that ends",
    title="A cluster's service principal has a credential that ends",
    runbook=Runbook(
        symptom="Every new call to Azure fails: new nodes cannot pull images, services get no address "
        "(EXTERNAL-IP <pending>), disks do not attach. Running pods go on, so it looks like three unrelated faults.",
        cause="The cluster signs in with a secret or certificate of its service principal, and that ends. Azure does "
        "not show which one the cluster holds, and renewing it in Entra does not update the cluster.",
        confirm="az aks show --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        "--query servicePrincipalProfile.clientId --output tsv\n"
        "az ad app credential list --id {client_id}\n"
        "az ad sp credential list --id {client_id}",
        fix="NEW_SECRET=$(az ad app credential reset --id {client_id} --append --query password --output tsv)\n"
        "az aks update-credentials --subscription {subscription} --resource-group {resource_group} --name {cluster} "
        '--reset-service-principal --service-principal {client_id} --client-secret "$NEW_SECRET"',
        durable=CONVERT,
        caveat="This stop-gap re-images the nodes and lights the same fuse again: the new secret ends in a year. "
        "Without --append, the first command deletes every other credential of the application.",
    ),
    docs="https://learn.microsoft.com/azure/aks/update-credentials",
)
def aks_service_principal_expiry(snapshot: Snapshot) -> Iterator[Hit]:
    """A cluster runs on a service principal whose credential ends within the notice window, or has ended."""
    applications = {entity.app_id.lower(): entity for entity in snapshot.applications}
    principals = {entity.app_id.lower(): entity for entity in snapshot.service_principals}
    unread = {one.kind for one in snapshot.unread}
    for cluster in snapshot.clusters:
        if not cluster.client_id:
            continue
        application = applications.get(cluster.client_id.lower())
        principal = principals.get(cluster.client_id.lower())
        if (not application and Application in unread) or (not principal and ServicePrincipal in unread):
            # The half that is missing may hold the credential that lasts, or the one that ends first.
            continue
        entities = [entity for entity in (application, principal) if entity]
        usable = [
            (entity, one)
            for entity in entities
            for one in held(entity.credentials)
            if started(one.credential, snapshot.taken)
        ]
        hit = _judge(cluster, usable, snapshot, foreign=application is None)
        if hit:
            yield hit
        elif not usable and len(entities) == 2:
            yield _without_credential(cluster)


def _judge(
    cluster: ManagedCluster,
    usable: list[tuple[Application | ServicePrincipal, Held]],
    snapshot: Snapshot,
    *,
    foreign: bool,
) -> Hit | None:
    now, thresholds = snapshot.taken, snapshot.thresholds
    ends = [(one.credential.end, entity, one) for entity, one in usable]
    near = [(end, entity, one) for end, entity, one in ends if end and end <= now + thresholds.window]
    if not near:
        return None
    # Once nothing valid is left, the cluster fails for sure, however long ago the last one ended. An application
    # in another tenant may hold more credentials than can be seen from here.
    lasting = foreign or any(end is None for end, _, _ in ends)
    sure = None if lasting else max(end for end, _, _ in ends if end)
    recent = [item for item in near if item[0] >= now - thresholds.ended]
    broken = sure is not None and sure <= now
    if not recent and not broken:
        aged = max(near, key=lambda item: item[0])
        return _hit(cluster, aged[0], aged[0], sure, snapshot, near, aged_out=True)
    shown = near if broken else recent
    first = min(end for end, _, _ in shown)
    upcoming = [end for end, _, _ in shown if end > now]
    counts_down_to = min(upcoming) if upcoming else max(end for end, _, _ in shown)
    return _hit(cluster, counts_down_to, first, sure, snapshot, shown)


def _hit(
    cluster: ManagedCluster,
    counts_down_to: datetime,
    first: datetime,
    sure: datetime | None,
    snapshot: Snapshot,
    shown: list[tuple[datetime, Application | ServicePrincipal, Held]],
    *,
    aged_out: bool = False,
) -> Hit:
    now = snapshot.taken
    certain = sure is not None and sure <= now + SURE
    if sure is not None and sure <= now:
        title = f"Cluster {cluster.name} cannot sign in to Azure: its service principal's last credential ended on "
        title += date_text(sure)
    elif sure is not None and sure <= now + snapshot.thresholds.window:
        title = f"Cluster {cluster.name} loses its sign-in to Azure on {date_text(sure)}"
        if first < sure:
            title += f", perhaps as early as {date_text(first)}"
    else:
        verb = "may have lost" if counts_down_to <= now else "may lose"
        title = f"Cluster {cluster.name} {verb} its sign-in to Azure on {date_text(counts_down_to)}"
        title += f", and surely loses it on {date_text(sure)}" if sure else ", if it holds the credential that ends"
    shown = sorted(shown, key=lambda item: abs(item[0] - now))[:MOST]
    keys = sorted(one.credential.key_id for _, _, one in shown)
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=cluster.client_id,
        title=title,
        facts={
            **cluster_facts(cluster),
            "may_fail_on": first.isoformat(),
            "surely_fails_on": sure.isoformat() if sure else "",
            "key_ids": keys,
        },
        severity=Severity.CRITICAL if certain else Severity.WARNING,
        expires_on=counts_down_to,
        aged_out=aged_out,
        includes=tuple(sorted(expiry_fingerprint(entity, one) for _, entity, one in shown)),
    )


def _without_credential(cluster: ManagedCluster) -> Hit:
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=cluster.client_id,
        title=f"Cluster {cluster.name} cannot sign in to Azure: its service principal has no usable credential",
        facts={**cluster_facts(cluster), "may_fail_on": "", "surely_fails_on": "", "key_ids": []},
        severity=Severity.CRITICAL,
    )
