"""The event function's one insert: into the inbox, keyed by the event's id, and nothing else in its 30 seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..clients.inbox_rows import InboxRow
from ..clients.tables import Tables
from ..events import stripped


async def role_changed(tables: Tables, event: Mapping[str, Any], now: datetime) -> bool:
    """Keep an event until settle deals with it; False for a duplicate. Raises StorageError: then it is delivered "
    "again."""
    kept = stripped(event)
    name = kept["id"] or json.dumps(kept, sort_keys=True)
    key = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return await tables.add_event(InboxRow(key=key, event=kept, received=now))
