"""Tenant files: a TOML text that a stranger can read, loaded into a Tenant with its story."""

from __future__ import annotations

import tomllib
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .access import parts
from .credentials import Table, hold, moment, secret
from .entities import Application, ResourceGroup, ServicePrincipal, Subscription, User, derived
from .names import principal, scope
from .places import add_access, add_cluster, add_estate
from .steps import holder, step
from .tenant import Tenant
from .told import declared

TENANTS = Path(__file__).parent / "tenants"


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A time in which the story wants no scan to run, and why."""

    start: datetime
    end: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class ExpectedFinding:
    """One finding that `scan --dry-run` has to list."""

    rule: str
    resource: str
    """The name that the finding shows: the display name, or the app id of an object without one."""
    resource_id: str
    severity: str
    key: str = ""
    """The display name of the credential, if it is about one that has a name."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """All findings that `scan --dry-run` has to list at a moment, and no others."""

    at: datetime
    findings: tuple[ExpectedFinding, ...]


@dataclass(frozen=True, kw_only=True)
class LoadBearing:
    """A role assignment without which a cluster would lose something."""

    cluster: str
    identity: str
    """`cluster` or `kubelet`."""
    role: str
    scope: str
    """The id of the scope."""
    assignment_id: str


@dataclass(frozen=True, kw_only=True)
class Impact:
    """All that `impact` has to list at a moment, and nothing else."""

    at: datetime
    rows: tuple[Table, ...]

    def assignments(self, tenant: Tenant) -> list[LoadBearing]:
        """What the rows mean in the tenant at that moment: its story has to have come there."""
        return [_load_bearing(tenant, row) for row in self.rows]


def load(name: str | Path) -> Tenant:
    """The tenant of that name in simulator/tenants, or of that file."""
    path = Path(name)
    if not path.suffix:
        path = TENANTS / f"{name}.toml"
    return parse(tomllib.loads(path.read_text(encoding="utf-8")))


def parse(table: Table) -> Tenant:
    """The tenant that a decoded tenant file describes."""
    tenant = Tenant(
        id=str(uuid.uuid5(uuid.NAMESPACE_DNS, table["domain"])),
        name=table["name"],
        domain=table["domain"],
        starts=moment(table["starts"]),
        teams=list(table.get("teams", [])),
    )
    for row in table.get("user", []):
        address = row.get("address") or ".".join(row["name"].lower().split()) + f"@{tenant.domain}"
        tenant.users.append(User(id=derived(tenant.id, "user", row["name"]), name=row["name"], upn=address))
    for row in table.get("subscription", []):
        identity = derived(tenant.id, "subscription", row["name"])
        tenant.subscriptions.append(Subscription(id=identity, name=row["name"], tags=dict(row.get("tags", {}))))
    for row in table.get("group", []):
        subscription = tenant.subscription(row["subscription"])
        tenant.groups.append(
            ResourceGroup(subscription_id=subscription.id, name=row["name"], tags=dict(row.get("tags", {})))
        )
    add_estate(tenant, table)
    for row in table.get("application", []):
        _add_application(tenant, row)
    for row in table.get("service_principal", []):
        _add_service_principal(tenant, row)
    for row in table.get("cluster", []):
        add_cluster(tenant, row)
    add_access(tenant, table)
    tenant.steps = sorted((step(row) for row in table.get("step", [])), key=lambda one: one.at)
    tenant.pauses = [
        Pause(start=moment(row["from"]), end=moment(row["until"]), text=row["text"]) for row in table.get("pause", [])
    ]
    tenant.expected = [_expected(tenant, row) for row in table.get("expected", [])]
    tenant.story = declared(table)
    tenant.impacts = [
        Impact(at=moment(row["date"]), rows=tuple(row["assignments"])) for row in table.get("load_bearing", [])
    ]
    return tenant


def _add_application(tenant: Tenant, row: Table) -> None:
    key = row.get("key", row.get("name", ""))
    application = Application(
        id=derived(tenant.id, "application", key),
        app_id=derived(tenant.id, "client", key),
        name=row.get("name"),
        created=moment(row.get("created", tenant.starts)),
        owners=[tenant.user(name).id for name in row.get("owners", [])],
        secrets=[secret(tenant.id, key, one) for one in row.get("secrets", [])],
    )
    for one in row.get("certificates", []):
        hold(tenant.id, key, application, one)
    tenant.applications.append(application)
    tenant.keys[f"application {key}"] = application.id
    tenant.service_principals.append(
        ServicePrincipal(
            id=derived(tenant.id, "principal", key),
            app_id=application.app_id,
            name=application.name,
            created=application.created,
            owner_tenant=tenant.id,
        )
    )


def _add_service_principal(tenant: Tenant, row: Table) -> None:
    key = row.get("key", row["name"])
    home = tenant.id if "home" not in row else str(uuid.uuid5(uuid.NAMESPACE_DNS, row["home"]))
    principal = ServicePrincipal(
        id=derived(tenant.id, "principal", key),
        app_id=derived(tenant.id, "client", key),
        name=row["name"],
        created=moment(row.get("created", tenant.starts)),
        owner_tenant=home,
        sign_on="saml" if any(one.get("saml") for one in row.get("certificates", [])) else None,
        owners=[tenant.user(name).id for name in row.get("owners", [])],
        secrets=[secret(tenant.id, key, one) for one in row.get("secrets", [])],
    )
    for one in row.get("certificates", []):
        hold(tenant.id, key, principal, one)
    tenant.service_principals.append(principal)
    tenant.keys[f"service_principal {key}"] = principal.id


def _load_bearing(tenant: Tenant, row: Table) -> LoadBearing:
    place = scope(tenant, row["on"])
    holder_id = principal(tenant, row.get("through") or {"cluster": row["cluster"], "identity": row["identity"]})
    role = tenant.access.role(row["role"])
    for one in tenant.access.of([holder_id]):
        if one.role == role.id and parts(one.scope) == parts(place):
            return LoadBearing(
                cluster=row["cluster"], identity=row["identity"], role=role.name, scope=place, assignment_id=one.id
            )
    raise KeyError(f"nothing gives {row['role']} on {row['on']} to the {row['identity']} of {row['cluster']}")


def _expected(tenant: Tenant, row: Table) -> Expected:
    return Expected(at=moment(row["date"]), findings=tuple(_finding(tenant, one) for one in row["findings"]))


def _finding(tenant: Tenant, row: Table) -> ExpectedFinding:
    resource, rule = row["resource"], row["rule"]
    named = (*tenant.clusters, *tenant.subscriptions, *tenant.identities)
    found = next((one for one in named if one.name == resource), None)
    if found and not rule.startswith("entra_"):
        shown, identity = resource, f"/subscriptions/{found.id}" if isinstance(found, Subscription) else found.id
    else:
        entity = holder(tenant, resource)
        kind = "applications" if isinstance(entity, Application) else "servicePrincipals"
        shown, identity = entity.name or entity.app_id, f"/{kind}/{entity.id}"
    return ExpectedFinding(
        rule=rule, resource=shown, resource_id=identity, severity=row["severity"], key=row.get("key", "")
    )
