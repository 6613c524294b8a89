"""User-assigned managed identities and what they trust, through azure-mgmt-msi.

https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities/list-by-subscription.
"""

from __future__ import annotations

from typing import Any

from azure.mgmt.msi.v2024_11_30.aio import ManagedServiceIdentityClient

from .. import sources
from ..access import FederatedIdentityCredential, UserAssignedIdentity
from .aks import segment, word
from .http import Arm

READER = sources.IDENTITIES.permission
FEDERATED_READER = sources.FEDERATED.permission


def identity(item: Any) -> UserAssignedIdentity:
    """An identity of the SDK as a record; raises ValueError for one without an id."""
    if not item.id:
        raise ValueError("an identity without an id")
    return UserAssignedIdentity(
        id=word(item.id),
        client_id=word(item.client_id),
        principal_id=word(item.principal_id),
        tenant_id=word(item.tenant_id),
    )


def federated_credential(item: Any, identity_id: str) -> FederatedIdentityCredential:
    """A federated credential of the SDK as a record; one without a subject is a flexible one."""
    return FederatedIdentityCredential(
        id=item.id or "",
        identity_id=identity_id,
        issuer=item.issuer or "",
        subject=item.subject or "",
        audiences=tuple(item.audiences or ()),
        holder=identity_id.rstrip("/").rsplit("/", 1)[-1],
    )


class Identities:
    """Reads user-assigned identities; every method raises ReadError."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def list_identities(self, subscription_id: str) -> list[UserAssignedIdentity]:
        """Every user-assigned identity of a subscription."""
        client = self._arm.client(ManagedServiceIdentityClient, subscription_id)
        async with client, self._arm.reading(UserAssignedIdentity, f"/subscriptions/{subscription_id}", READER):
            listing = client.user_assigned_identities.list_by_subscription(listing=True)
            return [identity(item) async for item in listing]

    async def get_identity(self, identity_id: str) -> UserAssignedIdentity:
        """One identity by its id; raises NotFoundError when ARM says that there is none."""
        subscription_id, group, name = _parts(identity_id)
        client = self._arm.client(ManagedServiceIdentityClient, subscription_id)
        async with client, self._arm.reading(UserAssignedIdentity, identity_id, READER):
            return identity(await client.user_assigned_identities.get(group, name))

    async def list_federated_credentials(self, identity_id: str) -> list[FederatedIdentityCredential]:
        """What an identity trusts; raises NotFoundError when it was deleted meanwhile."""
        subscription_id, group, name = _parts(identity_id)
        client = self._arm.client(ManagedServiceIdentityClient, subscription_id)
        async with client, self._arm.reading(FederatedIdentityCredential, identity_id, FEDERATED_READER):
            listing = client.federated_identity_credentials.list(group, name, listing=True)
            return [federated_credential(item, identity_id) async for item in listing]


def _parts(identity_id: str) -> tuple[str, ...]:
    return tuple(segment(identity_id, part) for part in ("subscriptions", "resourcegroups", "userassignedidentities"))
