"""Secrets and certificates of Entra applications and service principals that end soon or ended lately."""

from __future__ import annotations

from collections.abc import Iterator

from ..credentials import Held, held, platform_managed, successor, thumbprint
from ..model import NEVER, Application, CredentialKind, ServicePrincipal, Severity, Snapshot
from ..rule import Hit, Runbook, date_text, rule

_SAML = Runbook(
    symptom="From the end on, the SAML application refuses sign-in: the signature of its tokens is no longer trusted.",
    cause="A SAML signing certificate has a fixed end, and Entra does not renew it.",
    confirm="az ad sp credential list --id {object_id} --cert",
    fix="az rest --method POST --url {saml_url} --body {saml_body}",
    durable="Let the application read the federation metadata, so that it follows the next certificate by itself.",
    caveat="The command only adds a certificate. Give it to the application first, then make it the active one.",
)


@rule(
    reads=(Application, ServicePrincipal),
    severity=Severity.WARNING,
    severities="warning within the notice window; critical once it has ended with nothing in its place; info when "
    "another credential of the same kind already replaces it, or when it has no end",
    title="A secret or certificate ends",
    runbook=Runbook(
        symptom="From the end on, whatever signs in with it is refused: AADSTS7000222 for a secret, AADSTS700027 for a "
        "certificate.",
        cause="A credential has a fixed end, and Entra does not renew it.",
        confirm="az ad {object} credential list --id {object_id} {cert}",
        fix="az ad {object} credential reset --id {object_id} --append {new_credential}",
        durable="Replace it by a managed identity or a federated credential: those have nothing that ends.",
        caveat="Without --append the command deletes every other credential of the object. It prints the new secret: "
        "put it where the application reads it, see that it is used, then delete the old one.",
    ),
    variants={"saml": _SAML},
    docs="https://learn.microsoft.com/graph/api/resources/passwordcredential",
)
def entra_credential_expiry(snapshot: Snapshot) -> Iterator[Hit]:
    """A secret or certificate of an application or service principal ends within the notice window, or just ended."""
    entities: tuple[Application | ServicePrincipal, ...] = (*snapshot.applications, *snapshot.service_principals)
    for entity in entities:
        if platform_managed(entity):
            continue
        every = held(entity.credentials)
        for one in every:
            hit = _judge(entity, one, every, snapshot)
            if hit:
                yield hit


def _judge(
    entity: Application | ServicePrincipal, one: Held, every: tuple[Held, ...], snapshot: Snapshot
) -> Hit | None:
    now, thresholds, end = snapshot.taken, snapshot.thresholds, one.credential.end
    if end is not None and end > now + thresholds.window:
        return None
    replacement = None if end is None else successor(one, every, now, thresholds)
    severity = Severity.WARNING
    if end is None or replacement:
        severity = Severity.INFO
    elif end <= now:
        severity = Severity.CRITICAL
    certificate = one.credential.kind is CredentialKind.CERTIFICATE
    name = entity.name or entity.app_id
    label = f"“{one.credential.name}” " if one.credential.name else ""
    what = f"{'SAML certificate' if one.saml else one.credential.kind.value.capitalize()} {label}of {name}"
    when = "never ends" if end is None else f"{'ended' if end <= now else 'ends'} on {date_text(end)}"
    application = isinstance(entity, Application)
    return Hit(
        resource_id=entity.id,
        resource_name=name,
        key=one.key,
        title=f"{what} {when}",
        facts={
            "kind": one.credential.kind.value,
            "object": "app" if application else "sp",
            "app_id": entity.app_id,
            "object_id": entity.object_id,
            "key_id": one.credential.key_id,
            "credential_name": one.credential.name,
            "cert": ["--cert"] if certificate else [],
            "new_credential": ["--create-cert"] if certificate else [],
            **(
                {"thumbprint": thumbprint(one.credential.custom_id)} if certificate and one.credential.custom_id else {}
            ),
            **(_saml(entity) if one.saml and not application else {}),
        },
        severity=severity,
        expires_on=end,
        superseded_on=(replacement.credential.end or NEVER) if replacement else None,
        aged_out=end is not None and end < now - thresholds.ended,
        variant="saml" if one.saml and not application else "",
    )


def _saml(entity: Application | ServicePrincipal) -> dict[str, str]:
    """The request that adds a signing certificate.

    https://learn.microsoft.com/graph/api/serviceprincipal-addtokensigningcertificate
    """
    return {
        "saml_url": f"https://graph.microsoft.com/v1.0/servicePrincipals/{entity.object_id}/addTokenSigningCertificate",
        "saml_body": '{"displayName": "CN=SAML signing"}',
    }
