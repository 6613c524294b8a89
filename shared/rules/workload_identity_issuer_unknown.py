"""Federated credentials that trust an AKS issuer which no cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..access import FederatedIdentityCredential, UserAssignedIdentity
from ..model import TENANT, ManagedCluster, Severity, Snapshot
from ..rule import Hit, Runbook, rule
from ..workloads import (
    ISSUERS,
    SHOW,
    Trust,
    for_application,
    holder_facts,
    holder_text,
    renewed,
    trusts,
)

_UPDATE = (
    "az identity federated-credential update --subscription {subscription} --resource-group {resource_group} "
    "--identity-name {identity_name} --name {credential} --issuer {live_issuer} --subject {subject} "
    "--audiences {audiences}"
)
_UPDATE_APP = (
    "az ad app federated-credential update --id {app_id} --federated-credential-id {credential} "
    "--parameters {parameters}"
)
_DELETE = (
    "az identity federated-credential delete --subscription {subscription} --resource-group {resource_group} "
    "--identity-name {identity_name} --name {credential}"
)
_DELETE_APP = "az ad app federated-credential delete --id {app_id} --federated-credential-id {credential}"
_KEPT = (
    "The token exchange of running pods goes on until their token ends, up to a day: it breaks later than you think."
)

_GONE = Runbook(
    symptom="Pods of the cluster that is meant get no token: AADSTS70021 or AADSTS700211, no matching federated "
    "identity "
    "record. If the cluster is gone for good, nothing breaks; but the credential stays.",
    cause="The cluster was deleted, or made anew: every cluster has an issuer of its own.",
    confirm=f"{SHOW}\n{ISSUERS}",
    fix=_DELETE,
    durable="If the cluster was made anew, make the credential anew with the issuer that it has now; keep both in the "
    "same code.",
    caveat="Make sure that the cluster is not one that Fusewatch may not read: az aks list asks in the current "
    "subscription only. If it lives elsewhere, silence this finding instead of deleting the credential.",
)
_REBUILT = replace(
    _GONE,
    symptom="Pods of the cluster get no token: AADSTS70021 or AADSTS700211, no matching federated identity record.",
    cause="The cluster was made anew and has another issuer than the one that the credential trusts.",
    fix=_UPDATE,
    caveat=_KEPT,
)
_SLASH = replace(
    _REBUILT,
    cause="The issuer of the credential and that of the cluster differ by the slash at the end, or by the case of a "
    "letter. Entra compares them letter by letter.",
    durable="Copy the issuer from the cluster, slash included, instead of typing it.",
)


@rule(
    reads=(FederatedIdentityCredential, UserAssignedIdentity, ManagedCluster),
    absence=(ManagedCluster,),
    severity=Severity.WARNING,
    severities="warning; info if SUBSCRIPTIONS names what is watched, so that the cluster may be elsewhere",
    title="A federated credential trusts an issuer that no cluster has",
    runbook=_GONE,
    variants={
        "rebuilt": _REBUILT,
        "slash": _SLASH,
        "application": for_application(_GONE, _DELETE_APP),
        "application-rebuilt": for_application(_REBUILT, _UPDATE_APP),
        "application-slash": for_application(_SLASH, _UPDATE_APP),
    },
    docs="https://learn.microsoft.com/azure/aks/workload-identity-overview",
)
def workload_identity_issuer_unknown(snapshot: Snapshot) -> Iterator[Hit]:
    """A federated credential trusts the issuer of an AKS cluster, and no cluster that can be read has it."""
    for one in trusts(snapshot):
        if not one.exact and (one.cluster is None or one.live):
            yield _hit(one, snapshot)


def _hit(one: Trust, snapshot: Snapshot) -> Hit:
    credential = one.credential
    variant = "slash" if one.slash else "rebuilt" if one.cluster else ""
    name = f"Federated credential {credential.name} of {holder_text(credential)}"
    if one.cluster and one.slash:
        title = f"{name} trusts the issuer of cluster {one.cluster.name} in another spelling"
        trailing = credential.issuer.strip().rstrip("/") == one.live.rstrip("/")
        differs = "They differ only by the slash at the end." if trailing else "They differ only by case or spaces."
        evidence = [f"It trusts {credential.issuer}, the cluster's issuer is {one.live}. {differs}"]
    elif one.cluster:
        title = f"{name} trusts an issuer that cluster {one.cluster.name} had before it was made anew"
        evidence = [f"It trusts {credential.issuer}, the cluster's issuer is {one.live} now."]
    else:
        title = f"{name} trusts an AKS cluster that is not there"
        evidence = [f"It trusts {credential.issuer}, which none of {len(snapshot.clusters)} clusters has."]
    if credential.app_id:
        variant = f"application-{variant}".rstrip("-")
    return Hit(
        resource_id=credential.identity_id,
        resource_name=credential.holder,
        key=credential.id,
        title=title,
        facts={
            **holder_facts(credential),
            **renewed(credential, one.live, credential.audiences),
            "evidence": evidence,
        },
        severity=Severity.INFO if snapshot.named and one.cluster is None else None,
        variant=variant,
        # Only where no cluster is known to be meant may one that was not read be the one.
        absent_in=one.cluster.id if one.cluster else TENANT,
    )
