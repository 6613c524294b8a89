"""Workload identities: what a federated credential trusts, and which cluster that is; no I/O.

Entra compares issuer, subject and audience letter by letter:
https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .access import FederatedIdentityCredential
from .model import ManagedCluster, Snapshot
from .rule import Fact, Runbook

AUDIENCES = ("api://AzureADTokenExchange", "api://AzureADTokenExchangeUSGov", "api://AzureADTokenExchangeChina")
"""What Entra expects, in each of its clouds."""
BINDING = "api://AKSIdentityBinding"
"""The audience of identity bindings, a preview that AKS sets up by itself."""
HOST = r"https?://(?:[a-z0-9-]+\.)*oi(?:d)?c\.[a-z0-9-]*aks[a-z0-9-]*\.azure\.[a-z]+(?::443)?/"
_ISSUER = re.compile(HOST + r"(?P<path>.*)", re.IGNORECASE | re.DOTALL)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBJECT = re.compile(rf"system:serviceaccount:{_LABEL}:(?P<name>{_LABEL}(?:\.{_LABEL})*)")


def same(issuer: str) -> str:
    """What two issuers have in common that a person takes for the same one."""
    return issuer.strip().rstrip("/").lower()


def of_aks(issuer: str, tenant_id: str) -> bool:
    """Whether an issuer is that of an AKS cluster, in any cloud, and not of one that names another tenant."""
    found = _ISSUER.fullmatch(issuer.strip())
    if not found:
        return False
    # https://REGION.oic.prod-aks.azure.com/TENANT/CLUSTER/; an older form names no tenant.
    segments = [one for one in found["path"].split("/") if one]
    foreign = len(segments) > 1 and _GUID.fullmatch(segments[0]) and segments[0].lower() != tenant_id.lower()
    return not foreign


def names_an_account(subject: str) -> bool:
    """Whether a subject is one that Kubernetes gives to a service account."""
    found = _SUBJECT.fullmatch(subject)
    return bool(found) and len(found["name"]) <= 253 if found else False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A federated credential, and the cluster whose tokens it is about."""

    credential: FederatedIdentityCredential
    cluster: ManagedCluster | None = None
    """None: no cluster that was read has this issuer, or ever had."""
    exact: bool = False
    """Whether the cluster has this issuer now, letter by letter."""
    live: str = ""
    """The issuer that the cluster has now."""

    @property
    def slash(self) -> bool:
        """Whether the issuer differs from the live one by nothing that a person would notice."""
        return not self.exact and bool(self.live) and same(self.live) == same(self.credential.issuer)


def trusts(snapshot: Snapshot) -> Iterator[Trust]:
    """Every federated credential that is about an AKS cluster."""
    now = {same(one.oidc_issuer): one for one in snapshot.clusters if one.oidc_issuer}
    before: dict[str, ManagedCluster] = {}
    for cluster in snapshot.clusters:
        former = snapshot.former.get(cluster.id.lower())
        for issuer in (*(former.issuers if former else ()), *filter(None, [cluster.idle_issuer])):
            before[same(issuer)] = cluster
    for credential in snapshot.access.federated:
        issuer = same(credential.issuer)
        found = now.get(issuer) or before.get(issuer)
        if found or of_aks(credential.issuer, snapshot.tenant_id):
            live = found.oidc_issuer if found else ""
            # An issuer that is switched off is nobody's letter by letter.
            exact = bool(live) and live == credential.issuer
            yield Trust(credential=credential, cluster=found, exact=exact, live=live)


def holder_facts(credential: FederatedIdentityCredential) -> dict[str, Fact]:
    """The facts that commands about a federated credential take, and a card."""
    facts: dict[str, Fact] = {"credential": credential.name, "issuer": credential.issuer, "subject": credential.subject}
    if credential.app_id:
        return {**facts, "app_id": credential.app_id, "object_id": credential.identity_id.rsplit("/", 1)[-1]}
    parts = credential.identity_id.split("/")
    return {
        **facts,
        "subscription": parts[2] if len(parts) > 2 else "",
        "resource_group": parts[4] if len(parts) > 4 else "",
        "identity_name": credential.identity_id.rsplit("/", 1)[-1],
    }


def renewed(credential: FederatedIdentityCredential, issuer: str, audiences: Sequence[str]) -> dict[str, Fact]:
    """The facts of a command that writes a credential anew."""
    body = {"issuer": issuer, "subject": credential.subject, "audiences": list(audiences)}
    return {"live_issuer": issuer, "audiences": list(audiences), "parameters": json.dumps(body)}


SHOW = (
    "az identity federated-credential show --subscription {subscription} --resource-group {resource_group} "
    "--identity-name {identity_name} --name {credential}"
)
SHOW_APP = "az ad app federated-credential show --id {app_id} --federated-credential-id {credential}"


def for_application(runbook: Runbook, fix: str, caveat: str = "") -> Runbook:
    """The same runbook for a credential of an application, which has commands of its own."""
    confirm = runbook.confirm.replace(SHOW, SHOW_APP)
    return replace(runbook, confirm=confirm, fix=fix, caveat=caveat or runbook.caveat)


def holder_text(credential: FederatedIdentityCredential) -> str:
    """How the holder is called on a card."""
    kind = "app" if credential.app_id else "identity"
    return f"{kind} {credential.holder or credential.app_id}"


ISSUERS = 'az aks list --query "[].[id, oidcIssuerProfile]"'
"""The issuers of the clusters in the current subscription."""
