from datetime import timedelta

import pytest

from shared.grace import LONGEST, TOGETHER, UNREADABLE, grouped, timed
from tests.builders import NOW, finding

GRACE = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


def pending(lost=NOW, **changes):
    fields = {"pending": True, "lost_at": lost, "first_seen": NOW, "not_before": NOW + GRACE}
    return finding(**{**fields, **changes})


def at(now, subject=None, state="succeeded", failure="", lost=None):
    return timed(subject or pending(), now, GRACE, state=state, failure=failure, lost=lost)


def test_what_stands_at_the_end_of_its_grace_is_told():
    told = at(NOW + GRACE)
    assert (told.pending, told.unconfirmed, told.revision) == (False, "", pending().revision + 1)


@pytest.mark.parametrize(
    ("after", "waits"), [(GRACE, True), (LONGEST - MINUTE, True), (LONGEST, False), (LONGEST + GRACE, False)]
)
def test_while_its_cluster_is_updated_it_waits_an_hour_at_most(after, waits):
    told = at(NOW + after, state="updating")
    assert told.pending is waits
    assert told.not_before == (NOW + after + MINUTE if waits else NOW + GRACE)


@pytest.mark.parametrize(
    ("state", "failure", "why"), [("succeeded", "HTTP 503", "HTTP 503"), (None, "", "the cluster")]
)
@pytest.mark.parametrize(("after", "waits"), [(UNREADABLE - MINUTE, True), (UNREADABLE, False)])
def test_what_cannot_be_asked_is_told_in_doubt_after_half_an_hour(state, failure, why, after, waits):
    told = at(NOW + GRACE + after, state=state, failure=failure)
    assert told.pending is waits
    assert waits or told.unconfirmed.startswith(why)


def test_half_an_hour_begins_when_it_was_seen_however_long_ago_it_was_lost():
    old = pending(lost=NOW - timedelta(days=2))
    assert at(NOW + GRACE, old, failure="HTTP 503").pending


@pytest.mark.parametrize(("after", "waits"), [(GRACE, True), (LONGEST, False)])
def test_another_loss_after_it_came_back_has_its_own_grace_an_hour_at_most(after, waits):
    again = NOW + after - MINUTE
    told = at(NOW + after, lost=again)
    assert (told.lost_at, told.pending) == (again, waits)
    assert not waits or told.not_before == again + GRACE


def test_an_earlier_moment_than_known_changes_nothing():
    assert at(NOW + GRACE, lost=NOW - MINUTE).lost_at == NOW


def test_losses_of_one_clean_up_wait_for_the_last_one():
    first, last, other = (
        pending(key=str(number), not_before=NOW + GRACE + after)
        for number, after in enumerate((timedelta(0), TOGETHER, TOGETHER + LONGEST))
    )
    assert [one.not_before for one in grouped([first, last])] == [last.not_before, last.not_before]
    assert grouped([first, other]) == [first, other]


def test_what_is_told_already_or_of_another_kind_waits_for_nothing():
    last = pending(key="last", not_before=NOW + GRACE + MINUTE)
    others = [finding("one"), pending(key="two", pending=False), pending(key="three", lost=None)]
    assert grouped([*others, last]) == [*others, last]


def test_no_loss_waits_longer_than_an_hour_for_another():
    early = pending(key="early", lost=NOW - LONGEST, not_before=NOW + GRACE)
    last = pending(key="last", not_before=NOW + GRACE + MINUTE)
    assert grouped([early, last])[0].not_before == NOW
