"""Every rule, in the order in which docs/rules.md lists them."""

from ..rule import Rule
from .aks_cluster_cannot_assign_kubelet import aks_cluster_cannot_assign_kubelet
from .aks_cluster_cannot_edit_dns_zone import aks_cluster_cannot_edit_dns_zone
from .aks_cluster_cannot_join_subnet import aks_cluster_cannot_join_subnet
from .aks_cluster_cannot_manage_node_group import aks_cluster_cannot_manage_node_group
from .aks_identity_missing import aks_identity_missing
from .aks_identity_overprivileged import aks_identity_overprivileged
from .aks_identity_replaced import aks_identity_replaced
from .aks_kubelet_cannot_pull import aks_kubelet_cannot_pull
from .aks_pod_identity_deprecated import aks_pod_identity_deprecated
from .aks_service_principal_cluster import aks_service_principal_cluster
from .aks_service_principal_expiry import aks_service_principal_expiry
from .aks_service_principal_leftover import aks_service_principal_leftover
from .aks_service_principal_missing import aks_service_principal_missing
from .entra_application_without_owner import entra_application_without_owner
from .entra_credential_expiry import entra_credential_expiry
from .event_not_understood import event_not_understood
from .receiver_refused import receiver_refused
from .role_assignment_deleted import role_assignment_deleted
from .scan_scope_unreadable import scan_scope_unreadable
from .subscription_not_wired import subscription_not_wired
from .workload_identity_issuer_unknown import workload_identity_issuer_unknown
from .workload_identity_not_enabled import workload_identity_not_enabled
from .workload_identity_subject_mismatch import workload_identity_subject_mismatch
from .workload_identity_without_role import workload_identity_without_role

RULES: tuple[Rule, ...] = (
    aks_service_principal_expiry,
    aks_service_principal_missing,
    aks_service_principal_cluster,
    aks_service_principal_leftover,
    aks_kubelet_cannot_pull,
    aks_cluster_cannot_join_subnet,
    aks_cluster_cannot_manage_node_group,
    aks_cluster_cannot_assign_kubelet,
    aks_cluster_cannot_edit_dns_zone,
    aks_identity_missing,
    aks_identity_replaced,
    role_assignment_deleted,
    aks_identity_overprivileged,
    aks_pod_identity_deprecated,
    workload_identity_issuer_unknown,
    workload_identity_subject_mismatch,
    workload_identity_not_enabled,
    workload_identity_without_role,
    entra_credential_expiry,
    entra_application_without_owner,
    receiver_refused,
    scan_scope_unreadable,
    event_not_understood,
    subscription_not_wired,
)
BY_ID = {rule.id: rule for rule in RULES}
DRIFT: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.drift)
"""The rules that an event makes settle look at again."""
