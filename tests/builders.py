"""Records with every default, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.alerts import Alert, Entry
from shared.card import Coverage
from shared.findings import Finding, Observed, Reason, evaluate
from shared.model import (
    TENANT,
    Application,
    Credential,
    CredentialKind,
    DeletedApplication,
    ManagedCluster,
    Owner,
    Refusal,
    ServicePrincipal,
    Severity,
    Snapshot,
    Subscription,
    Unread,
)
from shared.rule import Hit, Rule, Runbook, fingerprint
from shared.rules import RULES

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
TENANT_ID = "c0ffee00-0000-4000-8000-000000000000"
OTHER_TENANT = "badcafe0-0000-4000-8000-000000000000"
SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
CLIENT_ID = "22222222-2222-4222-8222-222222222222"
APP_OBJECT = "33333333-3333-4333-8333-333333333333"
SP_OBJECT = "44444444-4444-4444-8444-444444444444"

_KEYS = "0a1b2c3d-0000-4000-8000-{:012d}"


def days(number: float) -> timedelta:
    """That many days."""
    return timedelta(days=number)


def after(number: float) -> datetime:
    """That many days after NOW."""
    return NOW + days(number)


def secret(end: datetime | None = after(10), number: int = 1, **changes: Any) -> Credential:
    """A secret that started two years ago."""
    fields = {"key_id": _KEYS.format(number), "name": "deploy", "start": NOW - days(700), "end": end}
    return Credential(kind=CredentialKind.SECRET, **{**fields, **changes})


def certificate(end: datetime | None = after(10), number: int = 101, **changes: Any) -> Credential:
    """A certificate for signing in, that started two years ago."""
    fields = {"key_id": _KEYS.format(number), "name": "CN=deploy", "start": NOW - days(700), "end": end}
    return Credential(
        kind=CredentialKind.CERTIFICATE, **{"usage": "Verify", "custom_id": "A1" * 20, **fields, **changes}
    )


def saml(end: datetime | None = after(10)) -> tuple[Credential, ...]:
    """A SAML signing certificate as Entra stores it: Sign, Verify, and the private key's password."""
    return (
        certificate(end, 201, usage="Sign", custom_id="B2" * 20, name="CN=SAML"),
        certificate(end, 202, usage="Verify", custom_id="B2" * 20, name="CN=SAML"),
        secret(end, 201, custom_id="B2" * 20, name=""),
    )


def application(*credentials: Credential, secret_ends: Sequence[datetime | None] = (), **changes: Any) -> Application:
    """An application; `secret_ends` gives it a secret for each end."""
    made = tuple(secret(end, number) for number, end in enumerate(secret_ends, 1))
    fields = {"object_id": APP_OBJECT, "app_id": CLIENT_ID, "name": "checkout"}
    return Application(**{**fields, "credentials": (*made, *credentials), **changes})


def service_principal(
    *credentials: Credential, secret_ends: Sequence[datetime | None] = (), **changes: Any
) -> ServicePrincipal:
    """The service principal of that application, in its own tenant."""
    made = tuple(secret(end, number) for number, end in enumerate(secret_ends, 51))
    fields = {"object_id": SP_OBJECT, "app_id": CLIENT_ID, "name": "checkout", "owner_tenant": TENANT_ID}
    return ServicePrincipal(**{**fields, "credentials": (*made, *credentials), **changes})


def cluster(client_id: str = CLIENT_ID, name: str = "prod-weu", **changes: Any) -> ManagedCluster:
    """A cluster on a service principal; on a managed identity with an empty client id."""
    subscription_id = changes.get("subscription_id", SUBSCRIPTION)
    fields = {
        "id": f"/subscriptions/{subscription_id}/resourceGroups/shop/providers/"
        f"Microsoft.ContainerService/managedClusters/{name}",
        "resource_group": "shop",
        "subscription_id": subscription_id,
        "node_pools": ("system", "web"),
    }
    return ManagedCluster(name=name, client_id=client_id, **{**fields, **changes})


def deleted(object_id: str = APP_OBJECT, **changes: Any) -> DeletedApplication:
    """An entry of the recycle bin."""
    return DeletedApplication(**{"object_id": object_id, "app_id": CLIENT_ID, "deleted": after(-2), **changes})


def subscription(subscription_id: str = SUBSCRIPTION) -> Subscription:
    """A readable subscription."""
    return Subscription(subscription_id=subscription_id, name="Shop", tenant_id=TENANT_ID)


def unread(kind: type, scope: str = TENANT, **changes: Any) -> Unread:
    """Something that could not be read: refused, unless said otherwise."""
    return Unread(kind=kind, scope=scope, **{"reason": "HTTP 403", **changes})


def snapshot(*records: object, **changes: Any) -> Snapshot:
    """A snapshot of records of any kind."""
    kinds: Mapping[type, str] = {
        Application: "applications",
        ServicePrincipal: "service_principals",
        ManagedCluster: "clusters",
        DeletedApplication: "deleted",
        Unread: "unread",
        Refusal: "refusals",
    }
    sorted_out: dict[str, tuple[object, ...]] = {"subscriptions": (subscription(),)}
    for record in records:
        name = kinds[type(record)]
        sorted_out[name] = (*sorted_out.get(name, ()), record)
    return Snapshot(**{"taken": NOW, "tenant_id": TENANT_ID, **sorted_out, **changes})


def hits(rule: Rule, *records: object, **changes: Any) -> list[Hit]:
    """What a rule finds in a snapshot of these records."""
    return problems(rule, snapshot(*records, **changes))


def problems(rule: Rule, world: Snapshot) -> list[Hit]:
    """What a rule finds in a snapshot, without what it only says to be held or in doubt."""
    return [hit for hit in rule.check(world) if not hit.doubt and not hit.held]


def observed(*records: object, **changes: Any) -> Observed:
    """What all rules find in a snapshot of these records."""
    return evaluate(snapshot(*records, **changes), RULES)


def rule_of(identifier: str = "a_rule", **changes: Any) -> Rule:
    """A rule that finds nothing."""
    fields: dict[str, Any] = {
        "summary": "Something.",
        "check": lambda snapshot: iter(()),
        "reads": (ManagedCluster,),
        "absence": (),
        "severity": Severity.WARNING,
        "title": "Something",
        "runbooks": {"": Runbook(symptom="It breaks.", cause="It was made so.", confirm="true", fix="false")},
        "docs": "https://example.org/",
        "severities": "warning",
    }
    return Rule(id=identifier, **{**fields, **changes})


def finding(key: str = "one", **changes: Any) -> Finding:
    """An open warning of `aks_service_principal_expiry`, 10 days before the end, never told."""
    rule = changes.get("rule", "aks_service_principal_expiry")
    home = cluster()
    fields = {
        "fingerprint": fingerprint(rule, changes.get("resource_id", home.id), key),
        "rule": rule,
        "severity": Severity.WARNING,
        "resource_id": home.id,
        "resource_name": home.name,
        "title": "Cluster prod-weu loses its sign-in to Azure on Thu 3 Dec 2026",
        "facts": {
            "subscription": home.subscription_id,
            "resource_group": home.resource_group,
            "cluster": home.name,
            "client_id": home.client_id,
        },
        "expires_on": after(10),
        "owners": (Owner(object_id="ada", name="Ada Lovelace", source="application"),),
        "first_seen": NOW,
        "changed": NOW,
    }
    return Finding(**{**fields, **changes})


def entry(subject: Finding | None = None, reason: Reason = Reason.NEW, tier: int | None = 14) -> Entry:
    """A finding on a card."""
    return Entry(finding=subject or finding(), reason=reason, tier=tier)


def alert(
    shown: Iterable[Entry] = (), counted: Iterable[Entry] = (), closed: Iterable[Entry] = (), receiver: str = ""
) -> Alert:
    """An alert to the fallback."""
    return Alert(receiver=receiver, shown=tuple(shown), counted=tuple(counted), closed=tuple(closed))


def coverage(**changes: Any) -> Coverage:
    """A scan that read everything."""
    counts = {"subscriptions": 3, "clusters": 7, "applications": 1204, "service_principals": 2210}
    return Coverage(**{"finished": NOW, "counts": counts, **changes})
