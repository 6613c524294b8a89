"""Federated credentials for AKS that no service account can match."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import FederatedIdentityCredential, UserAssignedIdentity
from ..model import ManagedCluster, Severity, Snapshot
from ..rule import Hit, Runbook, rule
from ..workloads import (
    AUDIENCES,
    BINDING,
    SHOW,
    for_application,
    holder_facts,
    holder_text,
    names_an_account,
    trusts,
)

_GENERAL = Runbook(
    symptom="Pods get no token: AADSTS70021 or AADSTS700213, no matching federated identity record, or "
    "AADSTS700212 for "
    "the audience.",
    cause="The subject is not system:serviceaccount:NAMESPACE:NAME, or the audience is not api://AzureADTokenExchange. "
    "Entra compares both letter by letter, and Kubernetes writes both names in lower case.",
    confirm=SHOW,
    fix="az identity federated-credential update --subscription {subscription} --resource-group {resource_group} "
    '--identity-name {identity_name} --name {credential} --issuer {issuer} --subject "$SUBJECT" '
    "--audiences api://AzureADTokenExchange",
    durable="Make the credential in the same code as the service account, from the same two names.",
    caveat="Set SUBJECT first: system:serviceaccount:, the namespace, a colon, and the name of the service account. "
    "Until pods ask again, nothing changes.",
)


@rule(
    reads=(FederatedIdentityCredential, UserAssignedIdentity, ManagedCluster),
    severity=Severity.WARNING,
    severities="warning",
    title="A federated credential matches no service account",
    runbook=_GENERAL,
    variants={
        "application": for_application(
            _GENERAL,
            "az ad app federated-credential update --id {app_id} --federated-credential-id {credential} "
            '--parameters "$PARAMETERS"',
            caveat="Set PARAMETERS first: JSON with issuer, subject (system:serviceaccount:NAMESPACE:NAME) and "
            "audiences "
            '(["api://AzureADTokenExchange"]). Until pods ask again, nothing changes.',
        ),
    },
    docs="https://learn.microsoft.com/azure/aks/workload-identity-overview",
)
def workload_identity_subject_mismatch(snapshot: Snapshot) -> Iterator[Hit]:
    """A federated credential trusts an AKS issuer, but its subject or audience can match no service account."""
    for one in trusts(snapshot):
        credential = one.credential
        if not credential.subject or BINDING in credential.audiences:
            # Flexible: an expression decides, and it is not read here.
            continue
        wrong = []
        if not names_an_account(credential.subject):
            wrong.append(f"The subject {credential.subject} is not system:serviceaccount:NAMESPACE:NAME.")
        if not set(credential.audiences) & set(AUDIENCES):
            wrong.append(f"The audience {', '.join(credential.audiences) or '(none)'} is not {AUDIENCES[0]}.")
        if wrong:
            yield Hit(
                resource_id=credential.identity_id,
                resource_name=credential.holder,
                key=credential.id,
                title=f"Federated credential {credential.name} of {holder_text(credential)} matches no service account",
                facts={**holder_facts(credential), "evidence": wrong},
                variant="application" if credential.app_id else "",
            )
