from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import alerts
from shared.alerts import FALLBACK, SHOWN, Policy, covered, due, entries, reason, receivers, told
from shared.findings import Notice, Reason, Status, evaluate, reconcile
from shared.model import NEVER, Application, ManagedCluster, Severity, Snapshot
from shared.rules import RULES
from tests.builders import (
    NOW,
    after,
    application,
    cluster,
    days,
    entry,
    finding,
    secret,
    service_principal,
    snapshot,
    unread,
)

INFO, WARNING, CRITICAL = Severity
POLICY = Policy()
EVERYTHING = Policy(min_severity=INFO)


def notice(**changes):
    """What was told half an hour ago, in the tier of 14 days."""
    fields = {
        "receiver": FALLBACK,
        "reason": Reason.NEW,
        "severity": WARNING,
        "when": NOW - timedelta(minutes=30),
        "tier": 14,
        "expires_on": after(10),
    }
    return Notice(**{**fields, **changes})


def known(*changes, **finding_changes):
    """A finding that the fallback was told of."""
    return finding(announced=tuple(notice(**change) for change in changes or ({},)), **finding_changes)


def ended(**changes):
    return {"expires_on": after(-1), "severity": CRITICAL, **changes}


REPLACED = {"severity": INFO, "superseded_on": after(400)}
RESOLVED = {"status": Status.RESOLVED}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param(finding(), "new", id="a problem that nobody was told of is new"),
        pytest.param(finding(severity=INFO), "none", id="below the least severity nothing is said"),
        pytest.param(finding(not_before=after(0.1)), "none", id="during its grace nothing is said"),
        pytest.param(finding(not_before=NOW), "new", id="when the grace ends it is said"),
        pytest.param(known(), "none", id="told in this tier already"),
        pytest.param(known({"tier": 30}), "nearer", id="the next tier is reached"),
        pytest.param(known({"tier": 60}), "nearer", id="two tiers later, after a missed week, it is one notice"),
        pytest.param(known({"tier": 7}), "none", id="a tier that lies behind is not told again"),
        pytest.param(known({"tier": None}), "nearer", id="it had no end when it was told, and has one now"),
        pytest.param(known({"expires_on": after(60)}), "nearer", id="another end is counted down to"),
        pytest.param(
            known({"expires_on": None, "tier": None}, expires_on=None), "none", id="without an end, told once"
        ),
        pytest.param(known(**ended()), "raised", id="it has ended and is critical now"),
        pytest.param(known({"tier": 0, "expires_on": after(-1)}, **ended()), "raised", id="worse in the same tier"),
        pytest.param(
            known({"tier": 1, "severity": CRITICAL, "expires_on": after(-1)}, **ended()), "nearer", id="the end itself"
        ),
        pytest.param(
            known({"tier": 0, "severity": CRITICAL, "expires_on": after(-1)}, **ended()), "none", id="told of the end"
        ),
        pytest.param(known({"severity": CRITICAL}), "none", id="a severity that falls is not told"),
        pytest.param(
            known({"severity": CRITICAL, "when": after(-7)}, severity=CRITICAL), "reminder", id="critical for a week"
        ),
        pytest.param(
            known({"severity": CRITICAL, "when": after(-6.9)}, severity=CRITICAL), "none", id="critical for 6.9 days"
        ),
        pytest.param(known({"when": after(-70)}), "none", id="a warning is not repeated"),
        pytest.param(known({"counted": True}), "none", id="one that was only counted waits for its next tier"),
        pytest.param(known({"counted": True, "tier": 30}), "nearer", id="and is due in it"),
        pytest.param(
            known({"counted": True, "tier": None, "expires_on": None, "when": after(-7)}, expires_on=None),
            "new",
            id="one without an end that was only counted is due again after the repeat",
        ),
        pytest.param(
            known({"counted": True, "tier": 0, "expires_on": after(-8), "when": after(-7)}, expires_on=after(-8)),
            "new",
            id="so is one that has no next tier because it has ended",
        ),
        pytest.param(known(**REPLACED), "replaced", id="it was told and is replaced now"),
        pytest.param(
            known({"reason": Reason.REPLACED, "severity": INFO}, **REPLACED), "none", id="the replacement is told once"
        ),
        pytest.param(known({"counted": True}, **REPLACED), "none", id="it was only counted, so its end is no news"),
        pytest.param(
            known(**{**REPLACED, "superseded_on": NOW}), "none", id="a replacement that has ended by now is none"
        ),
        pytest.param(finding(**REPLACED), "none", id="replaced before anybody was told"),
        pytest.param(known({"reason": Reason.REPLACED, "severity": INFO}), "new", id="the replacement went away again"),
        pytest.param(known(severity=INFO), "none", id="it fell below the least severity in another way"),
        pytest.param(known(**RESOLVED), "resolved", id="it was told and is resolved"),
        pytest.param(known({"reason": Reason.RESOLVED}, **RESOLVED), "none", id="the resolution is told once"),
        pytest.param(
            known({"reason": Reason.REPLACED}, **RESOLVED), "none", id="who was told of the replacement knows already"
        ),
        pytest.param(known({"counted": True}, **RESOLVED), "none", id="resolved after it was only counted"),
        pytest.param(finding(**RESOLVED), "none", id="resolved before anybody was told"),
        pytest.param(known({"receiver": "WEB"}, **RESOLVED), "none", id="resolved, and only another receiver knew"),
        pytest.param(known(status=Status.AGED_OUT), "none", id="aged out closes silently"),
        pytest.param(known(team="WEB"), "none", id="it belongs to another team now"),
        pytest.param(finding(team="WEB"), "none", id="a warning of a team is not for the fallback"),
        pytest.param(finding(team="WEB", severity=CRITICAL), "new", id="what is critical is for the fallback too"),
        pytest.param(
            known({"severity": CRITICAL}, team="WEB", **REPLACED),
            "replaced",
            id="the fallback that was told of it while critical hears of the replacement",
        ),
        pytest.param(known(team="WEB", **RESOLVED), "resolved", id="and of the resolution"),
    ],
)
def test_reason(subject, expected):
    assert reason(subject, FALLBACK, NOW, POLICY) == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param(finding(severity=INFO), "new", id="hygiene is told"),
        pytest.param(finding(**REPLACED), "new", id="so is one that is replaced already"),
        pytest.param(known({"severity": INFO}, **REPLACED), "none", id="once"),
        pytest.param(known({"severity": INFO, "tier": 30}, **REPLACED), "nearer", id="and in its next tier"),
        pytest.param(known(**REPLACED), "replaced", id="a problem that falls to replaced is told as that"),
        pytest.param(
            known({"reason": Reason.REPLACED, "severity": INFO, "tier": 30}, **REPLACED), "none", id="once too"
        ),
    ],
)
def test_reason_when_everything_is_announced(subject, expected):
    assert reason(subject, FALLBACK, NOW, EVERYTHING) == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param(finding(team="WEB"), "new", id="it stands in for a team's receiver"),
        pytest.param(known(team="WEB"), "none", id="and is told once"),
        pytest.param(finding(team="WEB", severity=INFO), "none", id="not of what is not announced at all"),
    ],
)
def test_reason_of_the_fallback_that_stands_in(subject, expected):
    assert reason(subject, FALLBACK, NOW, POLICY, standby=True) == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (None, None),
        (days(61), 60),
        (days(60), 60),
        (days(30) + timedelta(seconds=1), 60),
        (days(30), 30),
        (days(1), 1),
        (timedelta(seconds=1), 1),
        (days(0), 0),
        (days(-400), 0),
    ],
)
def test_tier(left, expected):
    subject = finding(expires_on=None if left is None else NOW + left)
    assert alerts.tier(subject, NOW, POLICY) == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param(finding(), (FALLBACK,), id="nobody's: the fallback"),
        pytest.param(finding(severity=CRITICAL), (FALLBACK,), id="nobody's and critical: once"),
        pytest.param(finding(team="WEB"), ("WEB",), id="a team's"),
        pytest.param(finding(team="WEB", severity=CRITICAL), ("WEB", FALLBACK), id="a team's and critical: both"),
    ],
)
def test_receivers(subject, expected):
    assert receivers(subject) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {"": {"x"}}, id="the same receiver"),
        pytest.param({"team": "WEB"}, {"WEB": {"x"}}, id="the receiver that is told of the worse one"),
        pytest.param({"team": "WEB", "severity": CRITICAL}, {"WEB": {"x"}, "": {"x"}}, id="both, when it is critical"),
        pytest.param({"severity": INFO}, {}, id="not by what is not announced itself"),
        pytest.param({"status": Status.RESOLVED}, {}, id="not by what is resolved"),
        pytest.param({"includes": ()}, {}, id="not by what includes nothing"),
    ],
)
def test_covered(changes, expected):
    assert covered([finding(**{"includes": ("x",), **changes})], POLICY) == expected


def said(subjects, receiver=FALLBACK, now=NOW, policy=POLICY):
    covers = covered(subjects, policy)
    return {one.finding.fingerprint: one.reason for one in entries(subjects, receiver, now, policy, covers)}


def credential(**changes):
    return finding("secret", rule="entra_credential_expiry", resource_id="/applications/1", **changes)


def test_a_credential_that_a_cluster_finding_tells_stays_silent_for_the_same_receiver():
    both = [credential(), finding(includes=(credential().fingerprint,), team="WEB")]
    assert said(both, "WEB") == {both[1].fingerprint: Reason.NEW}
    assert said(both) == {both[0].fingerprint: Reason.NEW}
    critical = [both[0], replace(both[1], severity=CRITICAL)]
    assert said(critical) == {both[1].fingerprint: Reason.NEW}


def test_the_end_of_a_covered_finding_is_told_to_who_knew_of_it():
    gone = credential(announced=(notice(),), status=Status.RESOLVED)
    both = [gone, finding(includes=(gone.fingerprint,), announced=(notice(),))]
    assert said(both) == {gone.fingerprint: Reason.RESOLVED}


def test_due_asks_every_receiver_that_knows_or_should():
    subjects = [
        finding("new"),
        known(),
        finding("team", team="WEB", announced=(notice(receiver="WEB"), notice(receiver="OLD"))),
        finding("gone", status=Status.RESOLVED, announced=(notice(receiver="OLD"),)),
    ]
    assert due(subjects, NOW, POLICY).keys() == {subjects[0].fingerprint, subjects[3].fingerprint}


def test_an_alert_is_worst_first_and_counts_beyond_a_dozen():
    ends = [after(number) for number in (9, 3, 6)]
    problems = [entry(finding(f"w{number}", expires_on=end)) for number, end in enumerate(ends)]
    problems += [entry(finding(f"n{number}", expires_on=None)) for number in range(SHOWN)]
    problems += [entry(finding("worst", severity=CRITICAL, expires_on=after(50)))]
    made = alerts.alert(FALLBACK, problems)
    assert made is not None
    assert [one.finding.severity for one in made.shown[:2]] == [CRITICAL, WARNING]
    assert [one.finding.expires_on for one in made.shown[1:4]] == sorted(ends)
    assert (len(made.shown), len(made.counted), made.closed) == (SHOWN, 4, ())


def test_equal_problems_are_in_order_of_their_names():
    made = alerts.alert(FALLBACK, [entry(finding(name, resource_name=name)) for name in ("b", "C", "a")])
    assert made is not None
    assert [one.finding.resource_name for one in made.shown] == ["a", "b", "C"]


def test_resolved_and_replaced_ones_take_no_room_of_problems():
    closed = [entry(finding(str(number)), why) for number, why in enumerate((Reason.RESOLVED, Reason.REPLACED) * 9)]
    made = alerts.alert(FALLBACK, [*closed, entry()])
    assert made is not None
    assert (len(made.shown), len(made.counted), len(made.closed)) == (1, 0, 18)


def test_nothing_to_say_is_no_alert():
    assert alerts.alert(FALLBACK, []) is None


def test_told_records_what_the_receiver_accepted():
    subject = finding(announced=(notice(receiver="WEB"),))
    after_it = told(entry(subject), FALLBACK, NOW, counted=False)
    expected = Notice(receiver=FALLBACK, reason=Reason.NEW, severity=WARNING, when=NOW, tier=14, expires_on=after(10))
    assert after_it == replace(subject, announced=(expected, notice(receiver="WEB")), revision=2)
    assert told(entry(after_it, Reason.TIER, 7), FALLBACK, NOW, counted=False).announced[0].tier == 7


@pytest.mark.parametrize(
    ("before", "counted"),
    [
        pytest.param(finding(), True, id="never shown"),
        pytest.param(known({"counted": True}), True, id="only counted before"),
        pytest.param(known(), False, id="shown before: the receiver knows of it"),
        pytest.param(known({"reason": Reason.REPLACED}), True, id="shown before, and told of its replacement since"),
        pytest.param(known({"reason": Reason.RESOLVED}), True, id="shown before, and told of its resolution since"),
    ],
)
def test_counted_means_never_shown(before, counted):
    assert told(entry(before), FALLBACK, NOW, counted=True).announced[0].counted is counted


# Whole stories, told by the real rules.


class Channel:
    """A tenant, its store and one receiver, from scan to scan; keeps what was announced."""

    def __init__(self, policy=POLICY):
        self.policy = policy
        self.stored = ()
        self.due = frozenset()
        self.log = []

    def scan(self, world: Snapshot):
        self.stored = reconcile(self.stored, evaluate(world, RULES), world, RULES)
        self.due |= due(self.stored, world.taken, self.policy).keys()

    def settle(self, now, *, accepts=True):
        concerned = [one for one in self.stored if one.fingerprint in self.due]
        covers = covered(self.stored, self.policy)
        for receiver in sorted({name for one in concerned for name in alerts.audience(one)}):
            made = alerts.alert(receiver, entries(concerned, receiver, now, self.policy, covers))
            if made and accepts:
                for one in (*made.shown, *made.counted, *made.closed):
                    self.log.append((receiver, one, now))
                    self.record(told(one, receiver, now, counted=one in made.counted))
                    for inner in self.stored:
                        # What a finding includes was told with it.
                        if one.finding.open and inner.open and inner.fingerprint in one.finding.includes:
                            within = entry(inner, tier=alerts.tier(inner, now, self.policy))
                            self.record(told(within, receiver, now, counted=True))
                concerned = [one for one in self.stored if one.fingerprint in self.due]
        self.due &= due(self.stored, now, self.policy).keys()

    def record(self, after_it):
        self.stored = tuple(after_it if old.fingerprint == after_it.fingerprint else old for old in self.stored)

    def run(self, *records, now=NOW, **changes):
        """A scan and the settle that follows; what was said, as rule and reason."""
        began = len(self.log)
        self.scan(snapshot(*records, taken=now, **changes))
        self.settle(now)
        return [(one.finding.rule, one.reason.value, one.tier) for _, one, _ in self.log[began:]]


SECRET = "entra_credential_expiry"
CLUSTER = "aks_service_principal_expiry"


def test_the_same_tenant_scanned_twice_announces_nothing_the_second_time():
    channel, world = Channel(), [cluster(), application(secret_ends=[after(5), after(-3)]), unread(Application)]
    assert channel.run(*world)
    assert channel.run(*world, now=NOW + timedelta(hours=6)) == []


def test_a_missed_week_across_two_tiers_is_one_notice_of_the_latest():
    channel, world = Channel(), [application(secret_ends=[after(29)])]
    assert channel.run(*world) == [(SECRET, "new", 30)]
    assert channel.run(*world, now=after(23)) == [(SECRET, "nearer", 7)]
    assert channel.run(*world, now=after(23.5)) == []


def test_every_tier_and_the_end_once_then_a_reminder_a_week():
    channel, world = Channel(), [application(secret_ends=[after(60)])]
    said = [(day, line) for day in range(81) for line in channel.run(*world, now=after(day))]
    assert said == [
        (0, (SECRET, "new", 60)),
        *((60 - tier, (SECRET, "nearer", tier)) for tier in (30, 14, 7, 3, 1)),
        (60, (SECRET, "raised", 0)),
        (67, (SECRET, "reminder", 0)),
        (74, (SECRET, "reminder", 0)),
    ]


def test_a_rotation_is_one_line_and_the_end_of_the_old_one_is_silent():
    old, new = secret(after(10)), secret(after(700), 2)
    channel = Channel()
    assert channel.run(application(old)) == [(SECRET, "new", 14)]
    assert channel.run(application(old, new), now=after(1)) == [(SECRET, "replaced", 14)]
    for day in range(2, 60):
        assert channel.run(application(old, new), now=after(day)) == []
    assert [one.status for one in channel.stored] == [Status.AGED_OUT]


def test_a_successor_that_never_ends_is_told_as_well():
    channel = Channel()
    channel.run(application(secret_ends=[after(10)]))
    assert channel.run(application(secret_ends=[after(10), None]), now=after(1)) == [(SECRET, "replaced", 14)]
    assert next(one.superseded_on for one in channel.stored if one.expires_on == after(10)) == NEVER


def test_a_rotation_that_deletes_the_old_one_is_one_line():
    channel = Channel()
    channel.run(application(secret(after(10))))
    assert channel.run(application(secret(after(700), 2)), now=after(1)) == [(SECRET, "resolved", 14)]
    assert channel.run(application(secret(after(700), 2)), now=after(2)) == []


def test_a_rotation_in_two_steps_is_still_one_line():
    channel = Channel()
    channel.run(application(secret(after(10))))
    channel.run(application(secret(after(10)), secret(after(700), 2)), now=after(1))
    assert channel.run(application(secret(after(700), 2)), now=after(2)) == []


def test_a_cluster_tells_for_its_credential_until_it_is_converted():
    channel = Channel()
    behind = application(secret_ends=[after(40)]), service_principal()
    assert channel.run(cluster(), *behind) == [(CLUSTER, "new", 60)]
    assert channel.run(cluster(), *behind, now=after(33)) == [(CLUSTER, "raised", 7)]
    assert channel.run(cluster(client_id=""), *behind, now=after(34)) == [(CLUSTER, "resolved", 7)]
    assert channel.run(cluster(client_id=""), *behind, now=after(37)) == [(SECRET, "nearer", 3)]


def test_a_cluster_whose_secret_was_renewed_in_entra_only_is_not_announced_again_before_its_next_tier():
    channel = Channel()
    channel.run(cluster(), application(secret_ends=[after(6)]), service_principal())
    renewed = application(secret_ends=[after(6), after(700)])
    assert channel.run(cluster(), renewed, service_principal(), now=after(1)) == []
    assert channel.run(cluster(), renewed, service_principal(), now=after(3)) == [(CLUSTER, "nearer", 3)]


@pytest.mark.parametrize("gap", [unread(Application), unread(ManagedCluster)], ids=["Entra", "subscriptions"])
def test_one_scan_that_could_not_read_says_nothing_of_what_it_knew(gap):
    channel = Channel()
    world = [cluster(), application(secret_ends=[after(20)]), service_principal()]
    channel.run(*world)
    lost = {ManagedCluster: world[1:], Application: [world[0], world[2]]}[gap.kind]
    assert [line[0] for line in channel.run(*lost, replace(gap, passing=True), now=after(0.25))] == []
    assert channel.run(*world, now=after(0.5)) == []


def test_a_finding_that_was_only_counted_is_shown_in_its_next_tier():
    channel = Channel()
    apps = [application(secret_ends=[after(10)], object_id=str(n), app_id=str(n), name=f"{n:02}") for n in range(14)]
    channel.run(*apps)
    counted = {one.fingerprint for one in channel.stored if one.announced[0].counted}
    assert len(counted) == 2
    # Twelve are mended; of the two that were only counted nobody hears until the next tier.
    left = apps[12:]
    assert [line[1] for line in channel.run(*left, now=after(1))] == ["resolved"] * 12
    assert channel.run(*left, now=after(3)) == [(SECRET, "nearer", 7)] * 2


ENDS = st.sampled_from((-40, -5, 0, 2, 20, 45, 61, 300))
STEPS = st.lists(
    st.tuples(
        st.integers(1, 24 * 20),
        st.lists(ENDS, max_size=3),
        st.booleans(),
        st.booleans(),
        st.sampled_from(("scan", "blind")),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from((POLICY, EVERYTHING)))
def test_one_announcement_per_tier_never_twice(steps, policy):
    channel, now = Channel(policy), NOW
    for hours, ends, on_cluster, accepts, what in steps:
        now += timedelta(hours=hours)
        # The ends are dates, not distances: a secret is told from another by its end.
        credentials = [secret(after(end), 100 + end) for end in set(ends)]
        gaps = [unread(Application, passing=True)] if what == "blind" else []
        records = [cluster(client_id=cluster().client_id if on_cluster else ""), service_principal(), *gaps]
        channel.scan(snapshot(*records, *([] if gaps else [application(*credentials)]), taken=now))
        channel.settle(now, accepts=accepts)
        # A tick with nothing new repeats nothing.
        said_before = len(channel.log)
        channel.settle(now + timedelta(minutes=1))
        if accepts:
            assert len(channel.log) == said_before
    for story in stories(channel.log):
        tiers = [one.tier for one, _ in story if one.reason in (Reason.NEW, Reason.TIER) and one.tier is not None]
        ends_told = {one.finding.expires_on for one, _ in story}
        if len(ends_told) == 1:
            assert tiers == sorted(set(tiers), reverse=True), "a tier was told twice"
        levels = [one.finding.severity for one, _ in story]
        for (one, _), level, before in zip(story[1:], levels[1:], levels, strict=False):
            assert one.reason is not Reason.RAISED or level > before, "raised to what was told already"
        reminders = [when for one, when in story if one.reason is Reason.REMINDER]
        assert all(later - earlier >= policy.repeat for earlier, later in pairwise(reminders))
        closings = [number for number, (one, _) in enumerate(story) if one.reason in (Reason.RESOLVED, Reason.REPLACED)]
        assert closings in ([], [len(story) - 1]), "told of the end twice, or of a problem after its end"
        assert 0 not in closings, "told of the end of what was never told"


def stories(log):
    """The log cut at each receiver, finding, and end: a problem from its first notice to its last."""
    lives = {}
    for receiver, one, when in log:
        life = lives.setdefault((receiver, one.finding.fingerprint, one.finding.first_seen), [[]])
        if life[-1] and life[-1][-1][0].reason in (Reason.RESOLVED, Reason.REPLACED):
            life.append([])
        life[-1].append((one, when))
    return [story for life in lives.values() for story in life]
