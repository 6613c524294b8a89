"""Whom Graph names as owners, and which of them a card may mention."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import replace

from ..clients.entra import Entra
from ..model import Application, Owner, Unread
from ..text import visible

log = logging.getLogger(__name__)

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


async def graph_owners(
    entra: Entra, applications: Iterable[Application], resource_ids: Iterable[str]
) -> tuple[dict[str, tuple[Owner, ...]], list[Unread]]:
    """The owners of applications and service principals by resource id, and what could not be read.

    An application without owners has those of its service principal. That members cannot be told from guests is
    only logged: then nobody is mentioned, and everything else goes on.
    """
    owners, unread = await entra.list_owners(resource_ids)
    lonely = {
        one.id: f"/servicePrincipals(appId='{one.app_id}')"
        for one in applications
        if owners.get(one.id) == () and _GUID.match(one.app_id)
    }
    others, failed = await entra.list_owners(lonely.values())
    for resource_id, path in lonely.items():
        if path in others:
            owners[resource_id] = others[path]
        else:
            # Whether it has an owner is not known.
            del owners[resource_id]
    everybody = {one.object_id for found in owners.values() for one in found if one.object_id}
    members, unknown = await entra.list_members(everybody)
    if unknown:
        mend = f"; it needs {unknown[0].permission}" if unknown[0].permission else ""
        log.warning("no owner is mentioned whose account could not be read: %s%s", visible(unknown[0].reason), mend)
    marked = {
        path: tuple(replace(one, member=one.object_id.lower() in members) for one in found)
        for path, found in owners.items()
    }
    return marked, [*unread, *failed]
