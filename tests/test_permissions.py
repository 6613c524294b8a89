"""Azure RBAC as permissions.py judges it: tables of cases, the real built-in roles, and a second, slower model."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.access import (
    FederatedIdentityCredential,
    Level,
    Membership,
    Permission,
    RoleAssignment,
    RoleDefinition,
    assignment_scope,
    level,
    merged,
    one_line,
    reaches,
    subscription_of,
)
from shared.permissions import Answer, Doubt, Grants, Verdict, equivalent, grants, matches, may, may_all, permits

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"

S1 = "/subscriptions/11111111-1111-1111-1111-111111111111"
S10 = "/subscriptions/11111111-1111-1111-1111-1111111111110"
S2 = "/subscriptions/22222222-2222-2222-2222-222222222222"
MG = "/providers/Microsoft.Management/managementGroups/platform"
RG = f"{S1}/resourceGroups/images"
REGISTRY = f"{RG}/providers/Microsoft.ContainerRegistry/registries/acme"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
CONTENT = "Microsoft.ContainerRegistry/registries/repositories/content/read"
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
KUBELET = "aaaaaaaa-0000-0000-0000-000000000001"
GROUP = "bbbbbbbb-0000-0000-0000-000000000001"
PARENT = "bbbbbbbb-0000-0000-0000-000000000002"

ROLES = {
    "AcrPull": RoleDefinition(id="r/acrpull", permissions=(Permission(actions=(PULL,)),)),
    "Reader": RoleDefinition(id="r/reader", permissions=(Permission(actions=("*/read",)),)),
    "Owner": RoleDefinition(id="r/owner", permissions=(Permission(actions=("*",)),)),
    "Contributor": RoleDefinition(
        id="r/contributor",
        permissions=(Permission(actions=("*",), not_actions=("Microsoft.Authorization/*/Write",)),),
    ),
    "Repository Reader": RoleDefinition(id="r/repositories", permissions=(Permission(data_actions=(CONTENT,)),)),
    "Network Contributor": RoleDefinition(id="r/network", permissions=(Permission(actions=("Microsoft.Network/*",)),)),
    "custom with wildcards": RoleDefinition(
        id="r/custom", custom=True, permissions=(Permission(actions=("Microsoft.ContainerRegistry/*/read",)),)
    ),
    "custom that takes pull away": RoleDefinition(
        id="r/less",
        custom=True,
        permissions=(Permission(actions=("Microsoft.ContainerRegistry/*",), not_actions=("*/pull/*",)),),
    ),
    "custom that gives back in another block": RoleDefinition(
        id="r/blocks",
        custom=True,
        permissions=(
            Permission(actions=("Microsoft.ContainerRegistry/*",), not_actions=("*/pull/*",)),
            Permission(actions=(PULL,)),
        ),
    ),
    "conditional in the definition": RoleDefinition(
        id="r/inner", permissions=(Permission(actions=(PULL,), condition="@Request[x] StringEquals 'y'"),)
    ),
}


def assigned(role: str, scope: str, **changes: object) -> RoleAssignment:
    known = ROLES[role].role_id if role in ROLES else role
    values: dict[str, object] = {
        "id": f"{scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{abs(hash((role, scope)))}",
        "principal_id": KUBELET,
        "role_definition_id": f"{S2}/providers/Microsoft.Authorization/roleDefinitions/{known}",
        "scope": scope,
        "listed_in": frozenset({subscription_of(S1)}),
    }
    return RoleAssignment(**{**values, **changes})  # type: ignore[arg-type]


def granted(*rows: RoleAssignment, groups: tuple[str, ...] | None = ()) -> Grants:
    memberships = [] if groups is None else [Membership(principal_id=KUBELET, groups=groups)]
    return grants(rows, ROLES.values(), memberships)


def asked(*rows: RoleAssignment, groups: tuple[str, ...] | None = ()) -> Answer:
    return may(granted(*rows, groups=groups), KUBELET, PULL, REGISTRY)


CONDITION = "@Resource[...] StringEquals 'team'"

CASES: list[tuple[str, Verdict, list[RoleAssignment], tuple[str, ...] | None]] = [
    ("held on the registry itself", Verdict.YES, [assigned("AcrPull", REGISTRY)], ()),
    ("inherited from the resource group", Verdict.YES, [assigned("AcrPull", RG)], ()),
    ("inherited from the subscription", Verdict.YES, [assigned("AcrPull", S1)], ()),
    ("inherited from a management group that the subscription listed", Verdict.YES, [assigned("AcrPull", MG)], ()),
    ("inherited from the root", Verdict.YES, [assigned("AcrPull", "/")], ()),
    ("inherited from the root, wherever it was listed", Verdict.YES,
     [assigned("AcrPull", "/", listed_in=frozenset())], ()),
    ("a management group that only another subscription listed", Verdict.NO,
     [assigned("AcrPull", MG, listed_in=frozenset({subscription_of(S2)}))], ()),
    ("a management group of unknown reach", Verdict.UNKNOWN, [assigned("AcrPull", MG, listed_in=frozenset())], ()),
    ("a row without a scope", Verdict.UNKNOWN, [assigned("AcrPull", "", id="x")], ()),
    ("another subscription", Verdict.NO, [assigned("Owner", S2)], ()),
    ("a subscription whose id only begins alike", Verdict.NO, [assigned("Owner", S10)], ()),
    ("a resource group whose name only begins alike", Verdict.NO,
     [assigned("Owner", f"{S1}/resourceGroups/image")], ()),
    ("a registry beside it", Verdict.NO, [assigned("AcrPull", f"{REGISTRY}2")], ()),
    ("something below it", Verdict.NO, [assigned("AcrPull", f"{REGISTRY}/webhooks/one")], ()),
    ("other case, and a trailing slash", Verdict.YES,
     [assigned("AcrPull", RG.upper() + "/", principal_id=KUBELET.upper())], ()),
    ("resourcegroups in small letters", Verdict.YES, [assigned("AcrPull", RG.lower())], ()),
    ("the listing's subscription in capitals", Verdict.YES,
     [assigned("AcrPull", MG, listed_in=frozenset({subscription_of(S1).upper()}))], ()),
    ("a group", Verdict.YES, [assigned("AcrPull", REGISTRY, principal_id=GROUP)], (GROUP,)),
    ("a group in a group", Verdict.YES, [assigned("AcrPull", S1, principal_id=PARENT)], (GROUP, PARENT)),
    ("a group in other case", Verdict.YES, [assigned("AcrPull", S1, principal_id=PARENT.upper())], (PARENT,)),
    ("a group that it is not in", Verdict.NO, [assigned("AcrPull", S1, principal_id=PARENT)], (GROUP,)),
    ("nothing", Verdict.NO, [], ()),
    ("nothing of its own, groups unread", Verdict.UNKNOWN, [], None),
    ("its own, groups unread", Verdict.YES, [assigned("AcrPull", S1)], None),
    ("Reader, since */read covers pull/read", Verdict.YES, [assigned("Reader", S1)], ()),
    ("Contributor", Verdict.YES, [assigned("Contributor", S1)], ()),
    ("Owner", Verdict.YES, [assigned("Owner", S1)], ()),
    ("a role for something else", Verdict.NO, [assigned("Network Contributor", S1)], ()),
    ("a custom role with wildcards", Verdict.YES, [assigned("custom with wildcards", S1)], ()),
    ("a custom role that takes pull away", Verdict.NO, [assigned("custom that takes pull away", S1)], ()),
    ("taken away by one role, given by another", Verdict.YES,
     [assigned("custom that takes pull away", S1), assigned("AcrPull", S1)], ()),
    ("taken away in one block, given in another", Verdict.YES,
     [assigned("custom that gives back in another block", S1)], ()),
    ("a role that nobody read", Verdict.UNKNOWN, [assigned("c0ffee", S1)], ()),
    ("a role that nobody read, elsewhere", Verdict.NO, [assigned("c0ffee", S2)], ()),
    ("a role that nobody read, beside one that gives it", Verdict.YES,
     [assigned("c0ffee", S1), assigned("AcrPull", S1)], ()),
    ("under a condition", Verdict.MAYBE, [assigned("AcrPull", S1, condition=CONDITION)], ()),
    ("under a condition, and without", Verdict.YES,
     [assigned("AcrPull", S1, condition=CONDITION), assigned("AcrPull", RG)], ()),
    ("under a condition, and a role that nobody read", Verdict.MAYBE,
     [assigned("AcrPull", S1, condition=CONDITION), assigned("c0ffee", S1)], ()),
    ("a condition on a role that would not give it", Verdict.NO,
     [assigned("Network Contributor", S1, condition=CONDITION)], ()),
    ("a condition in the role itself", Verdict.MAYBE, [assigned("conditional in the definition", S1)], ()),
    ("a role of data actions", Verdict.NO, [assigned("Repository Reader", REGISTRY)], ()),
]  # fmt: skip


@pytest.mark.parametrize(("verdict", "rows", "groups"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_may_pull(verdict: Verdict, rows: list[RoleAssignment], groups: tuple[str, ...] | None) -> None:
    answer = asked(*rows, groups=groups)
    assert answer.verdict is verdict
    assert bool(answer.missing) is (verdict is not Verdict.YES)
    assert bool(answer.doubts) is (verdict in (Verdict.UNKNOWN, Verdict.MAYBE))


def test_every_grant_that_gives_it_is_evidence_and_no_other() -> None:
    direct, through = assigned("AcrPull", REGISTRY), assigned("Reader", S1, principal_id=GROUP)
    rest = (assigned("Network Contributor", S1), assigned("AcrPull", RG, condition=CONDITION))
    answer = asked(direct, through, *rest, groups=(GROUP,))
    assert [(grant.assignment, grant.group) for grant in answer.grants] == [(direct, ""), (through, GROUP)]


@pytest.mark.parametrize(
    ("rows", "groups", "doubt"),
    [
        ([assigned("AcrPull", S1, condition=CONDITION)], (), Doubt.CONDITION),
        ([assigned("c0ffee", S1)], (), Doubt.ROLE),
        ([assigned("AcrPull", MG, listed_in=frozenset())], (), Doubt.REACH),
        ([], None, Doubt.GROUPS),
    ],
)
def test_a_doubt_has_a_name(rows: list[RoleAssignment], groups: tuple[str, ...] | None, doubt: Doubt) -> None:
    assert asked(*rows, groups=groups).doubts == (doubt,)


def test_without_an_assignment_the_others_decide() -> None:
    one, other = assigned("AcrPull", REGISTRY), assigned("Reader", S1)
    held = granted(one, other)
    assert may(held, KUBELET, PULL, REGISTRY, without=[one.id.upper()]).verdict is Verdict.YES
    assert may(held, KUBELET, PULL, REGISTRY, without=[one.id, other.id]).verdict is Verdict.NO


def test_several_actions_may_come_from_several_grants() -> None:
    held = granted(assigned("AcrPull", S1), assigned("Repository Reader", S1))
    both = may_all(held, KUBELET, [PULL], REGISTRY, data_actions=[CONTENT])
    assert both.verdict is Verdict.YES
    assert len(both.grants) == 2
    lacking = may_all(held, KUBELET, [PULL, JOIN], REGISTRY, data_actions=[CONTENT])
    assert lacking.verdict is Verdict.NO
    assert lacking.missing == (JOIN,)
    assert may_all(held, KUBELET, [], REGISTRY).verdict is Verdict.YES


def test_actions_are_no_data_actions() -> None:
    held = granted(assigned("Owner", "/"), assigned("Reader", S1), assigned("AcrPull", S1))
    assert may(held, KUBELET, CONTENT, REGISTRY, data=True).verdict is Verdict.NO
    held = granted(assigned("Repository Reader", S1))
    assert may(held, KUBELET, CONTENT, REGISTRY, data=True).verdict is Verdict.YES
    assert may(held, KUBELET, CONTENT, REGISTRY).verdict is Verdict.NO


def test_data_actions_are_taken_away_too() -> None:
    role = RoleDefinition(id="x", permissions=(Permission(data_actions=("*",), not_data_actions=("*/content/*",)),))
    assert permits(role, CONTENT, data=True) is Verdict.NO
    assert permits(role, CONTENT.replace("content", "metadata"), data=True) is Verdict.YES


def test_a_block_without_a_condition_counts_more_than_one_with() -> None:
    blocks = (Permission(actions=(PULL,), condition=CONDITION), Permission(actions=("*",)))
    assert permits(RoleDefinition(id="x", permissions=blocks), PULL) is Verdict.YES


def test_the_label_of_a_verdict_is_its_name() -> None:
    assert [verdict.label for verdict in Verdict] == ["no", "unknown", "maybe", "yes"]


def test_one_assignment_listed_by_many_subscriptions_in_two_cases_is_one_row() -> None:
    first = assigned("AcrPull", MG)
    again = assigned("AcrPull", MG, id=first.id.upper(), listed_in=frozenset({subscription_of(S2)}))
    assert merged([first, again, first])[0].listed_in == {subscription_of(S1), subscription_of(S2)}
    answer = asked(first, again, first)
    assert len(answer.grants) == 1
    assert may(granted(first, again), KUBELET, PULL, f"{S2}/resourceGroups/x").verdict is Verdict.YES


@pytest.mark.parametrize(
    ("pattern", "action", "covered"),
    [
        ("*", PULL, True),
        ("*/read", PULL, True),
        ("*/read", "Microsoft.ContainerRegistry/registries/push/write", False),
        ("Microsoft.ContainerRegistry/*", PULL, True),
        ("microsoft.containerregistry/REGISTRIES/pull/READ", PULL, True),
        ("Microsoft.ContainerRegistry/*/read", PULL, True),
        ("Microsoft.Container*/registries/pull/read", PULL, True),
        ("Microsoft.ContainerRegistry/registries", PULL, False),
        ("Microsoft.ContainerRegistry/registries/pull/read/more", PULL, False),
        ("Microsoft.Network/*", "Microsoft.NetworkAnalytics/x/read", False),
        ("Microsoft.Network/*", "Microsoft.Network", False),
        ("Microsoft.CostManagement/*/query/*", "Microsoft.CostManagement/views/query/action", True),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", ASSIGN, True),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
         "Microsoft.ManagedIdentity/userAssignedIdentities/read", True),
        ("Microsoft.Compute/virtualMachines/*/read", "Microsoft.Compute/virtualMachinesread", False),
        ("Microsoft.Compute/virtualMachines/*/read", "Microsoft.Compute/virtualMachines2/read", False),
        ("a/*/*/b", "a/b", True),
        ("a/*/*/b", "a/x/b", True),
        ("", "", True),
        ("", PULL, False),
        (".*", PULL, False),
        ("[a-z]*", PULL, False),
    ],
)  # fmt: skip
def test_wildcards(pattern: str, action: str, covered: bool) -> None:
    assert matches(pattern, action) is covered


def test_a_malicious_custom_role_is_not_slow() -> None:
    begun = time.perf_counter()
    for pattern in ("*a" * 300 + "b", "/*/" * 300 + "b", "*/*" * 300 + "b"):
        assert not matches(pattern, "a/" * 500)
    assert time.perf_counter() - begun < 5


# ---- scopes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "expected", "subscription"),
    [
        ("/", Level.ROOT, ""),
        ("", Level.OTHER, ""),
        (MG, Level.MANAGEMENT_GROUP, ""),
        (MG.lower(), Level.MANAGEMENT_GROUP, ""),
        ("/subscriptions/S", Level.SUBSCRIPTION, "s"),
        ("/subscriptions/S/", Level.SUBSCRIPTION, "s"),
        ("/subscriptions/", Level.OTHER, ""),
        ("/subscriptions/s/resourcegroups/r", Level.RESOURCE_GROUP, "s"),
        ("/SUBSCRIPTIONS/S/RESOURCEGROUPS/R", Level.RESOURCE_GROUP, "s"),
        (REGISTRY, Level.RESOURCE, subscription_of(S1)),
        ("/subscriptions/s/providers/Microsoft.X/y/z", Level.RESOURCE, "s"),
        ("/providers/Microsoft.Capacity/reservationOrders/r", Level.OTHER, ""),
    ],
)
def test_the_level_of_a_scope(scope: str, expected: Level, subscription: str) -> None:
    assert level(scope) is expected
    assert subscription_of(scope) == subscription


ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments/"


@pytest.mark.parametrize(
    ("assignment_id", "scope"),
    [
        (f"{REGISTRY}{ASSIGNMENTS}g", REGISTRY),
        (f"{REGISTRY}{ASSIGNMENTS.upper()}G", REGISTRY),
        (f"{S1}{ASSIGNMENTS}g", S1),
        (f"{MG}{ASSIGNMENTS}g", MG),
        (f"{ASSIGNMENTS}g", "/"),
        (f"{S1}{ASSIGNMENTS}g{ASSIGNMENTS}h", f"{S1}{ASSIGNMENTS}g"),
        (f"{S1}{ASSIGNMENTS}", ""),
        (f"{S1}{ASSIGNMENTS}g/more", ""),
        (REGISTRY, ""),
        ("", ""),
    ],
)
def test_the_scope_that_an_assignment_id_names(assignment_id: str, scope: str) -> None:
    assert assignment_scope(assignment_id) == scope


def test_a_federated_credential_is_named_by_its_last_segment() -> None:
    made = FederatedIdentityCredential(
        id=f"{RG}/x/federatedIdentityCredentials/shop", identity_id=RG, issuer="https://i/"
    )
    assert made.name == "shop"


def test_a_management_group_reaches_itself_and_nothing_is_known_of_others() -> None:
    row = assigned("AcrPull", MG)
    assert reaches(row, MG.upper()) is True
    assert reaches(row, MG.replace("platform", "landing")) is None


# ---- what Azure returned ----------------------------------------------------------------------------------------


def sample(name: str) -> list[dict[str, object]]:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"recorded sample {name} is not here")
    value: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))["value"]
    return value


def recorded_roles() -> dict[str, RoleDefinition]:
    roles = {}
    for item in sample("arm-role-definitions-selected-builtins.json"):
        properties: dict[str, object] = item["properties"]  # type: ignore[assignment]
        blocks: list[dict[str, list[str]]] = properties["permissions"]  # type: ignore[assignment]
        roles[str(properties["roleName"])] = RoleDefinition(
            id=str(item["id"]),
            name=str(properties["roleName"]),
            permissions=tuple(
                Permission(
                    actions=tuple(block["actions"]),
                    not_actions=tuple(block["notActions"]),
                    data_actions=tuple(block["dataActions"]),
                    not_data_actions=tuple(block["notDataActions"]),
                )
                for block in blocks
            ),
        )
    return roles


SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
DISK = "Microsoft.Compute/disks/write"
ZONE = "Microsoft.Network/privateDnsZones/A/write"
GIVE = "Microsoft.Authorization/roleAssignments/write"
READ_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities/read"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
EVERYTHING = {PULL, ASSIGN, JOIN, DISK, ZONE, GIVE, READ_IDENTITY}

BUILT_IN: dict[str, tuple[set[str], set[str]]] = {
    "Owner": (EVERYTHING, set()),
    "Contributor": (EVERYTHING - {GIVE}, set()),
    "Reader": ({PULL, READ_IDENTITY}, set()),
    "Monitoring Reader": ({PULL, READ_IDENTITY}, set()),
    "User Access Administrator": ({PULL, READ_IDENTITY, GIVE}, set()),
    "AcrPull": ({PULL}, set()),
    "Network Contributor": ({JOIN, ZONE}, set()),
    "Private DNS Zone Contributor": ({ZONE}, set()),
    "DNS Zone Contributor": (set(), set()),
    "Managed Identity Operator": ({ASSIGN, READ_IDENTITY}, set()),
    "Managed Identity Contributor": ({READ_IDENTITY}, set()),
    "Key Vault Secrets User": (set(), {SECRET}),
    "Key Vault Certificate User": (set(), {SECRET}),
    "Storage Blob Data Owner": (set(), {BLOB}),
    "Storage Table Data Contributor": (set(), set()),
    "EventGrid Data Sender": (set(), set()),
}


def test_the_recorded_built_in_roles_give_what_azure_documents() -> None:
    roles = recorded_roles()
    assert set(roles) == set(BUILT_IN)
    for name, (actions, data_actions) in BUILT_IN.items():
        got = {action for action in EVERYTHING if permits(roles[name], action) is Verdict.YES}
        assert got == actions, name
        got = {action for action in (SECRET, BLOB, CONTENT) if permits(roles[name], action, data=True) is Verdict.YES}
        assert got == data_actions, name


def test_no_recorded_role_pulls_from_an_abac_registry() -> None:
    assert {permits(role, CONTENT, data=True) for role in recorded_roles().values()} == {Verdict.NO}


def test_the_recorded_assignments_have_the_right_scopes() -> None:
    rows = sample("arm-role-assignments-list-subscription.json")
    counts = dict.fromkeys(Level, 0)
    for row in rows:
        properties: dict[str, str] = row["properties"]  # type: ignore[assignment]
        assert assignment_scope(str(row["id"])) == properties["scope"]
        counts[level(properties["scope"])] += 1
    assert counts == {
        Level.ROOT: 3,
        Level.MANAGEMENT_GROUP: 34,
        Level.SUBSCRIPTION: 35,
        Level.RESOURCE_GROUP: 5,
        Level.RESOURCE: 3,
        Level.OTHER: 0,
    }


def test_all_recorded_assignments_above_a_subscription_reach_into_it() -> None:
    rows = sample("arm-role-assignments-list-subscription.json")
    target = "/subscriptions/subscription-id/resourceGroups/some/providers/Microsoft.Compute/disks/one"
    reached = 0
    for row in rows:
        properties: dict[str, str] = row["properties"]  # type: ignore[assignment]
        made = RoleAssignment(
            id=str(row["id"]),
            principal_id=properties["principalId"],
            role_definition_id=properties["roleDefinitionId"],
            scope=properties["scope"],
            listed_in=frozenset({"subscription-id"}),
        )
        reached += reaches(made, target) is True
    assert reached == 3 + 34 + 35


# ---- a second model, written apart: no shared code, no cleverness ---------------------------------------------------

WORDS = ("*", "a", "b", "aa")
PATTERNS = st.lists(st.sampled_from((*WORDS, "*a", "a*")), min_size=1, max_size=4).map("/".join)
ACTIONS = st.lists(st.sampled_from(("a", "b", "aa", "ab", "A")), min_size=1, max_size=4).map("/".join)


def plainly(pattern: str, text: str) -> bool:
    """A plain glob, by recursion."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(plainly(pattern[1:], text[begin:]) for begin in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and plainly(pattern[1:], text[1:])


def spellings(pattern: str) -> set[str]:
    """The pattern with any of its `/*/` written as one slash."""
    found = {pattern}
    while True:
        more = {
            one[:at] + one[at + 2 :] for one in found for at in range(len(one)) if one.startswith("/*/", at)
        } - found
        if not more:
            return found
        found |= more


def slow_match(pattern: str, action: str) -> bool:
    return any(plainly(one, action.lower()) for one in spellings(pattern.lower()))


@given(PATTERNS, ACTIONS)
@settings(max_examples=1000, deadline=None)
def test_wildcards_match_as_the_slow_model(pattern: str, action: str) -> None:
    assert matches(pattern, action) is slow_match(pattern, action)


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=6))
@settings(max_examples=1000, deadline=None)
def test_any_text_matches_as_the_slow_model(pattern: str, action: str) -> None:
    assert matches(pattern, action) is slow_match(pattern, action)


SCOPES = {
    "/": [],
    "/providers/Microsoft.Management/managementGroups/m": ["/"],
    "/subscriptions/1": ["/", "/providers/Microsoft.Management/managementGroups/m"],
    "/subscriptions/10": ["/"],
}
for _subscription, _group in product(("1", "10"), ("g", "gg")):
    _path = f"/subscriptions/{_subscription}/resourceGroups/{_group}"
    SCOPES[_path] = [*SCOPES[f"/subscriptions/{_subscription}"], f"/subscriptions/{_subscription}"]
    for _name in ("r", "rr"):
        SCOPES[f"{_path}/providers/X.Y/z/{_name}"] = [*SCOPES[_path], _path]
TARGETS = [scope for scope in SCOPES if scope.startswith("/subscriptions")]
PEOPLE = ("p", "q", "g1", "g2")

BLOCKS = st.builds(
    Permission,
    actions=st.lists(PATTERNS, max_size=2).map(tuple),
    not_actions=st.lists(PATTERNS, max_size=1).map(tuple),
    data_actions=st.lists(PATTERNS, max_size=1).map(tuple),
    not_data_actions=st.lists(PATTERNS, max_size=1).map(tuple),
    condition=st.sampled_from(("", "", "", "c")),
)
DEFINITIONS = st.lists(st.lists(BLOCKS, max_size=2), min_size=2, max_size=2)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(("role0", "ROLE1", "unread")),
        st.sampled_from(sorted(SCOPES)),
        st.sampled_from(("", "", "c")),
    ),
    max_size=5,
)
GROUPS = st.one_of(st.none(), st.lists(st.sampled_from(("g1", "G2")), max_size=2, unique=True))
Row = tuple[str, str, str, str]


def slowly(
    rows: list[Row], roles: list[list[Permission]], groups: list[str] | None, action: str, scope: str, data: bool
) -> str:
    """Whether `p` may: every row, every block, every string, one after the other, and the best of it."""
    who = {"p"} | {group.lower() for group in groups or []}
    found = {"no"} if groups is not None else {"no", "unknown"}
    for holder, role, at, condition in rows:
        if holder not in who or at not in (scope, *SCOPES[scope]):
            continue
        if role == "unread":
            found.add("unknown")
            continue
        for block in roles[int(role[-1])]:
            given = block.data_actions if data else block.actions
            taken = block.not_data_actions if data else block.not_actions
            if any(slow_match(one, action) for one in given) and not any(slow_match(one, action) for one in taken):
                found.add("maybe" if condition or block.condition else "yes")
    return next(word for word in ("yes", "maybe", "unknown", "no") if word in found)


def as_records(rows: list[Row], roles: list[list[Permission]], groups: list[str] | None) -> Grants:
    return grants(
        [
            RoleAssignment(
                id=f"{scope}#{index}",
                principal_id=holder,
                role_definition_id=f"/subscriptions/10/roleDefinitions/{role}",
                scope=scope,
                condition=condition,
                listed_in=frozenset(
                    name
                    for name in ("1", "10")
                    if scope in (f"/subscriptions/{name}", *SCOPES[f"/subscriptions/{name}"])
                ),
            )
            for index, (holder, role, scope, condition) in enumerate(rows)
        ],
        [RoleDefinition(id=f"x/Role{index}", permissions=tuple(blocks)) for index, blocks in enumerate(roles)],
        [] if groups is None else [Membership(principal_id="P", groups=tuple(groups))],
    )


@given(ROWS, DEFINITIONS, GROUPS, ACTIONS, st.sampled_from(TARGETS), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_may_says_what_the_slow_model_says(
    rows: list[Row],
    roles: list[list[Permission]],
    groups: list[str] | None,
    action: str,
    scope: str,
    data: bool,
) -> None:
    held = as_records(rows, roles, groups)
    answer = may(held, "p", action, scope, data=data)
    assert answer.verdict.label == slowly(rows, roles, groups, action, scope, data)


@given(ROWS, DEFINITIONS, GROUPS, ACTIONS, st.sampled_from(TARGETS))
@settings(max_examples=300, deadline=None)
def test_nothing_but_the_evidence_carries_an_answer(
    rows: list[Row], roles: list[list[Permission]], groups: list[str] | None, action: str, scope: str
) -> None:
    held = as_records(rows, roles, groups)
    answer = may(held, "p", action, scope)
    evidence = {grant.assignment.id for grant in answer.grants}
    others = [grant.assignment.id for grant in held.of("p") if grant.assignment.id not in evidence]
    assert may(held, "p", action, scope, without=others).verdict is answer.verdict
    if answer.verdict in (Verdict.YES, Verdict.MAYBE):
        assert may(held, "p", action, scope, without=evidence).verdict < answer.verdict


def of(role: str, scope: str = RG, **changes: str) -> RoleAssignment:
    fields = {"id": f"{scope}/{role}/{changes}", "principal_id": KUBELET, "role_definition_id": ROLES[role].id}
    return RoleAssignment(**{**fields, "scope": scope, **changes})


@pytest.mark.parametrize(
    ("lost", "held", "again"),
    [
        (of("AcrPull"), [of("AcrPull")], True),
        (of("AcrPull"), [of("AcrPull", S1)], True),
        (of("AcrPull"), [of("AcrPull", REGISTRY)], False),
        (of("AcrPull"), [of("AcrPull", S2)], False),
        (of("AcrPull"), [of("Reader")], True),
        (of("AcrPull"), [of("Contributor")], True),
        (of("Reader"), [of("Contributor")], True),
        (of("Network Contributor"), [of("Contributor")], True),
        (of("Contributor"), [of("Owner")], True),
        (of("Owner"), [of("Contributor")], False),
        (of("Contributor"), [of("Network Contributor")], False),
        (of("Contributor"), [of("Contributor", condition="@a")], False),
        (of("Contributor", condition="@a"), [of("Contributor", condition="@a")], True),
        (of("Contributor", condition="@a"), [of("Contributor", condition="@b")], False),
        (of("Contributor", condition="@a"), [of("Contributor")], True),
        (of("AcrPull"), [of("AcrPull", principal_id=GROUP)], True),
        (of("AcrPull"), [of("AcrPull", principal_id=PARENT)], False),
        (of("Repository Reader"), [of("Owner")], False),
        (of("AcrPull"), [of("custom that takes pull away")], False),
        (of("AcrPull"), [], False),
    ],
)
def test_what_was_lost_is_held_again(lost: RoleAssignment, held: list[RoleAssignment], again: bool) -> None:
    now = grants(held, ROLES.values(), [Membership(principal_id=KUBELET, groups=(GROUP,))])
    role = next(one for one in ROLES.values() if one.role_id == lost.role_id)
    assert equivalent(now, KUBELET, lost, role) is again


def test_without_its_definition_only_the_same_role_is_as_good() -> None:
    now = grants([of("AcrPull")], [], [])
    assert equivalent(now, KUBELET, of("AcrPull"), None)
    assert not equivalent(now, KUBELET, of("Reader"), None)
    assert not equivalent(grants([of("Owner")], ROLES.values(), []), KUBELET, of("Reader"), None)


def test_a_role_that_gives_nothing_is_not_held_by_everybody() -> None:
    nothing = RoleDefinition(id="r/nothing")
    now = grants([of("Owner")], ROLES.values(), [])
    assert not equivalent(now, KUBELET, of("AcrPull", role_definition_id="r/nothing"), nothing)


FEW = st.lists(st.sampled_from(("*", "a/*", "a/b", "*/b", "a/*/b", "b*", "*a")), max_size=2).map(tuple)
PARTS = st.builds(
    Permission, actions=FEW, not_actions=FEW, data_actions=FEW, not_data_actions=FEW, condition=st.sampled_from("  c")
).map(lambda block: replace(block, condition=block.condition.strip()))
EVERY_ACTION = ["/".join(words) for length in (1, 2, 3) for words in product(("a", "b", "ab", "ba"), repeat=length)]


@given(st.lists(PARTS, min_size=1, max_size=2), st.lists(PARTS, min_size=1, max_size=2))
@settings(max_examples=3000, deadline=None)
def test_what_is_said_to_be_held_again_is_held_to_the_last_action(
    blocks: list[Permission], lost: list[Permission]
) -> None:
    role = RoleDefinition(id="x/lost", permissions=tuple(lost))
    other = RoleDefinition(id="x/other", permissions=tuple(blocks))
    row = RoleAssignment(id="1", principal_id="p", role_definition_id=other.id, scope=S1)
    gone = RoleAssignment(id="gone", principal_id="p", role_definition_id=role.id, scope=RG)
    if not equivalent(grants([row], [other], []), "p", gone, role):
        return
    for action, data in product(EVERY_ACTION, (False, True)):
        if permits(role, action, data=data) is not Verdict.NO:
            assert permits(other, action, data=data) is Verdict.YES, action


def test_a_condition_is_one_line_and_its_literals_stay_as_they_are():
    assert one_line("\n@Resource[a]\r\n\tStringEquals 'x  y'\n") == "@Resource[a] StringEquals 'x  y'"
