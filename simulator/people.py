"""Users as Graph shows them one by one: how much depends on the permission.

https://learn.microsoft.com/graph/api/user-get and https://learn.microsoft.com/graph/permissions-reference
"""

from __future__ import annotations

import re
from typing import Any

from .entities import User
from .listing import JSON, Options, project
from .world import Call, Reply, World, compact

WHOLE = {"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
BASIC = {"User.ReadBasic.All"}
"""Names and addresses only: whether somebody is enabled, or a guest, is not in the basic profile."""

PATH = r"/users/(?P<user>[^/]+)"


def answer(world: World, call: Call, match: re.Match[str]) -> Reply | int:
    """The answer to GET /users/{id or userPrincipalName}, or the status of a refusal."""
    granted = world.tenant.permissions
    if not granted & (WHOLE | BASIC):
        return 403
    asked = match["user"].lower()
    user = next((one for one in world.tenant.users if asked in (one.id.lower(), one.upn.lower())), None)
    if user is None:
        return 404
    shown = _whole(user) if granted & WHOLE else {**_whole(user), "accountEnabled": None, "userType": None}
    return Reply(200, compact(project(shown, Options.of(call).select)), JSON)


def _whole(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "displayName": user.name,
        "mail": user.upn,
        "userPrincipalName": user.upn,
        "accountEnabled": user.enabled,
        "userType": user.type,
    }
