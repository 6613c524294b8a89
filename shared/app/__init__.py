"""The use cases, and the only importer of both sides: scan() reads and judges, role_changed() notes, settle() tells."""

from .accept import AcceptError, accept
from .connect import Clients, connect
from .estate import Progress
from .impact import Impact, impact
from .inbox import role_changed
from .preflight import preflight
from .receivers import takes_cards
from .scan import Report, scan
from .settle import Settled, settle, watched_tenant
from .silence import add_silence, end_silence
from .storage import connect_tables
from .survey import Survey, survey

__all__ = [
    "AcceptError",
    "Clients",
    "Impact",
    "Progress",
    "Report",
    "Settled",
    "Survey",
    "accept",
    "add_silence",
    "connect",
    "connect_tables",
    "end_silence",
    "impact",
    "preflight",
    "role_changed",
    "scan",
    "settle",
    "survey",
    "takes_cards",
    "watched_tenant",
]
