"""What clusters need, what their needs rest on, and above all what is no need."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from shared.access import Membership, Permission, Registry, RoleAssignment, RoleDefinition, Subnet, subscription_of
from shared.model import ManagedCluster, NodePool, ServicePrincipal, UserAssignedIdentity
from shared.needs import (
    ACR_PULL,
    CONTRIBUTOR,
    NETWORK,
    OPERATOR,
    PRIVATE_DNS,
    REPOSITORY_READER,
    BuiltInRole,
    Cause,
    Identity,
    Need,
    World,
    judge,
    load_bearing,
    needs,
    principal,
    pulls,
    unknowns,
    world,
)
from shared.permissions import Grants, Verdict, grants

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
S = f"/subscriptions/{SUBSCRIPTION}"
HUB = "/subscriptions/22222222-2222-2222-2222-222222222222"
MG = "/providers/Microsoft.Management/managementGroups/platform"
NODES = f"{S}/resourceGroups/MC_shop_aks_westeurope"
NET = f"{S}/resourceGroups/network/providers/Microsoft.Network"
SUBNET = f"{NET}/virtualNetworks/spoke/subnets/nodes"
SECOND = f"{NET}/virtualNetworks/spoke/subnets/more"
TABLE = f"{NET}/routeTables/to-firewall"
GATEWAY = f"{NET}/natGateways/out"
ZONE = f"{HUB}/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/privatelink.westeurope.azmk8s.io"
IDENTITIES = f"{S}/resourceGroups/identities/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
REGISTRIES = f"{S}/resourceGroups/images/providers/Microsoft.ContainerRegistry/registries"
CLUSTER = "cccccccc-0000-0000-0000-000000000001"
KUBELET = "aaaaaaaa-0000-0000-0000-000000000001"
GROUP = "bbbbbbbb-0000-0000-0000-000000000001"
PARENT = "bbbbbbbb-0000-0000-0000-000000000002"
APP = "dddddddd-0000-0000-0000-000000000001"

ACR = Registry(id=f"{REGISTRIES}/acme", name="acme", login_server="acme.azurecr.io")
ABAC = Registry(id=f"{REGISTRIES}/modern", name="modern", login_server="modern.azurecr.io", abac=True)

AGENTPOOL = UserAssignedIdentity(
    id=f"{NODES}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/aks-agentpool", principal_id=KUBELET
)
BROUGHT = UserAssignedIdentity(id=f"{IDENTITIES}/kubelet", principal_id=KUBELET)
CONTROL = UserAssignedIdentity(id=f"{IDENTITIES}/control", principal_id=CLUSTER)

SUBNET_RULE = "aks_cluster_cannot_join_subnet"
NODE_RULE = "aks_cluster_cannot_manage_node_group"


def pool(subnet_id: str = "", kind: str = "VirtualMachineScaleSets", name: str = "system") -> NodePool:
    return NodePool(name=name, type=kind, subnet_id=subnet_id)


def cluster(**changes: object) -> ManagedCluster:
    values: dict[str, object] = {
        "id": f"{S}/resourcegroups/shop/providers/Microsoft.ContainerService/managedClusters/aks",
        "name": "aks",
        "resource_group": "shop",
        "subscription_id": SUBSCRIPTION,
        "provisioning_state": "Succeeded",
        "power_state": "Running",
        "identity_type": "UserAssigned",
        "identities": (CONTROL,),
        "kubelet": AGENTPOOL,
        "node_resource_group": "MC_shop_aks_westeurope",
        "pools": (pool(),),
        "network_plugin": "azure",
        "outbound_type": "loadBalancer",
        "sku": "Base",
    }
    return ManagedCluster(**{**values, **changes})  # type: ignore[arg-type]


def shape(items: tuple[Need, ...]) -> list[tuple[str, str, bool]]:
    return [(need.rule, need.scope, need.certain) for need in items]


NODE_GROUP = (NODE_RULE, NODES, True)
TABLED = world(subnets=[Subnet(id=SUBNET.upper(), route_table_id=TABLE)])
GATED = world(subnets=[Subnet(id=SUBNET, nat_gateway_id=GATEWAY)])
OWN_TABLE = world(subnets=[Subnet(id=SUBNET, route_table_id=f"{NODES}/providers/Microsoft.Network/routeTables/aks")])

SHAPES: list[tuple[str, ManagedCluster, World, list[tuple[str, str, bool]]]] = [
    ("a plain cluster needs its node resource group only", cluster(), World(), [NODE_GROUP]),
    ("system-assigned", cluster(identity_type="SystemAssigned", identities=(), principal_id=CLUSTER), World(),
     [NODE_GROUP]),
    ("stopped: it needs the same when it starts", cluster(power_state="Stopped"), World(), [NODE_GROUP]),
    ("failed", cluster(provisioning_state="Failed", kubelet=None), World(), [NODE_GROUP]),
    ("updating: the grace is not decided here", cluster(provisioning_state="Updating"), World(), [NODE_GROUP]),
    ("Automatic: AKS may hold that group in its own way", cluster(sku="Automatic"), World(),
     [(NODE_RULE, NODES, False)]),
    ("its own subnet", cluster(pools=(pool(SUBNET),)), World(), [NODE_GROUP, (SUBNET_RULE, SUBNET, True)]),
    ("its own subnet, kubenet, AKS's route table", cluster(pools=(pool(SUBNET),), network_plugin="kubenet"), OWN_TABLE,
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True)]),
    ("two pools in one subnet written in two cases", cluster(pools=(pool(SUBNET), pool(SUBNET.lower(), name="user"))),
     World(), [NODE_GROUP, (SUBNET_RULE, SUBNET, True)]),
    ("two pools in two subnets", cluster(pools=(pool(SUBNET), pool(SECOND, name="user"))), World(),
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True), (SUBNET_RULE, SECOND, True)]),
    ("a subnet in the node resource group",
     cluster(pools=(pool(f"{NODES.lower()}/providers/Microsoft.Network/virtualNetworks/v/subnets/s"),)), World(),
     [NODE_GROUP]),
    ("a route table that nobody routes by", cluster(pools=(pool(SUBNET),)), TABLED,
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True)]),
    ("user-defined routing: joined only when the subnet is changed",
     cluster(pools=(pool(SUBNET),), outbound_type="userDefinedRouting"), TABLED,
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True), (SUBNET_RULE, TABLE, False)]),
    ("kubenet writes its routes", cluster(pools=(pool(SUBNET),), network_plugin="kubenet"), TABLED,
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True), (SUBNET_RULE, TABLE, True)]),
    ("one route table on two subnets is one need",
     cluster(pools=(pool(SUBNET), pool(SECOND, name="user")), outbound_type="userDefinedRouting"),
     world(subnets=[Subnet(id=SUBNET, route_table_id=TABLE), Subnet(id=SECOND, route_table_id=TABLE.lower())]),
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True), (SUBNET_RULE, SECOND, True), (SUBNET_RULE, TABLE, False)]),
    ("its own NAT gateway", cluster(pools=(pool(SUBNET),), outbound_type="userAssignedNATGateway"), GATED,
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True), (SUBNET_RULE, GATEWAY, False)]),
    ("a NAT gateway that the cluster does not use", cluster(pools=(pool(SUBNET),)), GATED,
     [NODE_GROUP, (SUBNET_RULE, SUBNET, True)]),
    ("its own kubelet identity", cluster(kubelet=BROUGHT), World(),
     [NODE_GROUP, ("aks_cluster_cannot_assign_kubelet", BROUGHT.id, True)]),
    ("a kubelet identity of a group whose name begins alike",
     cluster(kubelet=UserAssignedIdentity(id=AGENTPOOL.id.replace("westeurope/", "westeurope2/"))), World(),
     [NODE_GROUP, ("aks_cluster_cannot_assign_kubelet", AGENTPOOL.id.replace("westeurope/", "westeurope2/"), True)]),
    ("its own private zone", cluster(private=True, private_dns_zone=ZONE), World(),
     [NODE_GROUP, ("aks_cluster_cannot_edit_dns_zone", ZONE, True)]),
    ("AKS's private zone", cluster(private=True, private_dns_zone="system"), World(), [NODE_GROUP]),
    ("no private zone", cluster(private=True, private_dns_zone="none"), World(), [NODE_GROUP]),
    ("a zone on a cluster that is public", cluster(private_dns_zone=ZONE), World(), [NODE_GROUP]),
    ("being made", cluster(provisioning_state="Creating"), World(), []),
    ("being deleted", cluster(provisioning_state="deleting"), World(), []),
    ("no identity shown", cluster(identities=(), identity_type="None"), World(), []),
    ("no node resource group shown", cluster(node_resource_group=""), World(), []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "around", "expected"), [case[1:] for case in SHAPES], ids=[case[0] for case in SHAPES]
)
def test_needs(made: ManagedCluster, around: World, expected: list[tuple[str, str, bool]]) -> None:
    found = needs(made, around)
    assert shape(found) == expected
    assert {(need.identity, need.principal_id) for need in found} <= {(Identity.CLUSTER, CLUSTER)}
    assert len({(need.rule, need.key) for need in found}) == len(found)


def only(rule: str, made: ManagedCluster, around: World | None = None, scope: str = "") -> Need:
    found = [need for need in needs(made, around or World()) if need.rule == rule and scope in ("", need.scope)]
    assert len(found) == 1
    return found[0]


DISKS = "Microsoft.Compute/disks/write"
BALANCER = "Microsoft.Network/loadBalancers/write"
ADDRESS = "Microsoft.Network/publicIPAddresses/write"
SET = "Microsoft.Compute/virtualMachineScaleSets/write"
IN_SET = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write"
MACHINE = "Microsoft.Compute/virtualMachines/write"
NIC = "Microsoft.Network/networkInterfaces/write"


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({}, {DISKS, BALANCER, ADDRESS, SET, IN_SET}),
        ({"outbound_type": "managedNATGateway"}, {DISKS, BALANCER, ADDRESS, SET, IN_SET}),
        ({"outbound_type": "userDefinedRouting"}, {DISKS, BALANCER, SET, IN_SET}),
        ({"outbound_type": "none"}, {DISKS, BALANCER, SET, IN_SET}),
        ({"pools": (pool(kind="AvailabilitySet"),)}, {DISKS, BALANCER, ADDRESS, MACHINE, NIC}),
        ({"pools": (pool(kind="VirtualMachines"),)}, {DISKS, BALANCER, ADDRESS, MACHINE, NIC}),
        ({"node_provisioning": "Auto"}, {DISKS, BALANCER, ADDRESS, SET, IN_SET, MACHINE, NIC}),
        ({"node_provisioning": "Manual"}, {DISKS, BALANCER, ADDRESS, SET, IN_SET}),
        ({"pools": ()}, {DISKS, BALANCER, ADDRESS}),
    ],
)
def test_what_is_needed_in_the_node_group(changes: dict[str, object], actions: set[str]) -> None:
    assert set(only(NODE_RULE, cluster(**changes)).actions) == actions


# ---- who it is ----------------------------------------------------------------------------------------------------

SERVICE_PRINCIPAL = ServicePrincipal(object_id=CLUSTER, app_id=APP)
ON_PRINCIPAL = cluster(client_id=APP.upper(), identity_type="", identities=(), kubelet=None)


def test_on_a_service_principal_cluster_and_kubelet_are_the_same() -> None:
    around = world(service_principals=[SERVICE_PRINCIPAL])
    assert principal(ON_PRINCIPAL, Identity.CLUSTER, around) == CLUSTER
    assert principal(ON_PRINCIPAL, Identity.KUBELET, around) == CLUSTER
    assert shape(needs(ON_PRINCIPAL, around)) == [NODE_GROUP]
    assert unknowns(ON_PRINCIPAL, around) == ()
    found = pulls(ON_PRINCIPAL, held((ACR_PULL, ACR.id, CLUSTER)), [ACR], around)
    assert [(need.identity, need.principal_id) for need in found] == [(Identity.KUBELET, CLUSTER)]


def test_a_service_principal_needs_no_right_on_a_kubelet_identity() -> None:
    made = cluster(client_id=APP, identities=(), kubelet=BROUGHT)
    around = world(service_principals=[SERVICE_PRINCIPAL])
    assert shape(needs(made, around)) == [NODE_GROUP]


def test_an_object_id_that_the_cluster_does_not_show_is_read_from_the_identity() -> None:
    bare = cluster(
        identities=(UserAssignedIdentity(id=CONTROL.id.upper()),), kubelet=UserAssignedIdentity(id=BROUGHT.id.lower())
    )
    around = world(identities=[CONTROL, BROUGHT])
    assert principal(bare, Identity.CLUSTER, around) == CLUSTER
    assert principal(bare, Identity.KUBELET, around) == KUBELET
    assert [(item.identity, item.cause) for item in unknowns(bare, World())] == [
        (Identity.CLUSTER, Cause.IDENTITY_UNREAD),
        (Identity.KUBELET, Cause.IDENTITY_UNREAD),
    ]


@pytest.mark.parametrize(
    ("made", "causes"),
    [
        (cluster(), []),
        (cluster(provisioning_state="Creating", kubelet=None), [Cause.CHANGING]),
        (cluster(provisioning_state="Failed", kubelet=None), [Cause.NO_KUBELET_IDENTITY]),
        (cluster(node_resource_group=""), [Cause.NO_NODE_GROUP]),
        (cluster(identities=()), [Cause.NO_CLUSTER_IDENTITY]),
        (cluster(identities=(CONTROL, BROUGHT), principal_id=CLUSTER), [Cause.NO_CLUSTER_IDENTITY]),
        (ON_PRINCIPAL, [Cause.SERVICE_PRINCIPAL_UNKNOWN, Cause.SERVICE_PRINCIPAL_UNKNOWN]),
        (cluster(pools=(pool(SUBNET),)), []),
        (cluster(pools=(pool(SUBNET),), network_plugin="Kubenet"), [Cause.SUBNET_UNREAD]),
        (cluster(pools=(pool(SUBNET),), outbound_type="userDefinedRouting"), [Cause.SUBNET_UNREAD]),
        (cluster(pools=(pool(SUBNET),), outbound_type="userAssignedNATGateway"), [Cause.SUBNET_UNREAD]),
    ],
)
def test_what_cannot_be_told_has_a_cause(made: ManagedCluster, causes: list[Cause]) -> None:
    assert [item.cause for item in unknowns(made, World())] == causes


def test_a_cause_names_what_could_not_be_read() -> None:
    assert [item.about for item in unknowns(cluster(pools=(pool(SUBNET),), network_plugin="kubenet"), World())] == [
        SUBNET
    ]
    assert unknowns(ON_PRINCIPAL, World())[0].about == APP.upper()


# ---- held or lost: the matrix ------------------------------------------------------------------------------------

DEFINITIONS = {
    CONTRIBUTOR: Permission(actions=("*",), not_actions=("Microsoft.Authorization/*/Write",)),
    NETWORK: Permission(actions=("Microsoft.Network/*", "Microsoft.Authorization/*/read")),
    OPERATOR: Permission(actions=("Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",)),
    PRIVATE_DNS: Permission(actions=("Microsoft.Network/privateDnsZones/*",)),
    ACR_PULL: Permission(actions=("Microsoft.ContainerRegistry/registries/pull/read",)),
    REPOSITORY_READER: Permission(
        data_actions=(
            "Microsoft.ContainerRegistry/registries/repositories/content/read",
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
        )
    ),
    (OWNER := BuiltInRole(name="Owner", role_id="owner")): Permission(actions=("*",)),
    (READER := BuiltInRole(name="Reader", role_id="reader")): Permission(actions=("*/read",)),
    (CUSTOM := BuiltInRole(name="narrow but enough", role_id="custom")): Permission(
        actions=(
            "Microsoft.Compute/*/write",
            "Microsoft.Network/loadBalancers/*",
            "Microsoft.Network/publicIPAddresses/*",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            "Microsoft.Network/*/read",
            "Microsoft.Network/routeTables/routes/*",
            "Microsoft.Network/*/join/*",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            "Microsoft.Network/privateDnsZones/A/*",
            "Microsoft.ContainerRegistry/registries/pull/read",
        ),
        data_actions=("Microsoft.ContainerRegistry/registries/repositories/content/read",),
    ),
}
UNREAD = BuiltInRole(name="unread", role_id="unread")


def assigned(role: BuiltInRole, scope: str, holder: str, condition: str = "", listed: str = S) -> RoleAssignment:
    return RoleAssignment(
        id=f"{scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{role.role_id}-{holder}",
        principal_id=holder,
        role_definition_id=f"/providers/Microsoft.Authorization/roleDefinitions/{role.role_id}",
        scope=scope,
        condition=condition,
        listed_in=frozenset({subscription_of(listed)}),
    )


def built(rows: list[RoleAssignment]) -> Grants:
    return grants(
        rows,
        [
            RoleDefinition(id=f"x/{role.role_id}", name=role.name, permissions=(block,))
            for role, block in DEFINITIONS.items()
        ],
        [Membership(principal_id=one, groups=(GROUP, PARENT)) for one in (CLUSTER, KUBELET)],
    )


def held(*rows: tuple[BuiltInRole, str, str]) -> Grants:
    return built([assigned(*row) for row in rows])


ROUTED = cluster(pools=(pool(SUBNET),), network_plugin="kubenet")
EVERY_NEED: dict[str, Need] = {
    "node group": only(NODE_RULE, cluster()),
    "subnet": only(SUBNET_RULE, cluster(pools=(pool(SUBNET),))),
    "route table of kubenet": only(SUBNET_RULE, ROUTED, TABLED, TABLE),
    "route table": only(SUBNET_RULE, cluster(pools=(pool(SUBNET),), outbound_type="userDefinedRouting"), TABLED, TABLE),
    "NAT gateway": only(
        SUBNET_RULE, cluster(pools=(pool(SUBNET),), outbound_type="userAssignedNATGateway"), GATED, GATEWAY
    ),
    "kubelet identity": only("aks_cluster_cannot_assign_kubelet", cluster(kubelet=BROUGHT)),
    "DNS zone": only("aks_cluster_cannot_edit_dns_zone", cluster(private=True, private_dns_zone=ZONE)),
    "registry": pulls(cluster(), held((ACR_PULL, ACR.id, KUBELET)), [ACR], World())[0],
    "ABAC registry": pulls(cluster(), held((REPOSITORY_READER, ABAC.id, KUBELET)), [ABAC], World())[0],
}


def above(scope: str, levels: int) -> str:
    return "/".join(scope.split("/")[: levels + 1])


@pytest.mark.parametrize("need", EVERY_NEED.values(), ids=EVERY_NEED)
class TestEveryNeed:
    """The rows of the matrix that are the same for every need."""

    def judged(self, need: Need, role: BuiltInRole, scope: str, holder: str = "", condition: str = "") -> Verdict:
        row = assigned(role, scope, holder or need.principal_id, condition, listed=need.scope)
        return judge(need, built([row])).verdict

    def test_held_by_the_role_that_the_card_recommends(self, need: Need) -> None:
        assert self.judged(need, need.role, need.scope) is Verdict.YES

    def test_lost(self, need: Need) -> None:
        answer = judge(need, built([]))
        assert answer.verdict is Verdict.NO
        assert set(answer.missing) == {*need.actions, *need.data_actions}

    def test_inherited_from_resource_group_subscription_management_group_and_root(self, need: Need) -> None:
        for scope in (above(need.scope, 4), above(need.scope, 2), MG, "/"):
            assert self.judged(need, need.role, scope) is Verdict.YES

    def test_through_groups(self, need: Need) -> None:
        for group in (GROUP, PARENT):
            assert self.judged(need, need.role, need.scope, group) is Verdict.YES
        assert self.judged(need, need.role, need.scope, "some other group") is Verdict.NO

    def test_by_a_custom_role(self, need: Need) -> None:
        assert self.judged(need, CUSTOM, need.scope) is Verdict.YES

    def test_conditional_is_maybe(self, need: Need) -> None:
        assert self.judged(need, need.role, need.scope, condition="@Resource[x] StringEquals 'y'") is Verdict.MAYBE

    def test_an_unread_role_is_unknown(self, need: Need) -> None:
        assert self.judged(need, UNREAD, need.scope) is Verdict.UNKNOWN

    def test_elsewhere_is_not_here(self, need: Need) -> None:
        assert self.judged(need, OWNER, f"{need.scope}x") is Verdict.NO

    def test_the_other_identity_of_the_cluster_does_not_help(self, need: Need) -> None:
        other = CLUSTER if need.identity is Identity.KUBELET else KUBELET
        assert self.judged(need, need.role, need.scope, other) is Verdict.NO

    def test_the_command_is_ready_to_run(self, need: Need) -> None:
        assert "{" not in need.command
        assert need.scope in shlex.split(need.command)
        assert need.facts["identity"] == need.identity.value


CONTROL_PLANE = [name for name in EVERY_NEED if name not in ("registry", "ABAC registry")]


@pytest.mark.parametrize(
    ("names", "role", "verdict"),
    [
        (CONTROL_PLANE, CONTRIBUTOR, Verdict.YES),
        (CONTROL_PLANE, OWNER, Verdict.YES),
        (CONTROL_PLANE, READER, Verdict.NO),
        (["registry"], CONTRIBUTOR, Verdict.YES),
        (["registry"], OWNER, Verdict.YES),
        (["registry"], READER, Verdict.YES),
        (["registry"], REPOSITORY_READER, Verdict.NO),
        (["ABAC registry"], ACR_PULL, Verdict.NO),
        (["ABAC registry"], READER, Verdict.NO),
        (["ABAC registry"], CONTRIBUTOR, Verdict.NO),
        (["ABAC registry"], OWNER, Verdict.NO),
        (["kubelet identity"], NETWORK, Verdict.NO),
        (["node group"], NETWORK, Verdict.NO),
        (["subnet", "route table", "route table of kubenet", "NAT gateway", "DNS zone"], NETWORK, Verdict.YES),
    ],
)
def test_broad_roles(names: list[str], role: BuiltInRole, verdict: Verdict) -> None:
    for name in names:
        need = EVERY_NEED[name]
        assert judge(need, held((role, need.scope, need.principal_id))).verdict is verdict, name


def test_the_actions_that_a_custom_role_leaves_out_are_named() -> None:
    answer = judge(EVERY_NEED["node group"], held((NETWORK, NODES, CLUSTER)))
    assert set(answer.missing) == {DISKS, SET, IN_SET}


def test_join_without_read_is_not_enough() -> None:
    need = EVERY_NEED["subnet"]
    role = RoleDefinition(id="x/custom", permissions=(Permission(actions=("Microsoft.Network/*/join/action",)),))
    answer = judge(need, grants([assigned(CUSTOM, SUBNET, CLUSTER)], [role], [Membership(principal_id=CLUSTER)]))
    assert answer.missing == ("Microsoft.Network/virtualNetworks/subnets/read",)


def test_the_roles_and_actions_of_needs_agree_with_the_recorded_built_in_roles() -> None:
    path = SAMPLES / "arm-role-definitions-selected-builtins.json"
    if not path.exists():
        pytest.skip(f"recorded sample {path.name} is not here")
    items = {item["name"]: item["properties"] for item in json.loads(path.read_text(encoding="utf-8"))["value"]}
    definitions = [
        RoleDefinition(
            id=name,
            permissions=tuple(
                Permission(actions=tuple(block["actions"]), not_actions=tuple(block["notActions"]))
                for block in properties["permissions"]
            ),
        )
        for name, properties in items.items()
    ]
    for need in EVERY_NEED.values():
        if need.role is REPOSITORY_READER:
            continue
        assert items[need.role.role_id]["roleName"] == need.role.name
        member = Membership(principal_id=need.principal_id)
        row = assigned(need.role, need.scope, need.principal_id)
        assert judge(need, grants([row], definitions, [member])).verdict is Verdict.YES


# ---- pulls --------------------------------------------------------------------------------------------------------


def test_pulls_are_what_the_kubelet_could_pull_from() -> None:
    other = Registry(id=f"{REGISTRIES}/other")
    found = pulls(
        cluster(), held((ACR_PULL, ACR.id, KUBELET), (ACR_PULL, other.id, CLUSTER)), [ACR, ABAC, other], World()
    )
    assert [need.scope for need in found] == [ACR.id]
    everywhere = pulls(cluster(), held((READER, S, KUBELET)), [ACR, ABAC, other], World())
    assert [need.scope for need in everywhere] == [ACR.id, other.id]


def test_a_conditional_pull_counts_and_an_unknown_one_does_not() -> None:
    maybe = built([assigned(REPOSITORY_READER, ABAC.id, KUBELET, "@Request[x] StringEquals 'y'")])
    assert [need.scope for need in pulls(cluster(), maybe, [ABAC], World())] == [ABAC.id]
    assert pulls(cluster(), held((UNREAD, ACR.id, KUBELET)), [ACR], World()) == ()


def test_nobody_needs_a_right_to_pull_from_an_anonymous_registry() -> None:
    public = Registry(id=ACR.id, anonymous=True)
    assert pulls(cluster(), held((ACR_PULL, ACR.id, KUBELET)), [public], World()) == ()


@pytest.mark.parametrize(
    "made",
    [cluster(kubelet=None), cluster(provisioning_state="Deleting"), ON_PRINCIPAL],
    ids=lambda made: made.provisioning_state,
)
def test_no_pulls_of_an_unknown_kubelet_or_a_cluster_in_the_making(made: ManagedCluster) -> None:
    assert pulls(made, held((ACR_PULL, ACR.id, KUBELET)), [ACR], World()) == ()


def test_the_commands() -> None:
    assert EVERY_NEED["registry"].command == (
        f"az aks update --subscription {SUBSCRIPTION} --resource-group shop --name aks --attach-acr {ACR.id}"
    )
    assert EVERY_NEED["ABAC registry"].command == (
        f"az role assignment create --assignee-object-id {KUBELET} --assignee-principal-type ServicePrincipal "
        f"--role {REPOSITORY_READER.role_id} --scope {ABAC.id}"
    )


# ---- load-bearing ---------------------------------------------------------------------------------------------------


def bearing(every: list[Need], granted: Grants) -> list[tuple[str, str, Verdict]]:
    return [(support.assignment_id, support.need.scope, support.without) for support in load_bearing(every, granted)]


def test_the_only_assignment_that_gives_a_need_bears_it() -> None:
    need, row = EVERY_NEED["subnet"], assigned(NETWORK, SUBNET, CLUSTER)
    unused = assigned(ACR_PULL, ACR.id, CLUSTER)
    assert bearing([need], built([row, unused])) == [(row.id, SUBNET, Verdict.NO)]


def test_two_that_give_the_same_carry_each_other() -> None:
    rows = [assigned(NETWORK, SUBNET, CLUSTER), assigned(CONTRIBUTOR, S, GROUP)]
    assert bearing([EVERY_NEED["subnet"]], built(rows)) == []


def test_one_assignment_may_bear_many_needs_of_many_identities() -> None:
    row = assigned(CONTRIBUTOR, S, GROUP)
    found = bearing([EVERY_NEED["subnet"], EVERY_NEED["node group"], EVERY_NEED["registry"]], built([row]))
    assert found == [(row.id, SUBNET, Verdict.NO), (row.id, NODES, Verdict.NO), (row.id, ACR.id, Verdict.NO)]


def test_two_that_give_half_each_both_bear() -> None:
    half = BuiltInRole(name="half", role_id="half")
    need = EVERY_NEED["subnet"]
    roles = [
        RoleDefinition(id="x/half", permissions=(Permission(actions=("*/read",)),)),
        RoleDefinition(id="x/custom", permissions=(Permission(actions=("*/join/action",)),)),
    ]
    rows = [assigned(half, S, CLUSTER), assigned(CUSTOM, S, CLUSTER)]
    found = bearing([need], grants(rows, roles, [Membership(principal_id=CLUSTER)]))
    assert {assignment_id for assignment_id, _, _ in found} == {row.id for row in rows}


def test_what_is_left_conditional_or_unread_is_said_as_such() -> None:
    need, sure = EVERY_NEED["registry"], assigned(ACR_PULL, ACR.id, KUBELET)
    maybe = assigned(READER, S, KUBELET, "@Request[x] StringEquals 'y'")
    assert bearing([need], built([sure, maybe])) == [(sure.id, ACR.id, Verdict.MAYBE)]
    assert bearing([need], built([maybe])) == [(maybe.id, ACR.id, Verdict.NO)]
    assert bearing([need], built([sure, assigned(UNREAD, S, KUBELET)])) == [(sure.id, ACR.id, Verdict.UNKNOWN)]


def test_a_need_that_is_not_held_rests_on_nothing() -> None:
    assert bearing([EVERY_NEED["registry"]], held((UNREAD, S, KUBELET))) == []
    assert bearing([EVERY_NEED["registry"]], built([])) == []


def test_records_say_what_they_are_about() -> None:
    assert CONTROL.name == "control"
    assert cluster().node_group_id == NODES
    assert cluster(node_resource_group="").node_group_id == ""
