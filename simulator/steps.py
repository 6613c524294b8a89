"""What can happen in a tenant's story."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .access import parts
from .actions import Actions
from .credentials import Table, hold, moment, secret
from .entities import Application, ServicePrincipal
from .equipment import identity_of
from .names import principal, scope
from .tenant import Change, Tenant


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that happens in the tenant on a day of the story."""

    at: datetime
    text: str
    change: Change

    def apply(self, tenant: Tenant) -> None:
        """Make it happen."""
        self.change(tenant)

    def __str__(self) -> str:
        return self.text


Action = Callable[[Tenant, Any, datetime], None]


def holder(tenant: Tenant, name: str) -> Application | ServicePrincipal:
    """The application of that name in the tenant file, or else the service principal."""
    if f"application {name}" in tenant.keys:
        return tenant.application(name)
    return tenant.service_principal(name)


def _add_secret(tenant: Tenant, row: Table, at: datetime) -> None:
    holder(tenant, row["to"]).secrets.append(secret(tenant.id, row["to"], row, at))


def _remove_secret(tenant: Tenant, row: Table, at: datetime) -> None:
    entity = holder(tenant, row["of"])
    entity.secrets = [one for one in entity.secrets if one.name != row["name"]]


def _add_certificate(tenant: Tenant, row: Table, at: datetime) -> None:
    hold(tenant.id, row["to"], holder(tenant, row["to"]), row, at)


def _remove_certificate(tenant: Tenant, row: Table, at: datetime) -> None:
    entity = holder(tenant, row["of"])
    gone = {one.thumbprint for one in entity.certificates if one.end == moment(row["until"])}
    entity.certificates = [one for one in entity.certificates if one.thumbprint not in gone]
    entity.secrets = [one for one in entity.secrets if one.custom_id is None or one.custom_id not in gone]


def _delete(tenant: Tenant, name: str, at: datetime) -> None:
    tenant.delete(holder(tenant, name), at)


def _delete_identity(tenant: Tenant, row: Table, at: datetime) -> None:
    Actions(tenant, at).delete_identity(identity_of(tenant, scope(tenant, row["name"])), row["by"])


def _convert(tenant: Tenant, name: str, at: datetime) -> None:
    tenant.convert(tenant.cluster(name), at)


def _rebuild(tenant: Tenant, row: Table, at: datetime) -> None:
    """Delete a cluster and make it anew under its id, as Terraform does for a change that cannot be made in place."""
    cluster, actions = tenant.cluster(row["of"]), Actions(tenant, at)
    actions.delete_cluster(cluster, row["by"])
    actions.create_cluster(cluster, row["by"])


def _upgrade_nodes(tenant: Tenant, row: Table, at: datetime) -> None:
    for pool in tenant.cluster(row["of"]).pools:
        if pool.name in row.get("pools", [pool.name]):
            pool.image = row["image"]


def _assign(tenant: Tenant, rows: Table | list[Table], at: datetime) -> None:
    for row in rows if isinstance(rows, list) else [rows]:
        Actions(tenant, at).assign(
            principal(tenant, row["to"]),
            row["role"],
            scope(tenant, row["on"]),
            row["by"],
            condition=row.get("condition"),
        )


def _unassign(tenant: Tenant, rows: Table | list[Table], at: datetime) -> None:
    for row in rows if isinstance(rows, list) else [rows]:
        role, place = tenant.access.role(row["role"]).id, parts(scope(tenant, row["on"]))
        for one in tenant.access.of([principal(tenant, row["from"])]):
            if one.role == role and parts(one.scope) == place:
                Actions(tenant, at).unassign(one.id, row["by"])
                break
        else:
            raise KeyError(f"{row['from']} has no {row['role']} on {row['on']}")


def _update(tenant: Tenant, row: Table, at: datetime) -> None:
    """Begin what Terraform does on many updates: it deletes the assignments that it once made for a cluster."""
    cluster, actions = tenant.cluster(row["of"]), Actions(tenant, at)
    actions.begin_update(cluster, row["by"])
    own = {cluster.principal_id, cluster.kubelet_object_id}
    if not cluster.managed:
        own = {tenant.service_principal(cluster.client_id).id}
    # The right to the node resource group is AKS's own affair.
    gone = [one for one in tenant.access.of(sorted(own)) if parts(one.scope) != parts(cluster.node_group_id)]
    for one in gone:
        actions.unassign(one.id, row["by"])

    def end(tenant: Tenant) -> None:
        later = Actions(tenant, done.at)
        for one in gone:
            later.restore(one, row["by"])
        later.end_update(cluster)

    done = Step(at=at + timedelta(minutes=row["minutes"]), text=row["done"], change=end)
    tenant.schedule(done)


ACTIONS: Mapping[str, Action] = {
    "assign": _assign,
    "unassign": _unassign,
    "update": _update,
    "add_secret": _add_secret,
    "remove_secret": _remove_secret,
    "add_certificate": _add_certificate,
    "remove_certificate": _remove_certificate,
    "delete": _delete,
    "delete_identity": _delete_identity,
    "convert": _convert,
    "rebuild": _rebuild,
    "upgrade_nodes": _upgrade_nodes,
}
"""What a [[step]] of a tenant file can do, by the key it is written under."""


def step(row: Table) -> Step:
    """The step that a row describes."""
    at = moment(row["date"])
    actions = [(ACTIONS[name], value) for name, value in row.items() if name not in ("date", "text")]

    def change(tenant: Tenant) -> None:
        for action, value in actions:
            action(tenant, value, at)

    return Step(at=at, text=row["text"], change=change)
