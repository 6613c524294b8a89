"""What somebody can do to a simulated tenant from outside, through Resource Manager or Graph, with what is logged."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from .access import Group, RoleAssignment, parts
from .clusters import Cluster
from .entities import UserAssignedIdentity, derived
from .equipment import equip
from .operation import Operation
from .shapes import role_assignment

if TYPE_CHECKING:
    from .tenant import Tenant

ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
CLUSTERS = "Microsoft.ContainerService/managedClusters"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"


class Actions:
    """Changes at one moment; `by` names a user or an app."""

    def __init__(self, tenant: Tenant, at: datetime) -> None:
        self._tenant = tenant
        self._at = at

    def assign(
        self,
        principal_id: str,
        role: str,
        scope: str,
        by: str,
        *,
        name: str = "",
        principal_type: str = "",
        condition: str | None = None,
        condition_version: str | None = None,
    ) -> RoleAssignment:
        """Give a role (name or GUID) at a scope; without `name` the assignment gets a new GUID."""
        access, at = self._tenant.access, self._at
        wanted = RoleAssignment(
            name=name or derived(self._tenant.id, "assignment", str(len(self._tenant.log)), principal_id),
            scope=scope,
            role=access.role(role).id,
            principal_id=principal_id,
            principal_type=principal_type or self._tenant.principal_type(principal_id),
            condition=condition,
            condition_version=condition_version or ("2.0" if condition else None),
            created=at,
            created_by=self._tenant.caller(by).id,
        )
        known = access.find(wanted.id)
        access.put(replace(wanted, created=known.created) if known else wanted)
        body = role_assignment(wanted)["properties"]
        request = {
            key: body[key] for key in ("roleDefinitionId", "principalId", "condition", "conditionVersion") if body[key]
        }
        self._record("PUT", ASSIGNMENTS, wanted.id, by, status=200 if known else 201, request={"properties": request})
        return wanted

    def unassign(self, assignment_id: str, by: str) -> RoleAssignment | None:
        """Delete a role assignment; one that is not there is "deleted" with 204, and logged so."""
        # Who deletes their own grant was still allowed to.
        evidence = self._evidence(by, assignment_id)
        gone = self._tenant.access.remove(assignment_id)
        if gone:
            self._tenant.access.ghosts.append((gone, self._at))
        self._record(
            "DELETE",
            ASSIGNMENTS,
            gone.id if gone else assignment_id,
            by,
            status=200 if gone else 204,
            response=role_assignment(gone) if gone else None,
            evidence=evidence,
        )
        return gone

    def restore(self, gone: RoleAssignment, by: str, *, same_id: bool = False) -> RoleAssignment:
        """Give again what was deleted, under a new GUID unless the old one is wanted."""
        return self.assign(
            gone.principal_id,
            gone.role,
            gone.scope,
            by,
            name=gone.name if same_id else "",
            principal_type=gone.principal_type,
            condition=gone.condition,
            condition_version=gone.condition_version,
        )

    def begin_update(self, cluster: Cluster, by: str) -> None:
        """Begin to update a cluster: it is Updating until `end_update`."""
        cluster.state = "Updating"
        self._record("PUT", CLUSTERS, cluster.id, by, request={"location": cluster.location})

    def end_update(self, cluster: Cluster) -> None:
        """Bring the update of a cluster to its end; nothing is sent for that."""
        cluster.state = "Succeeded"

    def create_cluster(self, cluster: Cluster, by: str) -> None:
        """Make a cluster; one that is made anew gets a new issuer and new identities, where it brings none."""
        before = [one for one in self._tenant.log if one.method == "DELETE" and one.resource_id == cluster.id]
        cluster.life += len(before)
        self._tenant.clusters.append(cluster)
        equip(self._tenant, cluster, self._at)
        self._record("PUT", CLUSTERS, cluster.id, by, status=201, request={"location": cluster.location})

    def delete_cluster(self, cluster: Cluster, by: str) -> None:
        """Delete a cluster, its node resource group, the identities that AKS made, and all assignments on these."""
        self._tenant.clusters.remove(cluster)
        self._record("DELETE", CLUSTERS, cluster.id, by)
        self._vanish(cluster.id)
        self._vanish(cluster.node_group_id)
        if cluster.managed and not cluster.identity:
            self.delete_principal(cluster.principal_id)

    def delete_identity(self, identity: UserAssignedIdentity, by: str) -> None:
        """Delete a user-assigned identity and its principal; its assignments stay, for an unknown principal."""
        self._record("DELETE", IDENTITIES, identity.id, by)
        self._vanish(identity.id)

    def delete_principal(self, object_id: str) -> None:
        """Delete a service principal in Entra: no event, no entry in the log, and its assignments stay."""
        entity = self._tenant.service_principals.find(object_id)
        if entity:
            self._tenant.delete(entity, self._at)

    def delete_scope(self, scope: str, by: str) -> None:
        """Delete a resource group or a resource; the assignments on it and below go silently."""
        group = len(parts(scope)) == 4
        provider, _, path = scope.rpartition("/providers/")[2].partition("/")
        kind = GROUPS if group else "/".join((provider, *path.split("/")[::2]))
        self._record("DELETE", kind, scope, by)
        self._vanish(scope)

    def join(self, group: str, member_id: str) -> None:
        """Make something a member of a group (name or id)."""
        self._group(group).members.append(member_id)

    def leave(self, group: str, member_id: str) -> None:
        """End a membership."""
        self._group(group).members.remove(member_id)

    def _group(self, name: str) -> Group:
        return next(one for one in self._tenant.access.groups if name in (one.name, one.id))

    def _vanish(self, scope: str) -> None:
        tenant, inside = self._tenant, self._tenant.access.covering(scope).below
        for one in tenant.access:
            if inside(one.scope):
                tenant.access.remove(one.id)
        for cluster in [one for one in tenant.clusters if inside(one.id)]:
            tenant.clusters.remove(cluster)
            self._vanish(cluster.node_group_id)
        for identity in [one for one in tenant.identities if inside(one.id)]:
            tenant.identities.remove(identity)
            self.delete_principal(identity.principal_id)
        tenant.groups = [one for one in tenant.groups if not inside(one.id)]
        tenant.registries = [one for one in tenant.registries if not inside(one.id)]
        tenant.resources = [one for one in tenant.resources if not inside(one.id)]

    def _evidence(self, by: str, resource_id: str) -> dict[str, str]:
        """The caller's own grant, its GUIDs without dashes; just a role where none is known."""
        access, caller = self._tenant.access, self._tenant.caller(by)
        groups = [group.id for group in access.memberships(caller.id)]
        at = access.covering(resource_id)
        for one in access.of([caller.id, *groups]):
            if at.above(one.scope):
                return {
                    "role": access.role(one.role).name,
                    "roleAssignmentScope": one.scope,
                    "roleAssignmentId": one.name.replace("-", ""),
                    "roleDefinitionId": one.role.replace("-", ""),
                    "principalId": one.principal_id.replace("-", ""),
                    "principalType": one.principal_type,
                }
        return {"role": "Subscription Admin"}

    def _record(
        self,
        method: Literal["PUT", "DELETE"],
        kind: str,
        resource_id: str,
        by: str,
        *,
        status: int = 200,
        request: dict[str, Any] | None = None,
        response: dict[str, Any] | None = None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        log = self._tenant.log
        log.append(
            Operation(
                id=derived(self._tenant.id, "operation", str(len(log))),
                at=self._at,
                action=f"{kind}/{'delete' if method == 'DELETE' else 'write'}",
                resource_id=resource_id,
                caller=self._tenant.caller(by),
                method=method,
                status=status,
                request=request,
                response=response,
                evidence=evidence if evidence is not None else self._evidence(by, resource_id),
            )
        )
