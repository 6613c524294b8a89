"""The use cases, and the only importer of both sides: scan() reads and judges, settle() tells."""

from .connect import Clients, connect
from .scan import Progress, Report, scan
from .settle import Settled, settle, watched_tenant

__all__ = ["Clients", "Progress", "Report", "Settled", "connect", "scan", "settle", "watched_tenant"]
