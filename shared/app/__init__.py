"""The use cases, and the only importer of both sides: scan() reads and judges, role_changed() notes, settle() tells."""

from .connect import Clients, connect
from .estate import Progress
from .inbox import role_changed
from .receivers import takes_cards
from .scan import Report, scan
from .settle import Settled, settle, watched_tenant
from .silence import add_silence, end_silence
from .storage import connect_tables

__all__ = [
    "Clients",
    "Progress",
    "Report",
    "Settled",
    "add_silence",
    "connect",
    "connect_tables",
    "end_silence",
    "role_changed",
    "scan",
    "settle",
    "takes_cards",
    "watched_tenant",
]
