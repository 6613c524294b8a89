"""The baseline never forgets by itself: whatever scans, partial scans, stale listings, events and restores come."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.access import BaselineGrant, Caller, RoleAssignment
from shared.baseline import deleted, observe, standing

from .builders import NOW

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
BOTH = (ONE, TWO)
MG = "/providers/Microsoft.Management/managementGroups/platform"
ROLE = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
TOMAS = Caller(object_id="tomas", upn="tomas@shop.example")
CONFIRMED = replace(TOMAS, confirmed=True)


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def row(name: str = "a", scope: str = f"/subscriptions/{ONE}", **changes: object) -> RoleAssignment:
    prefix = "" if scope == "/" else scope
    fields: dict[str, object] = {
        "id": f"{prefix}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "principal_id": "kubelet",
        "principal_type": "ServicePrincipal",
        "role_definition_id": f"/subscriptions/{ONE}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}",
        "scope": scope,
        "listed_in": frozenset({ONE}),
    }
    return RoleAssignment(**{**fields, **changes})  # type: ignore[arg-type]


def look(
    known: dict[str, BaselineGrant],
    *live: RoleAssignment,
    read: tuple[str, ...] = BOTH,
    began: datetime = NOW,
    members: dict[str, set[str]] | None = None,
    last: datetime | None = None,
) -> dict[str, BaselineGrant]:
    return observe(known, live, read=read, members=members or {}, began=began, last=last)


def test_what_is_listed_is_known_from_then_on() -> None:
    (known,) = look({}, row()).values()
    assert known == BaselineGrant(assignment=row(), first_seen=NOW)
    assert (known.lost, known.holders) == (False, ("kubelet",))


def test_what_is_missing_is_lost_since_the_scan_that_misses_it_and_after_the_one_that_saw_it() -> None:
    (gone,) = look(look({}, row()), began=minutes(5), last=NOW).values()
    assert (gone.deleted_at, gone.deleted_after, gone.deleted_by) == (minutes(5), NOW, None)
    assert look({row().key: gone}, began=minutes(10), last=minutes(5)) == {row().key: gone}, "and it stays as it is"


@pytest.mark.parametrize(
    ("scope", "listed_in", "read", "lost"),
    [
        (f"/subscriptions/{ONE}/resourceGroups/x", {ONE}, (), False),
        (f"/subscriptions/{ONE}/resourceGroups/x", {ONE}, (TWO,), False),
        (f"/subscriptions/{ONE.upper()}/resourceGroups/x", {ONE}, (ONE,), True),
        (MG, {ONE}, (TWO,), False),
        (MG, {ONE, TWO}, (TWO,), True),
        (MG, {ONE.upper()}, (ONE,), True),
        (MG, set(), BOTH, False),
        ("/", {ONE}, (), False),
        ("/", {ONE}, (TWO,), True),
    ],
)
def test_it_is_missing_only_where_a_listing_would_have_shown_it(
    scope: str, listed_in: set[str], read: tuple[str, ...], lost: bool
) -> None:
    one = row(scope=scope, listed_in=frozenset(listed_in))
    known = {one.key: BaselineGrant(assignment=one, first_seen=NOW)}
    assert look(known, read=read, began=minutes(5))[one.key].lost is lost


@pytest.mark.parametrize(("began", "lost"), [(4, True), (5, True), (6, False)])
def test_only_a_listing_that_began_after_the_deletion_brings_it_back(began: float, lost: bool) -> None:
    known = deleted(look({}, row()), row().id, minutes(5), TOMAS)
    after = look(known, row(), began=minutes(began))
    assert after[row().key].lost is lost
    assert standing([row()], after) == (() if lost else (row(),))


def test_a_row_that_stands_in_for_a_listing_brings_nothing_back() -> None:
    known = deleted(look({}, row()), row().id, minutes(5), TOMAS)
    after = look(known, row(), read=(TWO,), began=minutes(6))
    assert after == known, "the subscription was not read: that was no observation"
    assert standing([row()], after) == ()


def test_what_comes_back_has_no_culprit_and_keeps_its_first_day() -> None:
    known = deleted(look({}, row()), row().id, minutes(5), CONFIRMED)
    (back,) = look(known, row(), began=minutes(6)).values()
    assert back == BaselineGrant(assignment=row(), first_seen=NOW, deleted_after=minutes(6))
    assert look({row().key: back}, row(), began=minutes(9)) == {row().key: back}, "nothing to write"
    for last, shown in ((NOW, 6), (minutes(8), 8)):
        (gone,) = look({row().key: back}, began=minutes(9), last=last).values()
        assert (gone.deleted_at, gone.deleted_after) == (minutes(9), minutes(shown))


def test_one_row_whatever_the_case_and_in_however_many_listings() -> None:
    other = row(id=row().id.upper(), scope=row().scope.upper(), listed_in=frozenset({TWO}))
    (known,) = look(look({}, row()), other, replace(other, principal_id="KUBELET")).values()
    assert known.assignment == replace(row(), listed_in=frozenset(BOTH))


def test_a_role_under_the_path_of_another_subscription_is_no_change_worth_writing() -> None:
    elsewhere = row(role_definition_id=f"/subscriptions/{TWO}/providers/microsoft.authorization/roleDefinitions/{ROLE}")
    known = look({}, row())
    assert look(known, elsewhere, began=minutes(5)) == known


def test_where_a_management_group_reaches_is_what_was_read_last_and_where_it_ever_did_is_kept() -> None:
    def listed(*names: str) -> RoleAssignment:
        return row(scope=MG, listed_in=frozenset(names))

    key = listed().key
    known = look({}, listed(ONE, TWO))
    known = look(known, listed(TWO), read=(TWO,), began=minutes(1))
    assert (known[key].assignment, known[key].left) == (listed(ONE, TWO), frozenset()), "one was not read"
    known = look(known, listed(TWO), began=minutes(2))
    assert (known[key].assignment, known[key].left, known[key].ever) == (listed(TWO), {ONE}, listed(ONE, TWO))
    assert look(known, listed(TWO), began=minutes(3)) == known
    assert look(known, read=(ONE,), began=minutes(3)) == known, "what has left cannot miss it"
    gone = look(known, began=minutes(3))[key]
    assert (gone.lost, gone.ever) == (True, listed(ONE, TWO))
    back = look(known, listed(ONE, TWO), began=minutes(4))[key]
    assert (back.assignment, back.left) == (listed(ONE, TWO), frozenset())


@pytest.mark.parametrize(
    "change",
    [{"condition": "@a", "condition_version": "2.0"}, {"principal_id": "other"}, {"principal_type": "Group"}],
)
def test_an_assignment_that_was_changed_is_known_as_it_is_now(change: dict[str, object]) -> None:
    (known,) = look(look({}, row()), row(**change), began=minutes(5)).values()
    assert known.assignment == row(**change)


def test_a_group_s_row_remembers_everybody_who_was_ever_in_it() -> None:
    group = row(principal_id="GROUP")
    known = look({}, group, members={"group": {"b", "a"}})
    assert known[group.key].via == ("a", "b")
    known = look(known, group, members={"group": {"c"}}, began=minutes(5))
    assert known[group.key].holders == ("a", "b", "c")
    known = look(known, group, members={}, began=minutes(6))
    assert known[group.key].via == ("a", "b", "c")


def test_a_deletion_that_nothing_is_known_of_changes_nothing() -> None:
    assert deleted({}, row().id, NOW, TOMAS) == {}


def test_the_log_knows_what_no_scan_has_seen() -> None:
    (known,) = deleted({}, row().id, NOW, CONFIRMED, row()).values()
    assert known == BaselineGrant(assignment=row(), first_seen=NOW, deleted_at=NOW, deleted_by=CONFIRMED)


def test_the_moment_of_an_event_is_better_than_that_of_the_scan_that_missed_it() -> None:
    missed = look(look({}, row()), began=minutes(60), last=NOW)
    (told,) = deleted(missed, row().id.upper(), minutes(20), TOMAS).values()
    assert (told.deleted_at, told.deleted_after, told.deleted_by) == (minutes(20), None, TOMAS)
    (unnamed,) = deleted(missed, row().id, minutes(20), None).values()
    assert unnamed.deleted_at == minutes(60)


def test_what_the_log_says_is_not_said_again_by_an_event() -> None:
    known = deleted(look({}, row()), row().id, minutes(5), CONFIRMED)
    assert deleted(known, row().id, minutes(7), Caller(object_id="somebody else")) == known
    unsure = deleted(look({}, row()), row().id, minutes(5), TOMAS)
    assert deleted(unsure, row().id, minutes(4), CONFIRMED)[row().key].deleted_by == CONFIRMED


def test_of_two_deletions_under_one_id_the_later_is_the_loss_and_the_log_knows_best() -> None:
    other = Caller(object_id="somebody else")
    known = look({}, row())
    for moment, by, told in (
        (5, TOMAS, (5, TOMAS)),
        (4, other, (5, TOMAS)),
        (6, other, (6, other)),
        (5, CONFIRMED, (5, CONFIRMED)),
        (9, other, (5, CONFIRMED)),
        (4, replace(other, confirmed=True), (5, CONFIRMED)),
        (8, replace(other, confirmed=True), (8, replace(other, confirmed=True))),
    ):
        known = deleted(known, row().id, minutes(moment), by)
        (loss,) = known.values()
        assert (loss.deleted_at, loss.deleted_by) == (minutes(told[0]), told[1])


ROWS = [
    row("a"),
    row("b", scope=f"/subscriptions/{TWO}/resourceGroups/x"),
    row("c", scope=MG, listed_in=frozenset()),
    row("d", scope="/", listed_in=frozenset()),
]


class Remembering(RuleBasedStateMachine):
    """Azure as it is, and what is remembered of it: nothing is lost that is there, nothing forgotten that is not."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.live: set[str] = set()
        self.known: dict[str, BaselineGrant] = {}
        self.ever: dict[str, datetime] = {}
        self.must_be_lost: set[str] = set()
        """Told or seen to be gone, and not seen since by a listing that could know."""

    def _tick(self) -> None:
        self.now += timedelta(minutes=1)

    def _listing(self, live: set[str], read: tuple[str, ...]) -> list[RoleAssignment]:
        found = []
        for one in ROWS:
            for subscription in read:
                above = not one.scope.startswith("/subscriptions/")
                if one.key in live and (above or subscription in one.scope):
                    found.append(replace(one, listed_in=frozenset({subscription})))
        return found

    @rule(one=st.sampled_from(ROWS))
    def grant(self, one: RoleAssignment) -> None:
        self._tick()
        self.live.add(one.key)

    @rule(one=st.sampled_from(ROWS), told=st.booleans(), confirmed=st.booleans())
    def delete(self, one: RoleAssignment, told: bool, confirmed: bool) -> None:
        self._tick()
        self.live.discard(one.key)
        if told:
            before = self.known
            self.known = deleted(self.known, one.id.upper(), self.now, replace(TOMAS, confirmed=confirmed))
            assert self.known.keys() == before.keys()
            if one.key in self.known:
                self.must_be_lost.add(one.key)

    @rule(read=st.sampled_from([(), (ONE,), (TWO,), BOTH]), changes=st.lists(st.sampled_from(ROWS), max_size=2))
    def scan(self, read: tuple[str, ...], changes: list[RoleAssignment]) -> None:
        """A scan; some rows are deleted, and told to be, between its listings and its turn to write."""
        self._tick()
        began = self.now
        listing = self._listing(self.live, read)
        for one in changes:
            self.delete(one, True, False)
        before = self.known
        stand_ins = [kept.assignment for kept in before.values() if not kept.lost and not read]
        self.known = observe(before, [*listing, *stand_ins], read=read, members={}, began=began, last=None)
        seen = {one.key for one in listing}
        for key, kept in self.known.items():
            old = before.get(key)
            self.ever.setdefault(key, kept.first_seen)
            if kept.lost and not (old and old.lost):
                assert key not in seen, "lost although it was listed"
                assert kept.deleted_at == began
                self.must_be_lost.add(key)
            if old and old.lost and not kept.lost:
                assert key in seen and old.deleted_at and old.deleted_at < began, "it came back by itself"
                self.must_be_lost.discard(key)
            if old and not old.lost and kept.lost:
                assert read, "lost although nothing was read"
        for key in seen:
            assert key in self.known
        assert {one.key for one in standing(listing, self.known)} == seen - self.must_be_lost

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if not hasattr(self, "known"):
            return
        assert self.ever.keys() <= self.known.keys()
        assert all(self.known[key].first_seen == first for key, first in self.ever.items())
        assert {key for key, kept in self.known.items() if kept.lost} == self.must_be_lost

    @rule()
    def in_the_end_it_is_as_azure_is(self) -> None:
        """A full scan that nothing disturbs puts everything right."""
        self._tick()
        self.scan(BOTH, [])
        assert {key for key, kept in self.known.items() if not kept.lost} == self.live


Remembering.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestRemembering = Remembering.TestCase
