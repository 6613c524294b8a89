"""Secrets and certificates as a tenant file describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from .entities import Application, Certificate, Secret, ServicePrincipal, derived

Table = Mapping[str, Any]


def moment(value: object) -> datetime:
    """A TOML date or time as a UTC datetime; a day begins at midnight."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise TypeError(f"not a date: {value!r}")


def secret(tenant_id: str, owner: str, row: Table, start: datetime | None = None) -> Secret:
    """The secret that a row describes; `until = "never"` for one without an end."""
    key_id = derived(tenant_id, "secret", owner, row.get("name", ""), str(row["until"]))
    return Secret(
        key_id=key_id,
        start=moment(row["from"]) if "from" in row else start or moment(row["until"]),
        end=None if row["until"] == "never" else moment(row["until"]),
        name=row.get("name"),
        hint=key_id[:3],
    )


def certificates(tenant_id: str, owner: str, row: Table, start: datetime | None = None) -> list[Certificate]:
    """The keyCredentials that a row describes: one, or a Sign and a Verify entry if it signs SAML tokens."""
    usages = ("Sign", "Verify") if row.get("saml") else ("Verify",)
    mark = hashlib.sha1(f"{tenant_id} {owner} {row['until']}".encode(), usedforsecurity=False).hexdigest().upper()
    return [
        Certificate(
            key_id=derived(tenant_id, "certificate", owner, str(row["until"]), usage),
            start=moment(row["from"]) if "from" in row else start or moment(row["until"]),
            end=moment(row["until"]),
            name=row.get("name", f"CN={owner}"),
            thumbprint=mark,
            usage=usage,
        )
        for usage in usages
    ]


def hold(
    tenant_id: str, owner: str, entity: Application | ServicePrincipal, row: Table, start: datetime | None = None
) -> None:
    """Give an object the certificate of a row, and with a SAML one the password that Entra adds.

    https://learn.microsoft.com/graph/api/serviceprincipal-addtokensigningcertificate: the passwordCredential
    has the keyId of the Sign entry and the same customKeyIdentifier.
    """
    made = certificates(tenant_id, owner, row, start)
    entity.certificates.extend(made)
    for one in made:
        if one.usage == "Sign":
            entity.secrets.append(
                Secret(key_id=one.key_id, start=one.start, end=one.end, name=one.name, custom_id=one.thumbprint)
            )
