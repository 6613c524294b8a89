"""Whose token it is that the identity gives out.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from __future__ import annotations

import base64
import json

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError

from ..access import Caller


async def bearer(credential: AsyncTokenCredential, *endpoints: str) -> Caller:
    """Who the first token is made out to that can be had and read, or nobody; its claims are shown, never trusted."""
    for endpoint in endpoints:
        try:
            token = (await credential.get_token(f"{endpoint}/.default")).token
            part = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            found = {name: str(claims.get(name) or "") for name in ("oid", "appid", "upn", "unique_name")}
        except (AzureError, ValueError, IndexError, AttributeError):
            # Every read says by itself why there is no token.
            continue
        person = found["upn"] or found["unique_name"]
        return Caller(object_id=found["oid"], upn=person, app_id="" if person else found["appid"])
    return Caller()
