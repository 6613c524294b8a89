"""What of the baseline a scan keeps: everything, unless it is sure that nobody depends on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared import drift
from shared.access import BaselineGrant, FederatedIdentityCredential, Membership, RoleAssignment, UserAssignedIdentity
from shared.app.access import Reading
from shared.app.keep import remembered
from shared.model import ManagedCluster, NodePool, ServicePrincipal

from ..builders import after, unread
from ..estate import KUBELET, KUBELET_ID, NEEDED, Estate, S, assignment, lost, whole

PULLS = NEEDED[drift.PULL]


def kept(estate: Estate, *, gone: tuple[str, ...] = (), principals: tuple[str, ...] = (), **switches: Any) -> set[str]:
    """The principals whose grants are kept."""
    snapshot = estate.snapshot(after(1), **switches)
    watched = drift.watched(snapshot.clusters, drift.surroundings(snapshot), snapshot.access)
    rows = remembered(snapshot, Reading(watched=watched, gone=frozenset(principals)), gone)
    return {row.assignment.principal_id for row in rows.values()}


def test_what_is_lost_is_kept_until_it_is_held_again() -> None:
    estate = lost(drift.PULL)
    assert KUBELET_ID in kept(estate)
    estate.live.append(assignment(*PULLS))
    rows = remembered(estate.snapshot(after(1)), Reading(watched=everybody(estate)), ())
    assert not [row for row in rows.values() if row.lost]


def everybody(estate: Estate) -> dict[str, drift.Watched]:
    snapshot = estate.snapshot(after(1))
    return drift.watched(snapshot.clusters, drift.surroundings(snapshot), snapshot.access)


def test_what_is_lost_goes_with_its_scope_its_principal_and_its_cluster() -> None:
    estate = lost(drift.PULL)
    assert KUBELET_ID not in kept(estate, gone=(PULLS[1].lower(),))
    assert KUBELET_ID not in kept(estate, principals=(KUBELET_ID,))
    assert kept(estate, clusters=False) == set()


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "kind", [ManagedCluster, UserAssignedIdentity, FederatedIdentityCredential, Membership, ServicePrincipal]
)
def test_nothing_goes_while_it_is_not_known_who_stands_behind_clusters(kind: type, held: bool) -> None:
    estate = lost(drift.PULL)
    if held:
        estate = whole()
        estate.scan()
    assert KUBELET_ID in kept(estate, clusters=False, unread=[unread(kind, S)])


@pytest.mark.parametrize("kind", [RoleAssignment, NodePool])
def test_what_else_cannot_be_read_says_nothing_of_that(kind: type) -> None:
    assert kept(lost(drift.PULL), clusters=False, unread=[unread(kind, S)]) == set()


@pytest.mark.parametrize("held", [False, True])
def test_a_cluster_that_shows_no_kubelet_keeps_what_its_kubelet_held(held: bool) -> None:
    estate = whole() if held else lost(drift.PULL)
    if held:
        estate.scan()
    estate.cluster = replace(estate.cluster, kubelet=None, provisioning_state="Failed")
    assert KUBELET_ID in kept(estate)


def test_a_cluster_that_shows_another_kubelet_does_not() -> None:
    estate = lost(drift.PULL)
    estate.cluster = replace(estate.cluster, kubelet=replace(KUBELET, id=KUBELET.id + "2", principal_id="another"))
    assert KUBELET_ID not in kept(estate)


def test_a_row_is_kept_for_everybody_in_the_group() -> None:
    estate = whole()
    row = assignment("Reader", S, "group")
    estate.live.append(row)
    estate.known[row.key] = BaselineGrant(assignment=row, first_seen=after(-9), via=("stranger", KUBELET_ID))
    assert "group" in kept(estate)
    estate.known[row.key] = replace(estate.known[row.key], via=("stranger",))
    assert "group" not in kept(estate)
