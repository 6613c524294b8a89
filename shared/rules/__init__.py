"""Every rule, in the order in which docs/rules.md lists them."""

from ..rule import Rule
from .aks_service_principal_cluster import aks_service_principal_cluster
from .aks_service_principal_expiry import aks_service_principal_expiry
from .aks_service_principal_missing import aks_service_principal_missing
from .entra_credential_expiry import entra_credential_expiry
from .scan_scope_unreadable import scan_scope_unreadable

RULES: tuple[Rule, ...] = (
    aks_service_principal_expiry,
    aks_service_principal_missing,
    aks_service_principal_cluster,
    entra_credential_expiry,
    scan_scope_unreadable,
)
BY_ID = {rule.id: rule for rule in RULES}
