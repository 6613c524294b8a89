"""The credentials of an application or service principal: which entries are one, which matter now."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .model import NEVER, Application, Credential, CredentialKind, ServicePrincipal, Thresholds
from .rule import fingerprint

_THUMBPRINT = re.compile(r"(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})\Z")


def thumbprint(custom_id: str) -> str:
    """A certificate's customKeyIdentifier as a hex thumbprint, or as it is if it holds another text.

    Graph types it Binary and sends the hex text of the thumbprint; older writers stored the bytes,
    which come as base64.
    """
    if _THUMBPRINT.match(custom_id):
        return custom_id.upper()
    try:
        decoded = base64.b64decode(custom_id, validate=True)
    except (binascii.Error, ValueError):
        return custom_id
    return decoded.hex().upper() if len(decoded) in (20, 32) else custom_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One credential as a person counts them: a Sign and Verify pair and its password twin are one."""

    credential: Credential
    key: str
    """Stable for the life of the credential, whichever entry Graph lists first."""
    saml: bool = False
    """Whether it signs SAML tokens, so that it is renewed in another way."""


def held(credentials: Iterable[Credential]) -> tuple[Held, ...]:
    """The credentials of one object, each counted once.

    addTokenSigningCertificate makes a Sign and a Verify keyCredential with one customKeyIdentifier, and a
    passwordCredential (the private key's password) that shares the keyId of the Sign entry:
    https://learn.microsoft.com/graph/api/serviceprincipal-addtokensigningcertificate.
    """
    every = tuple(credentials)
    certificates: dict[str, list[Credential]] = {}
    for one in every:
        if one.kind is CredentialKind.CERTIFICATE:
            # The custom id is free text; with the end beside it two certificates never fall together
            # unless they also end in the same second.
            certificates.setdefault(_mark(one) if one.custom_id else _key(one), []).append(one)
    result = []
    for name, entries in certificates.items():
        first = min(entries, key=lambda entry: (entry.usage != "Verify", entry.key_id))
        labelled = next((entry.name for entry in entries if entry.name), first.name)
        saml = any(entry.usage == "Sign" for entry in entries)
        result.append(Held(credential=replace(first, name=labelled), key=name, saml=saml))
    key_ids = {one.key_id for entries in certificates.values() for one in entries if one.key_id}
    for one in every:
        if one.kind is CredentialKind.SECRET:
            twin = one.key_id in key_ids or (one.custom_id and _mark(one) in certificates)
            if not twin:
                result.append(Held(credential=one, key=_key(one)))
    return tuple(result)


def _mark(one: Credential) -> str:
    return f"{thumbprint(one.custom_id)}|{one.end or NEVER:%Y%m%d%H%M%S}"


def _key(one: Credential) -> str:
    # Old objects may lack the keyId; what else never changes must then tell their credentials apart.
    return one.key_id or f"{_mark(one)}|{one.start or NEVER:%Y%m%d%H%M%S}|{one.name}"


PLATFORM_TENANTS = frozenset({"f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"})
"""Microsoft's own tenants: their service principals' credentials are rotated by Microsoft.

https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
"""


def platform_managed(entity: Application | ServicePrincipal) -> bool:
    """Whether Azure itself rotates this object's credentials, so that nobody has to be told."""
    return isinstance(entity, ServicePrincipal) and (
        entity.type == "ManagedIdentity" or entity.owner_tenant.lower() in PLATFORM_TENANTS
    )


def started(credential: Credential, now: datetime) -> bool:
    """Whether a credential works already; one without a start always has."""
    return credential.start is None or credential.start <= now


def outlives(credential: Credential, moment: datetime) -> bool:
    """Whether a credential is still valid after a moment; one without an end always is."""
    return credential.end is None or credential.end > moment


def successor(one: Held, others: Sequence[Held], now: datetime, thresholds: Thresholds) -> Held | None:
    """The credential of the same kind that started already and outlives the notice window, if there is one.

    One that ended is replaced by any that is valid now: a successor that nears its own end has a finding of its own.
    """
    ended = not outlives(one.credential, now)
    able = [
        other
        for other in others
        if other.key != one.key
        and other.credential.kind is one.credential.kind
        and other.saml is one.saml
        and started(other.credential, now)
        and outlives(other.credential, now if ended else now + thresholds.window)
    ]
    return max(able, key=lambda other: other.credential.end or NEVER, default=None)


def matters(credential: Credential, now: datetime, thresholds: Thresholds) -> bool:
    """Whether a credential is worth keeping from a listing: near its end, ended lately, or without an end."""
    if credential.end is None:
        return True
    return now - thresholds.ended <= credential.end <= now + thresholds.window


def expiry_fingerprint(entity: Application | ServicePrincipal, one: Held) -> str:
    """The fingerprint under which entra_credential_expiry reports a credential."""
    return fingerprint("entra_credential_expiry", entity.id, one.key)
