"""What Microsoft Graph answers, decoded with msgspec into small structs, and those as records.

The SDK's models cost a hundred times the CPU (docs/design.md). An answer that is none raises ReadError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from .. import sources
from ..access import FederatedIdentityCredential, Membership
from ..model import TENANT, Application, Credential, CredentialKind, DeletedApplication, Owner, ServicePrincipal, Unread
from .http import ReadError, status_error

PERMISSION = sources.APPLICATIONS.permission


class _Password(msgspec.Struct, rename="camel"):
    key_id: str | None = None
    display_name: str | None = None
    start_date_time: str | None = None
    end_date_time: str | None = None
    custom_key_identifier: str | None = None


class _Key(_Password):
    usage: str | None = None


class Item(msgspec.Struct, rename="camel"):
    """An object of a listing, whatever it is."""

    id: str
    app_id: str | None = None
    display_name: str | None = None
    disabled_by_microsoft_status: str | None = None
    password_credentials: list[_Password] | None = None
    key_credentials: list[_Key] | None = None
    service_principal_type: str | None = None
    account_enabled: bool | None = None
    app_owner_organization_id: str | None = None
    deleted_date_time: str | None = None


class _Page(msgspec.Struct):
    value: list[Item]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class _RawPage(msgspec.Struct):
    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_raw_page = msgspec.json.Decoder(_RawPage).decode
decode_item = msgspec.json.Decoder(Item).decode
UNCLEAR = (msgspec.MsgspecError, RecursionError)
"""What decoding raises for a body of another shape."""


def moment(text: str | None) -> datetime | None:
    """A Graph date in UTC, None for no date; raises ValueError for any other text.

    Graph writes up to seven fractional digits, one more than Python keeps.
    """
    if not text:
        return None
    parsed = datetime.fromisoformat(text)
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("a date outside the years 1 to 9999") from error


def credentials(item: Item) -> tuple[Credential, ...]:
    """The secrets and certificates of a Graph object."""
    return tuple(
        Credential(
            kind=kind,
            key_id=one.key_id or "",
            name=one.display_name or "",
            start=moment(one.start_date_time),
            end=moment(one.end_date_time),
            custom_id=one.custom_key_identifier or "",
            usage=one.usage or "" if isinstance(one, _Key) else "",
        )
        for kind, many in (
            (CredentialKind.SECRET, item.password_credentials or ()),
            (CredentialKind.CERTIFICATE, item.key_credentials or ()),
        )
        for one in many
    )


def application(item: Item) -> Application:
    """An item of /applications as a record."""
    return Application(
        object_id=item.id,
        app_id=item.app_id or "",
        name=item.display_name or "",
        credentials=credentials(item),
        disabled=_disabled(item),
    )


def service_principal(item: Item) -> ServicePrincipal:
    """An item of /servicePrincipals as a record."""
    return ServicePrincipal(
        object_id=item.id,
        app_id=item.app_id or "",
        name=item.display_name or "",
        type=item.service_principal_type or "",
        enabled=item.account_enabled is not False,
        owner_tenant=(item.app_owner_organization_id or "").lower(),
        credentials=credentials(item),
        disabled=_disabled(item),
    )


class _Trust(msgspec.Struct):
    id: str
    name: str | None = None
    issuer: str | None = None
    subject: str | None = None
    audiences: list[str] | None = None


def federated_credential(item: Mapping[str, Any], holder: Application) -> FederatedIdentityCredential:
    """A federated credential of an application as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(dict(item), _Trust)
    return FederatedIdentityCredential(
        id=f"{holder.id}/federatedIdentityCredentials/{wire.name or wire.id}",
        identity_id=holder.id,
        issuer=wire.issuer or "",
        subject=wire.subject or "",
        audiences=tuple(wire.audiences or ()),
        app_id=holder.app_id,
        holder=holder.name,
    )


def deleted_application(item: Item) -> DeletedApplication:
    """An item of the recycle bin as a record."""
    return DeletedApplication(object_id=item.id, app_id=item.app_id or "", deleted=moment(item.deleted_date_time))


def _disabled(item: Item) -> str:
    status = item.disabled_by_microsoft_status or ""
    return "" if status == "NotDisabled" else status


def page_of(content: bytes, kind: type) -> tuple[list[Item], str | None, list[str]]:
    """The items of a page, the next link, and which items could not be understood; raises ReadError."""
    try:
        page = _decode_page(content)
        return page.value, page.next_link, []
    except UNCLEAR:
        pass
    try:
        raw = _decode_raw_page(content)
    except UNCLEAR as error:
        raise ReadError(
            Unread(kind=kind, scope=TENANT, reason="an answer 200 that is no listing", passing=True)
        ) from error
    items, broken = [], []
    for number, one in enumerate(raw.value):
        try:
            items.append(decode_item(one))
        except UNCLEAR:
            broken.append(f"item {number} of a page")
    return items, raw.next_link, broken


def items_of(kind: type, status: int, body: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The objects of a decoded page and the link to the next one; raises ReadError."""
    if status != 200:
        raise status_error(kind, TENANT, PERMISSION, status, json.dumps(body).encode())
    value = body.get("value") if isinstance(body, dict) else None
    if not isinstance(value, list):
        raise ReadError(Unread(kind=kind, scope=TENANT, reason="an answer 200 that is no listing", passing=True))
    link = body.get("@odata.nextLink")
    items = [one for one in value if isinstance(one, dict) and one.get("id")]
    if kind is Membership and len(items) < len(value):
        # A group that is left out is a group that somebody has left.
        raise ReadError(malformed(kind, "a group"))
    return items, link if isinstance(link, str) else None


def principal_of(status: int, body: Any) -> ServicePrincipal:
    """One service principal of a batch; raises ReadError."""
    if status != 200:
        raise status_error(ServicePrincipal, TENANT, PERMISSION, status, json.dumps(body).encode())
    try:
        return service_principal(msgspec.convert(body, Item))
    except (*UNCLEAR, ValueError) as error:
        raise ReadError(malformed(ServicePrincipal, "a service principal")) from error


def owners_of(path: str, items: Iterable[Mapping[str, Any]]) -> tuple[Owner, ...]:
    """The owners of the object at a path as records."""
    source = "application" if path.startswith("/applications/") else "service principal"
    return tuple(
        Owner(
            object_id=str(one["id"]),
            name=str(one.get("displayName") or ""),
            mail=str(one.get("userPrincipalName") or ""),
            source=source,
        )
        for one in items
    )


def malformed(kind: type, first: str, *others: str) -> Unread:
    """One value for all of them: a whole listing may have changed its shape."""
    what = (
        f"{len(others) + 1:,} objects of an unexpected shape, the first: "
        if others
        else "an object of an unexpected shape: "
    )
    return Unread(kind=kind, scope=TENANT, reason=what + first[:60])
