"""Every rule, in the order in which docs/rules.md lists them."""

from ..rule import Rule
from .aks_cluster_cannot_assign_kubelet import aks_cluster_cannot_assign_kubelet
from .aks_cluster_cannot_edit_dns_zone import aks_cluster_cannot_edit_dns_zone
from .aks_cluster_cannot_join_subnet import aks_cluster_cannot_join_subnet
from .aks_cluster_cannot_manage_node_group import aks_cluster_cannot_manage_node_group
from .aks_identity_missing import aks_identity_missing
from .aks_kubelet_cannot_pull import aks_kubelet_cannot_pull
from .aks_service_principal_cluster import aks_service_principal_cluster
from .aks_service_principal_expiry import aks_service_principal_expiry
from .aks_service_principal_missing import aks_service_principal_missing
from .entra_application_without_owner import entra_application_without_owner
from .entra_credential_expiry import entra_credential_expiry
from .event_not_understood import event_not_understood
from .receiver_refused import receiver_refused
from .role_assignment_deleted import role_assignment_deleted
from .scan_scope_unreadable import scan_scope_unreadable

RULES: tuple[Rule, ...] = (
    aks_service_principal_expiry,
    aks_service_principal_missing,
    aks_service_principal_cluster,
    aks_kubelet_cannot_pull,
    aks_cluster_cannot_join_subnet,
    aks_cluster_cannot_manage_node_group,
    aks_cluster_cannot_assign_kubelet,
    aks_cluster_cannot_edit_dns_zone,
    aks_identity_missing,
    role_assignment_deleted,
    entra_credential_expiry,
    entra_application_without_owner,
    receiver_refused,
    scan_scope_unreadable,
    event_not_understood,
)
BY_ID = {rule.id: rule for rule in RULES}
DRIFT: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.drift)
"""The rules that an event makes settle look at again."""
