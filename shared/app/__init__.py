"""The use cases, and the only importer of both sides: scan() reads and judges, settle() tells."""

from .connect import Clients, connect
from .scan import Progress, Report, scan
from .settle import Settled, settle, watched_tenant
from .silence import add_silence, end_silence

__all__ = [
    "Clients",
    "Progress",
    "Report",
    "Settled",
    "add_silence",
    "connect",
    "end_silence",
    "scan",
    "settle",
    "watched_tenant",
]
