"""The managed-identity endpoint of App Service, and the tokens it gives out.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

from .operation import Caller
from .world import Call, Reply, World, json_reply

GRAPH = (
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
    "00000003-0000-0000-c000-000000000000",
)
ARM = (
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
    "https://management.core.chinacloudapi.cn",
)
OTHERS = ("https://storage.azure.com", "https://eventgrid.azure.net", "https://vault.azure.net")
LIFETIME = 24 * 3600


class Identity:
    """Gives tokens to who knows the identity header, for the identity that is assigned to the app."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, call: Call) -> Reply:
        """The token that was asked for."""
        world = self._world
        resource = call.query.get("resource", "")
        if call.headers.get("x-identity-header") != world.identity_header:
            return self.refusal(401, call)
        if call.query.get("api-version") != "2019-08-01" or not resource:
            return self.refusal(400, call)
        if call.query.get("client_id", "").lower() != world.client_id:
            return _failure(400, "Unable to load the proper Managed Identity.")
        if resource.rstrip("/") not in (*GRAPH, *ARM, *OTHERS, *world.origins.values()):
            return self.refusal(500, call)
        expires = int(time.time()) + LIFETIME
        return json_reply(
            {
                "access_token": issue(world, resource, expires),
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": world.client_id,
            }
        )

    def refusal(self, status: int, call: Call) -> Reply:
        """The body of App Service's endpoint; a resource nobody knows ends in a vague 500."""
        if status == 500:
            return _failure(500, "An unexpected error occured while fetching the AAD Token. Please contact support.")
        return _failure(status, "The parameter 'resource' or 'api-version' is invalid." if status == 400 else "No.")


def _failure(status: int, message: str) -> Reply:
    return json_reply({"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}, status)


def issue(world: World, resource: str, expires: int, caller: Caller | None = None) -> str:
    """A signed token: of the watching app's identity, or of somebody else."""
    app_id, object_id = (caller.app_id, caller.id) if caller else (world.client_id, world.object_id)
    claims: dict[str, Any] = {
        "aud": resource,
        "iss": f"https://sts.windows.net/{world.tenant.id}/",
        "iat": expires - LIFETIME,
        "nbf": expires - LIFETIME,
        "exp": expires,
        "appid": app_id,
        "idtyp": "user" if caller and caller.upn else "app",
        "oid": object_id,
        "sub": object_id,
        "tid": world.tenant.id,
        "ver": "1.0",
    }
    if resource.rstrip("/") in GRAPH:
        claims["roles"] = sorted(world.tenant.permissions)
    head = _encode(json.dumps({"typ": "JWT", "alg": "HS256"}).encode()) + "." + _encode(json.dumps(claims).encode())
    return f"{head}.{_encode(_signature(world, head))}"


def audience(world: World, call: Call) -> str | None:
    """The audience of a request's bearer token; None for no token, one that was tampered with, or an expired one."""
    claims = _claims(world, call)
    return str(claims["aud"]).rstrip("/") if claims else None


def caller_of(world: World, call: Call) -> str:
    """The object id of whose token a request carries."""
    claims = _claims(world, call)
    return str(claims["oid"]) if claims else ""


def _claims(world: World, call: Call) -> dict[str, Any] | None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    head, _, signature = token.rpartition(".")
    if scheme.lower() != "bearer" or not hmac.compare_digest(signature, _encode(_signature(world, head))):
        return None
    claims: dict[str, Any] = json.loads(_decode(head.partition(".")[2]))
    return claims if claims["exp"] > time.time() else None


def _signature(world: World, head: str) -> bytes:
    return hmac.digest(world.signing_key, head.encode("ascii", "replace"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
