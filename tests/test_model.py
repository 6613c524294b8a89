import pytest

from shared.model import Owner, Severity, Subscription, Thresholds
from tests.builders import application, days, service_principal


@pytest.mark.parametrize("text", ["critical", " Critical ", "CRITICAL"])
def test_a_severity_by_its_name(text):
    assert Severity.parse(text) is Severity.CRITICAL


@pytest.mark.parametrize("text", ["", "high", "2"])
def test_no_severity(text):
    with pytest.raises(ValueError, match="info, warning or critical"):
        Severity.parse(text)


def test_severities_are_ordered():
    assert [severity.label for severity in sorted(Severity)] == ["info", "warning", "critical"]


@pytest.mark.parametrize(
    ("owner", "label"),
    [
        (Owner(object_id="i", name="n", mail="m"), "n"),
        (Owner(object_id="i", mail="m"), "m"),
        (Owner(object_id="i"), "i"),
    ],
)
def test_an_owner_is_called_by_the_best_name_there_is(owner, label):
    assert owner.label == label


def test_ids_are_paths():
    assert application(object_id="a").id == "/applications/a"
    assert service_principal(object_id="a").id == "/servicePrincipals/a"
    assert Subscription(subscription_id="a").id == "/subscriptions/a"


def test_the_window_is_the_earliest_notice():
    assert Thresholds(notice_days=(7, 30)).window == days(30)
