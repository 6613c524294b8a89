"""A change made through Resource Manager: what the activity log and Event Grid tell of it, each in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from .access import parts

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
_SCHEMA = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_CLAIMS = "http://schemas.microsoft.com/identity/claims"


HANDLED = frozenset(
    {
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
        "Microsoft.ContainerService/managedClusters/write",
        "Microsoft.ContainerService/managedClusters/delete",
    }
)
"""What an event subscription towards the watching app lets through."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who changed something; only a person has a user principal name."""

    id: str
    name: str
    upn: str = ""
    app_id: str = AZURE_CLI
    address: str = "203.0.113.20"

    @property
    def type(self) -> str:
        """The principalType."""
        return "User" if self.upn else "ServicePrincipal"

    def claims(self, tenant_id: str, at: datetime) -> dict[str, str]:
        """The claims of the token, flattened as both services show them; an app-only one names nobody."""
        issued = int(at.timestamp()) - 300
        found = {
            "aud": "https://management.core.windows.net/",
            "iss": f"https://sts.windows.net/{tenant_id}/",
            "iat": str(issued),
            "nbf": str(issued),
            "exp": str(issued + 3900),
            "aio": "ATQAy/8TAAAAsimulated",
            "appid": self.app_id,
            f"{_CLAIMS}/objectidentifier": self.id,
            f"{_CLAIMS}/tenantid": tenant_id,
            f"{_SCHEMA}/nameidentifier": self.id,
            "uti": "c2ltdWxhdGVk",
            "ver": "1.0",
        }
        if not self.upn:
            return found | {"appidacr": "2", "idtyp": "app"}
        return found | {
            "appidacr": "0",
            "http://schemas.microsoft.com/claims/authnmethodsreferences": "pwd,mfa",
            f"{_CLAIMS}/scope": "user_impersonation",
            "groups": "e4bb0b56-1014-40f8-88ab-3d8a8cb0e086",
            "ipaddr": self.address,
            "name": self.name,
            "puid": "10032000DA41F889",
            f"{_SCHEMA}/name": self.upn,
            f"{_SCHEMA}/upn": self.upn,
        }


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One PUT or DELETE that succeeded."""

    id: str
    """A GUID: correlation and operation id."""
    at: datetime
    """When it ended."""
    action: str
    resource_id: str
    caller: Caller
    method: Literal["PUT", "DELETE"]
    status: int = 200
    request: Mapping[str, Any] | None = None
    response: Mapping[str, Any] | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    """The grant by which the caller was allowed to."""

    @property
    def began(self) -> datetime:
        """When it began."""
        return self.at - timedelta(seconds=3)

    @property
    def creates(self) -> bool:
        """Whether it made something that was not there."""
        return self.status == 201

    @property
    def subscription(self) -> str:
        """The lower-case id of the subscription that it happened in; empty at a management group or the root."""
        segments = parts(self.resource_id)
        return segments[1] if segments[:1] == ("subscriptions",) else ""

    @property
    def group(self) -> str:
        """The resource group that it happened in, if any."""
        segments = [segment for segment in self.resource_id.split("/") if segment]
        grouped = len(segments) > 3 and segments[2].lower() == "resourcegroups"
        return segments[3] if grouped and segments[0].lower() == "subscriptions" else ""

    @property
    def provider(self) -> str:
        """The resource provider."""
        return self.action.partition("/")[0]

    @property
    def type(self) -> str:
        """The type of what was changed."""
        return self.action.rpartition("/")[0]
