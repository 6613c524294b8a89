"""Each rule about a right, walked through all the ways in which it can be held, lost, inherited, restored or unseen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared import drift
from shared.access import (
    Access,
    Caller,
    FederatedIdentityCredential,
    Membership,
    Registry,
    RoleAssignment,
    RoleDefinition,
    Subnet,
    UserAssignedIdentity,
)
from shared.findings import Status
from shared.model import ManagedCluster, Severity
from shared.needs import world
from shared.rule import command
from shared.rules import BY_ID

from .builders import CLIENT_ID, NOW, SP_OBJECT, SUBSCRIPTION, after, service_principal, unread
from .estate import (
    CONTROL,
    CUSTOM,
    GROUP,
    IMAGES,
    KUBELET,
    KUBELET_ID,
    MG,
    MODERN,
    NEEDED,
    NETWORK,
    NODES,
    OTHER,
    REGISTRY,
    Estate,
    S,
    assignment,
    cluster,
    lost,
    whole,
)

every_need = pytest.mark.parametrize("rule", NEEDED)


def group_of(scope: str) -> str:
    return "/".join(scope.split("/")[:5])


def grant(rule: str, **changes: object) -> RoleAssignment:
    role, scope, principal_id = NEEDED[rule]
    fields = {"role": role, "scope": scope, "principal_id": principal_id, **changes}
    return assignment(fields.pop("role"), fields.pop("scope"), fields.pop("principal_id"), **fields)  # type: ignore[arg-type]


Grant = Callable[[str], RoleAssignment]

ANOTHER: dict[str, Grant] = {
    "by another grant of the same role": lambda rule: grant(rule),
    "inherited from the resource group": lambda rule: grant(rule, scope=group_of(NEEDED[rule][1])),
    "inherited from the subscription": lambda rule: grant(rule, scope=S),
    "inherited from a management group": lambda rule: grant(rule, scope=MG),
    "inherited from the root": lambda rule: grant(rule, scope="/"),
    "by a custom role": lambda rule: grant(rule, role=CUSTOM),
    "by Contributor, or Owner where that is not enough": lambda rule: grant(rule, role="Contributor"),
    "by Owner": lambda rule: grant(rule, role="Owner"),
    "by a nested group": lambda rule: grant(rule, principal_id=GROUP, principal_type="Group"),
    "under a condition": lambda rule: grant(rule, condition="@Resource[x] StringEquals 'y'", condition_version="2.0"),
}


@every_need
def test_what_is_held_is_no_finding(rule: str) -> None:
    assert whole().scan() == {}


@every_need
def test_what_was_held_and_is_not_now_is_critical_and_names_what_happened(rule: str) -> None:
    estate = lost(rule)
    found = estate.scan(after(1))
    assert found.keys() == {rule, drift.REMOVED}
    assert found[rule].severity is Severity.CRITICAL
    assert found[rule].variant == "lost"
    assert found[drift.REMOVED].fingerprint in found[rule].includes
    assert "vanished after the scan of Mon 23 Nov 2026, 06:00 UTC" in found[rule].facts["evidence"][0]
    _, scope, principal_id = NEEDED[rule]
    assert found[rule].facts["lost_scope"] == scope
    restore = command(BY_ID[rule].runbook("lost").fix, found[rule].facts)
    assert principal_id in restore and scope in restore and "--condition" not in restore


@every_need
def test_what_was_never_seen_held_is_a_warning_and_a_pull_is_not_even_known(rule: str) -> None:
    found = whole({rule}).scan()
    if rule == drift.PULL:
        assert found == {}
    else:
        assert {name: one.severity for name, one in found.items()} == {rule: Severity.WARNING}
        assert found[rule].variant == "never"
        assert found[rule].lost_at is None


@every_need
@pytest.mark.parametrize("way", ANOTHER)
def test_lost_but_held_in_another_way_is_no_finding_and_is_forgotten(rule: str, way: str) -> None:
    estate = lost(rule)
    other = ANOTHER[way](rule)
    if way == "by a nested group":
        estate.groups[NEEDED[rule][2]] = (GROUP,)
    estate.live.append(other)
    found = estate.scan(after(1))
    if way == "under a condition":
        # Maybe held: said by nobody, alarmed by nobody; what is gone for certain stays a warning.
        assert rule not in found
        return
    assert found == {}
    assert not [row for row in estate.known.values() if row.lost]


@every_need
@pytest.mark.parametrize("way", ["by Owner", "by a nested group", "inherited from a management group"])
def test_the_loss_of_another_way_is_a_loss_like_any_other(rule: str, way: str) -> None:
    estate = whole({rule})
    estate.groups[NEEDED[rule][2]] = (GROUP,) if way == "by a nested group" else ()
    only = ANOTHER[way](rule)
    estate.live.append(only)
    assert estate.scan(NOW) == {}
    estate.delete(only)
    found = estate.scan(after(1))
    assert found[rule].severity is Severity.CRITICAL
    assert found[rule].facts["lost_assignment"] == only.id
    assert found[rule].facts["lost_principal"] == only.principal_id


@every_need
def test_who_leaves_the_group_that_holds_a_right_loses_it(rule: str) -> None:
    estate = whole({rule})
    principal_id = NEEDED[rule][2]
    estate.groups[principal_id] = (GROUP,)
    estate.live.append(grant(rule, principal_id=GROUP, principal_type="Group"))
    assert estate.scan(NOW) == {}
    estate.groups.clear()
    for day in (1, 2, 3):
        found = estate.scan(after(day))
        assert found.keys() == {rule}
        assert (found[rule].severity, found[rule].variant) == (Severity.CRITICAL, "left")
    estate.groups[principal_id] = (GROUP,)
    assert estate.scan(after(4)) == {}


def test_reader_is_enough_to_pull() -> None:
    estate = lost(drift.PULL)
    estate.live.append(grant(drift.PULL, role="Reader", scope=S))
    assert drift.PULL not in estate.scan(after(1))


def test_acr_pull_gives_nothing_on_an_abac_registry() -> None:
    useless = grant(drift.PULL, scope=MODERN)
    reader = grant(drift.PULL, scope=MODERN, role="Container Registry Repository Reader")
    estate = whole()
    estate.live += [useless, reader]
    assert estate.scan(NOW) == {}
    estate.delete(useless)
    assert drift.PULL not in estate.scan(after(1))
    estate.delete(reader)
    found = estate.scan(after(2))
    assert found[drift.PULL].facts["target"] == "modern.azurecr.io"
    estate.live.append(grant(drift.PULL, scope=MODERN))
    assert drift.PULL in estate.scan(after(3))


def test_one_grant_that_opened_many_registries_is_one_finding() -> None:
    estate = whole({drift.PULL})
    estate.registries = tuple(
        Registry(id=f"{IMAGES}/providers/Microsoft.ContainerRegistry/registries/r{n}", name=f"r{n}") for n in range(40)
    )
    wide = grant(drift.PULL, scope=IMAGES)
    estate.live.append(wide)
    assert estate.scan(NOW) == {}
    estate.delete(wide)
    found = [one for one in estate.scan(after(1)).values() if one.rule == drift.PULL]
    assert len([one for one in estate.stored if one.open and one.rule == drift.PULL]) == 1
    assert "and 39 more" in found[0].title
    assert len(found[0].facts["targets"]) == 40
    estate.live.append(grant(drift.PULL, scope=IMAGES))
    assert estate.scan(after(2)) == {}


@every_need
def test_three_scans_after_the_loss_it_is_still_open_then_restored_and_resolved(rule: str) -> None:
    estate = lost(rule)
    first = estate.scan(after(1))[rule]
    for day in (2, 3, 4):
        again = estate.scan(after(day))[rule]
        assert (again.fingerprint, again.revision, again.lost_at) == (first.fingerprint, first.revision, after(1))
    estate.live.append(grant(rule))
    assert estate.scan(after(5)) == {}
    assert {one.status for one in estate.stored} == {Status.RESOLVED}


@every_need
def test_what_comes_back_under_another_case_is_the_same(rule: str) -> None:
    estate = whole({rule})
    one = grant(rule)
    estate.live.append(one)
    estate.scan(NOW)
    estate.live[-1] = replace(
        one,
        id=one.id.upper(),
        scope=one.scope.upper(),
        principal_id=one.principal_id.upper(),
        role_definition_id=one.role_definition_id.upper(),
    )
    assert estate.scan(after(1)) == {}
    assert len(estate.known) == len(NEEDED)


BLIND = {
    "the role assignments of the subscription": ({"listed": ()}, RoleAssignment),
    "the groups": ({"memberships": False}, Membership),
    "the cluster": ({"clusters": False}, ManagedCluster),
}


@every_need
@pytest.mark.parametrize("what", BLIND)
def test_what_cannot_be_read_is_neither_missing_nor_resolved(rule: str, what: str) -> None:
    switches, kind = BLIND[what]
    missing = unread(kind, f"/subscriptions/{SUBSCRIPTION}" if kind is not Membership else "/")
    estate = whole()
    estate.scan(NOW)
    estate.live.clear()
    assert rule not in estate.scan(after(1), **switches, unread=[missing]), "not read is not missing"
    estate = lost(rule)
    open_before = estate.scan(after(1))[rule]
    found = estate.scan(after(2), **switches, unread=[missing])
    assert found[rule].fingerprint == open_before.fingerprint, "not read is not resolved"


@every_need
def test_an_identity_whose_object_id_is_unknown_loses_and_resolves_nothing(rule: str) -> None:
    shown = cluster()
    blank = replace(
        shown,
        identities=tuple(replace(one, principal_id="") for one in shown.identities),
        kubelet=shown.kubelet and replace(shown.kubelet, principal_id=""),
    )
    refused = unread(UserAssignedIdentity, S)
    estate = whole({rule})
    estate.cluster = blank
    assert estate.scan(NOW, identities=False, unread=[refused]) == {}
    estate = lost(rule)
    estate.scan(after(1))
    estate.cluster = blank
    assert rule in estate.scan(after(2), identities=False, unread=[refused])
    assert rule in estate.scan(after(3)), "and with the identities read it is as it was"


def test_registries_that_cannot_be_read_resolve_no_pull() -> None:
    estate = lost(drift.PULL)
    estate.scan(after(1))
    assert drift.PULL in estate.scan(after(2), registries=False, unread=[unread(Registry, S)])
    estate.live.append(grant(drift.PULL))
    assert drift.PULL in estate.scan(after(3), registries=False, unread=[unread(Registry, S)])
    assert drift.PULL not in estate.scan(after(4))


def test_a_subnet_that_cannot_be_read_resolves_no_route_table() -> None:
    table = f"{NETWORK}/providers/Microsoft.Network/routeTables/udr"
    estate = whole()
    estate.cluster = cluster(outbound_type="userDefinedRouting")
    found = estate.scan(NOW, subnets=False, unread=[unread(Subnet, S)])
    assert found == {}
    assert table not in str(estate.stored)


def test_a_right_that_is_surely_held_is_resolved_though_another_subscription_cannot_be_read() -> None:
    estate = lost(drift.JOIN)
    estate.scan(after(1))
    estate.live.append(grant(drift.JOIN))
    elsewhere = unread(RoleAssignment, "/subscriptions/22222222-2222-4222-8222-222222222222")
    assert drift.JOIN not in estate.scan(after(2), unread=[elsewhere])


@every_need
def test_a_scan_that_began_before_the_event_does_not_bring_it_back(rule: str) -> None:
    estate = whole({rule})
    gone = grant(rule)
    estate.live.append(gone)
    estate.scan(NOW)
    estate.delete(gone)
    estate.event(gone, after(1))
    stale = [*estate.live, gone]
    found = estate.scan(after(0.9), stale=stale)
    assert found[rule].severity is Severity.CRITICAL
    assert found[rule].lost_at == after(1)
    assert "unconfirmed" in " ".join(found[rule].facts["evidence"])
    # A later listing that has it again is proof: somebody made it once more under the same id.
    assert estate.scan(after(1.1), stale=stale) == {}


def test_the_log_confirms_the_culprit_and_the_moment() -> None:
    estate = whole({drift.PULL})
    gone = grant(drift.PULL)
    estate.live.append(gone)
    estate.scan(NOW)
    estate.delete(gone)
    estate.event(gone, after(1))
    estate.event(gone, after(0.99), Caller(object_id="oid", upn="tomas@shop.example", confirmed=True))
    estate.event(gone, after(1.2), Caller(object_id="somebody else"))
    finding = estate.scan(after(1.3))[drift.PULL]
    told = " ".join(finding.facts["evidence"])
    assert "Deleted by tomas@shop.example (object id oid): the activity log says so." in told
    assert finding.lost_at == after(0.99)


def test_a_management_group_row_in_every_listing_is_one_row() -> None:
    other = "22222222-2222-4222-8222-222222222222"
    row = grant(drift.MANAGE, scope=MG)
    estate = whole({drift.MANAGE})
    estate.live += [row, replace(row, listed_in=frozenset({other}))]
    assert estate.scan(NOW, listed=(SUBSCRIPTION, other)) == {}
    assert len([one for one in estate.known.values() if one.assignment.scope == MG]) == 1
    # One subscription that is not read cannot make it vanish, and one that is read and lacks it alone neither.
    estate.live = [one for one in estate.live if other in one.listed_in or one.scope != MG]
    assert not [one for one in estate.scan(after(1), listed=(other,)) if one == drift.MANAGE]


def test_an_assignment_that_nothing_known_rests_on_is_a_warning_of_its_own() -> None:
    estate = whole()
    vault = f"{S}/resourceGroups/app/providers/Microsoft.KeyVault/vaults/shop"
    gone = assignment("Key Vault Secrets User", vault, KUBELET_ID, condition="@a 'b' \"c\"\nd", condition_version="2.0")
    estate.live.append(gone)
    estate.scan(NOW)
    estate.delete(gone)
    found = estate.scan(after(1))
    assert found.keys() == {drift.REMOVED}
    assert found[drift.REMOVED].severity is Severity.WARNING
    restore = command(BY_ID[drift.REMOVED].runbook().fix, found[drift.REMOVED].facts)
    assert restore.endswith("--condition-version 2.0") and "'@a '\"'\"'b'\"'\"' \"c\"\nd'" in restore
    assert estate.scan(after(2)).keys() == {drift.REMOVED}
    estate.live.append(assignment("Key Vault Secrets User", vault, KUBELET_ID))
    assert estate.scan(after(3)) == {}


def test_a_broader_grant_that_stays_makes_the_loss_of_a_narrower_one_no_news() -> None:
    estate = whole()
    estate.live.append(assignment("Contributor", NODES, NEEDED[drift.MANAGE][2]))
    narrow = assignment("Network Contributor", NODES, NEEDED[drift.MANAGE][2])
    estate.live.append(narrow)
    estate.scan(NOW)
    estate.delete(narrow)
    assert estate.scan(after(1)) == {}


def test_an_accepted_loss_stays_closed_until_it_is_held_and_lost_once_more() -> None:
    estate = lost(drift.JOIN)
    finding = estate.scan(after(1))[drift.JOIN]
    gone = {str(one).lower() for one in finding.facts["lost_assignments"]}
    estate.known = {name: row for name, row in estate.known.items() if name not in gone}
    accepted = replace(finding, status=Status.RESOLVED, accepted="accepted by ada: meant")
    estate.stored = tuple(accepted if one is finding else one for one in estate.stored)
    for day in (2, 3):
        assert drift.JOIN not in estate.scan(after(day))
    again = grant(drift.JOIN)
    estate.live.append(again)
    assert estate.scan(after(4)) == {}
    estate.delete(again)
    assert estate.scan(after(5))[drift.JOIN].accepted == ""


@pytest.mark.parametrize("state", ["Creating", "Deleting"])
def test_of_a_cluster_that_is_being_made_or_deleted_nothing_is_said(state: str) -> None:
    estate = lost(drift.PULL)
    estate.scan(after(1))
    estate.cluster = cluster(provisioning_state=state)
    assert drift.PULL in estate.scan(after(2)), "and nothing is resolved"
    estate = Estate(made=cluster(provisioning_state=state))
    assert estate.scan() == {}


def test_a_need_outside_what_was_listed_is_not_missing() -> None:
    hub = "/subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/z"
    estate = whole({drift.DNS})
    estate.cluster = cluster(private_dns_zone=hub)
    assert estate.scan() == {}


def test_a_cluster_on_a_service_principal_of_another_tenant_is_not_judged() -> None:
    estate = Estate(made=cluster(client_id="44444444-4444-4444-8444-444444444444", identities=(), kubelet=None))
    assert estate.scan() == {}
    assert estate.stored == ()


@every_need
@pytest.mark.parametrize("state", ["at once", "after it was told"])
def test_a_role_that_cannot_be_read_makes_no_loss_and_resolves_none(rule: str, state: str) -> None:
    role = NEEDED[rule][0]
    estate = whole()
    estate.scan(NOW)
    refused = unread(RoleDefinition, S)
    assert estate.scan(after(0.5), dark=[role], unread=[refused]) == {}
    estate.live = [one for one in estate.live if one.scope != NEEDED[rule][1]]
    if state == "at once":
        assert estate.scan(after(1), dark=[role], unread=[refused]) == {}
        assert estate.scan(after(2))[rule].severity is Severity.CRITICAL
        return
    first = estate.scan(after(1))
    found = estate.scan(after(2), dark=[role], unread=[refused])
    assert found == first
    assert estate.scan(after(3)) == first


def test_a_custom_role_that_is_deleted_with_its_assignment_is_told_by_its_id() -> None:
    estate = whole({drift.PULL})
    only = assignment(CUSTOM, REGISTRY, KUBELET_ID)
    estate.live.append(only)
    estate.scan(NOW)
    estate.delete(only)
    found = estate.scan(after(1), dark=[CUSTOM.name])
    assert found.keys() == {drift.REMOVED}
    assert CUSTOM.role_id in found[drift.REMOVED].title


VAULT = f"{S}/resourceGroups/app/providers/Microsoft.KeyVault/vaults/shop"


def vault(**changes: object) -> RoleAssignment:
    return assignment("Key Vault Secrets User", VAULT, KUBELET_ID, **changes)


def lost_vault(**changes: object) -> Estate:
    """An estate in which only a right is gone that nothing known rests on."""
    estate = whole()
    gone = vault(**changes)
    estate.live.append(gone)
    assert estate.scan(NOW) == {}
    estate.delete(gone)
    return estate


def test_what_was_lost_under_a_condition_is_mended_by_the_same_one() -> None:
    condition = {"condition": "@Resource[x] StringEquals 'y'", "condition_version": "2.0"}
    estate = lost_vault(**condition)
    assert estate.scan(after(1)).keys() == {drift.REMOVED}
    estate.live.append(vault(**condition))
    assert estate.scan(after(2)) == {}
    estate = lost_vault(**condition)
    estate.live.append(vault(condition="@Resource[x] StringEquals 'z'", condition_version="2.0"))
    assert estate.scan(after(1)).keys() == {drift.REMOVED}


def test_contributor_does_not_stand_for_a_lost_owner() -> None:
    estate = whole()
    owner = assignment("Owner", VAULT, KUBELET_ID)
    estate.live += [owner, assignment("Contributor", VAULT, KUBELET_ID)]
    estate.scan(NOW)
    estate.delete(owner)
    assert estate.scan(after(1)).keys() == {drift.REMOVED}


@pytest.mark.parametrize("state", ["Creating", "Deleting"])
def test_a_cluster_that_is_deleted_loses_its_rights_and_that_is_no_news(state: str) -> None:
    estate = whole()
    estate.scan(NOW)
    estate.live.clear()
    estate.cluster = cluster(provisioning_state=state)
    assert estate.scan(after(1)) == {}
    estate.cluster = cluster()
    assert estate.scan(after(2)).keys() == {*NEEDED, drift.REMOVED}


UNCLEAR = {
    "the groups": ({"memberships": False}, Membership, "/"),
    "the role": ({"dark": ["Key Vault Secrets User"]}, RoleDefinition, S),
    "the cluster": ({"clusters": False}, ManagedCluster, S),
}


@pytest.mark.parametrize("what", UNCLEAR)
def test_whether_something_else_gives_it_is_asked_of_what_was_read_only(what: str) -> None:
    switches, kind, scope = UNCLEAR[what]
    assert lost_vault().scan(after(1), **switches, unread=[unread(kind, scope)]) == {}
    estate = lost_vault()
    first = estate.scan(after(1))
    assert estate.scan(after(2), **switches, unread=[unread(kind, scope)]) == first
    assert estate.scan(after(3)) == first
    estate.live.append(vault())
    assert estate.scan(after(4)) == {}


def test_another_role_that_cannot_be_read_might_give_it() -> None:
    estate = lost_vault()
    estate.live.append(assignment(CUSTOM, VAULT, KUBELET_ID))
    refused = [unread(RoleDefinition, S)]
    assert estate.scan(after(1), dark=[CUSTOM.name], unread=refused) == {}
    assert estate.scan(after(2)).keys() == {drift.REMOVED}


def test_an_identity_that_cannot_be_told_resolves_no_removal() -> None:
    estate = lost_vault()
    first = estate.scan(after(1))
    shown = cluster()
    assert shown.kubelet
    estate.cluster = cluster(kubelet=replace(shown.kubelet, principal_id=""))
    assert estate.scan(after(2), identities=False, unread=[unread(UserAssignedIdentity, S)]) == first
    estate.cluster = cluster(kubelet=None)
    assert estate.scan(after(3)) == first, "a failed cluster shows no kubelet identity"
    estate.cluster = shown
    assert estate.scan(after(4)) == first


def test_a_cluster_with_another_identity_has_lost_nothing_of_the_old_one() -> None:
    estate = lost_vault()
    estate.scan(after(1))
    other = replace(CONTROL, id=f"{CONTROL.id}2", principal_id="aaaaaaaa-0000-4000-8000-000000000009")
    estate.identities = (*estate.identities, other)
    estate.cluster = cluster(kubelet=other)
    assert drift.REMOVED not in estate.scan(after(2))


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_two_losses_of_one_clean_up_are_one_finding_whatever_the_log_says_of_their_order(
    order: tuple[int, int],
) -> None:
    estate = whole({drift.PULL})
    narrow, wide = grant(drift.PULL), grant(drift.PULL, scope=IMAGES)
    estate.live += [narrow, wide]
    estate.scan(NOW)
    estate.delete(narrow, wide)
    first = estate.scan(after(1))[drift.PULL]
    for gone, minute in zip((narrow, wide), order, strict=True):
        estate.event(gone, after(0.9 + minute / 1440), Caller(object_id="oid", confirmed=True))
    again = estate.scan(after(1.1))[drift.PULL]
    assert again.fingerprint == first.fingerprint
    assert again.facts["lost_scope"] == IMAGES, "restoring the wider one mends all"
    assert [one.status for one in estate.stored if one.rule == drift.PULL] == [Status.OPEN]


def test_a_cluster_called_like_its_registry_keeps_its_name() -> None:
    estate = whole({drift.PULL})
    estate.cluster = cluster(name="r0")
    estate.registries = tuple(
        Registry(id=f"{IMAGES}/providers/Microsoft.ContainerRegistry/registries/r{n}", name=f"r{n}") for n in range(2)
    )
    estate.live.append(grant(drift.PULL, scope=IMAGES))
    estate.scan(NOW)
    estate.live.pop()
    assert estate.scan(after(1))[drift.PULL].title == "Cluster r0 can no longer pull images from r0 and 1 more"


@every_need
def test_a_subscription_that_leaves_its_management_group_loses_what_came_from_there(rule: str) -> None:
    estate = whole({rule})
    above = grant(rule, scope=MG)
    estate.live.append(above)
    assert estate.scan(NOW) == {}
    estate.live[-1] = replace(above, listed_in=frozenset({OTHER}))
    for day in (1, 2):
        found = estate.scan(after(day), listed=(SUBSCRIPTION, OTHER))
        assert (found[rule].severity, found[rule].variant) == (Severity.CRITICAL, "moved")
        assert "does not reach here any more" in found[rule].facts["evidence"][0]


@every_need
def test_a_grant_made_anew_at_a_management_group_that_was_left_makes_nothing_good(rule: str) -> None:
    estate = whole({rule})
    above = grant(rule, scope=MG, listed_in=frozenset({SUBSCRIPTION, OTHER}))
    estate.live.append(above)
    both = (SUBSCRIPTION, OTHER)
    assert estate.scan(NOW, listed=both) == {}
    estate.delete(above)
    estate.live.append(grant(rule, scope=MG, listed_in=frozenset({OTHER})))
    for day in (1, 2):
        found = estate.scan(after(day), listed=both)
        assert found[rule].severity is Severity.CRITICAL
    estate.live.append(grant(rule))
    assert estate.scan(after(3), listed=both) == {}


def test_a_loss_whose_other_half_is_hidden_is_not_forgotten_for_the_half_that_is_mended() -> None:
    theirs = Registry(
        id=f"/subscriptions/{OTHER}/resourceGroups/x/providers/Microsoft.ContainerRegistry/registries/theirs",
        name="theirs",
    )
    estate = whole({drift.PULL})
    estate.registries = (*estate.registries, theirs)
    above = grant(drift.PULL, scope=MG, listed_in=frozenset({SUBSCRIPTION, OTHER}))
    estate.live.append(above)
    both = (SUBSCRIPTION, OTHER)
    assert estate.scan(NOW, listed=both) == {}
    estate.delete(above)
    assert len(estate.scan(after(1), listed=both)[drift.PULL].facts["targets"]) == 2
    # One registry is given back while the registries of the other subscription cannot be read.
    estate.live.append(grant(drift.PULL))
    hidden = unread(Registry, f"/subscriptions/{OTHER}")
    assert drift.PULL in estate.scan(after(2), listed=both, dark=[OTHER], unread=[hidden])
    found = estate.scan(after(3), listed=both)[drift.PULL]
    assert found.facts["targets"] == [theirs.id]
    assert found.severity is Severity.CRITICAL


def test_a_group_s_loss_is_remembered_until_it_is_made_good_for_everybody_in_it() -> None:
    estate = whole({drift.PULL, drift.MANAGE})
    estate.groups = {NEEDED[drift.PULL][2]: (GROUP,), NEEDED[drift.MANAGE][2]: (GROUP,)}
    shared = assignment("Contributor", S, GROUP, principal_type="Group")
    estate.live.append(shared)
    assert estate.scan(NOW) == {}
    estate.delete(shared)
    assert {drift.PULL, drift.MANAGE} <= estate.scan(after(1)).keys()
    estate.live.append(grant(drift.PULL))
    found = estate.scan(after(2))
    assert drift.PULL not in found
    assert found[drift.MANAGE].severity is Severity.CRITICAL
    estate.live.append(grant(drift.MANAGE))
    assert estate.scan(after(3)) == {}
    assert not [row for row in estate.known.values() if row.lost]


def test_who_left_the_group_before_is_not_told_of_its_losses() -> None:
    estate = whole()
    estate.groups = {KUBELET_ID: (GROUP,), NEEDED[drift.MANAGE][2]: (GROUP,)}
    shared = assignment("Key Vault Secrets User", VAULT, GROUP, principal_type="Group")
    estate.live.append(shared)
    estate.scan(NOW)
    estate.groups = {NEEDED[drift.MANAGE][2]: (GROUP,)}
    assert estate.scan(after(1)) == {}
    estate.delete(shared)
    found = estate.scan(after(2))
    assert found.keys() == {drift.REMOVED}
    assert "cluster identity" in found[drift.REMOVED].title
    assert len([one for one in estate.stored if one.open]) == 1


def accept(estate: Estate, rule: str) -> None:
    """What `accept` does to the finding of a rule."""
    finding = estate.open()[rule]
    lost = finding.facts.get("lost_assignments", ())
    gone = {str(one).lower() for one in lost}
    estate.known = {name: row for name, row in estate.known.items() if name not in gone}
    accepted = replace(finding, status=Status.RESOLVED, accepted="accepted by ada: meant")
    estate.stored = tuple(accepted if one is finding else one for one in estate.stored)


@every_need
def test_who_left_a_group_for_good_is_not_told_of_again_until_it_is_held_once_more(rule: str) -> None:
    estate = whole({rule})
    principal_id = NEEDED[rule][2]
    estate.groups[principal_id] = (GROUP,)
    estate.live.append(grant(rule, principal_id=GROUP, principal_type="Group"))
    estate.scan(NOW)
    estate.groups.clear()
    estate.scan(after(1))
    accept(estate, rule)
    for day in (2, 3):
        assert estate.scan(after(day)) == {}
    estate.groups[principal_id] = (GROUP,)
    assert estate.scan(after(4)) == {}
    estate.groups.clear()
    assert estate.scan(after(5))[rule].accepted == ""


def test_the_story_says_what_is_known_of_who_and_when() -> None:
    estate = lost(drift.PULL)
    first = estate.scan(after(1))[drift.PULL].facts["evidence"]
    assert first[-1] == "Who deleted it is not known: no event told of it."
    gone = next(row for row in estate.known.values() if row.lost)
    estate.known[gone.assignment.key] = replace(gone, deleted_after=None, deleted_by=Caller())
    (line,) = estate.scan(after(2))[drift.PULL].facts["evidence"]
    assert "was deleted on" in line, "an event that names nobody"
    estate.known[gone.assignment.key] = replace(gone, deleted_after=None, deleted_by=None)
    assert "was missed first on Tue 24 Nov 2026" in estate.scan(after(3))[drift.PULL].facts["evidence"][0]
    estate.known[gone.assignment.key] = replace(gone, deleted_by=Caller(object_id="oid"))
    assert "Deleted by oid: according" in estate.scan(after(4))[drift.PULL].facts["evidence"][1]


THEIRS = Registry(
    id=f"/subscriptions/{OTHER}/resourceGroups/x/providers/Microsoft.ContainerRegistry/registries/theirs", name="theirs"
)


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_surely_lost_is_told_though_the_other_half_of_the_same_grant_is_in_doubt(order: int) -> None:
    estate = whole({drift.PULL})
    estate.registries = (*estate.registries[:1], THEIRS)[::order]
    above = grant(drift.PULL, scope=MG, listed_in=frozenset({SUBSCRIPTION, OTHER}))
    estate.live.append(above)
    assert estate.scan(NOW, listed=(SUBSCRIPTION, OTHER)) == {}
    estate.delete(above)
    found = estate.scan(after(1), unread=[unread(RoleAssignment, f"/subscriptions/{OTHER}")])
    assert found[drift.PULL].facts["targets"] == [REGISTRY]
    after_all = estate.scan(after(2), listed=(SUBSCRIPTION, OTHER))[drift.PULL]
    assert sorted(after_all.facts["targets"]) == sorted([REGISTRY, THEIRS.id])
    assert after_all.fingerprint == found[drift.PULL].fingerprint


ISSUER = "https://westeurope.oic.prod-aks.azure.com/t/i/"


def test_who_is_watched_are_the_identities_of_clusters_add_ons_and_workloads() -> None:
    addon = replace(KUBELET, id=f"{KUBELET.id}-addon", principal_id="ADDON")
    app = replace(KUBELET, id=f"{KUBELET.id}-app", principal_id="APP")
    one = cluster(oidc_issuer=ISSUER, addons={"azurepolicy": addon, "empty": replace(addon, principal_id="")})
    other = cluster(id=f"{one.id}2", name="other", oidc_issuer=f"{ISSUER}2")
    sp = cluster(id=f"{one.id}3", name="old", client_id=CLIENT_ID, identities=(), kubelet=None)
    trusts = [
        FederatedIdentityCredential(id="f1", identity_id=app.id.upper(), issuer=ISSUER.rstrip("/").upper()),
        FederatedIdentityCredential(id="f2", identity_id=app.id, issuer="https://token.actions.githubusercontent.com"),
        FederatedIdentityCredential(id="f3", identity_id=f"{app.id}-unread", issuer=ISSUER),
    ]
    around = world(identities=[app], service_principals=[service_principal()])
    found = drift.watched([one, other, sp], around, Access(federated=tuple(trusts)))
    assert {key: (who.name, [each.name for each in who.clusters], who.identity_id) for key, who in found.items()} == {
        CONTROL.principal_id: ("cluster identity", ["prod-weu", "other"], CONTROL.id),
        KUBELET_ID: ("kubelet identity", ["prod-weu", "other"], KUBELET.id),
        "addon": ("identity of add-on azurepolicy", ["prod-weu"], addon.id),
        "app": ("workload identity kubelet-app", ["prod-weu"], app.id),
        SP_OBJECT: ("service principal", ["old"], ""),
    }
