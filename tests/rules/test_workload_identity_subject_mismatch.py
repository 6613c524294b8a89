import pytest

from shared.access import FederatedIdentityCredential
from shared.findings import evaluate, reconcile
from shared.model import Severity
from shared.rules import workload_identity_subject_mismatch as rule
from tests.builders import problems, unread
from tests.catalogue import DEAD, SUBJECT, WORKLOAD, app_trust, scan, trust

LONGEST = "a" * 63


@pytest.mark.parametrize(
    "subject",
    [
        "shop/checkout",
        "system:serviceaccount:shop",
        "system:serviceaccount:shop:",
        "system:serviceaccount::checkout",
        "system:serviceaccount:shop:checkout:more",
        "system:serviceaccount:Shop:checkout",
        "system:serviceaccount:shop:Checkout",
        "System:serviceaccount:shop:checkout",
        "system:serviceaccounts:shop:checkout",
        " system:serviceaccount:shop:checkout",
        "system:serviceaccount:shop:checkout\n",
        "system:serviceaccount:shop:*",
        f"system:serviceaccount:{LONGEST}a:checkout",
        "system:serviceaccount:shop:" + ".".join(["a" * 50] * 5),
        "repo:org/repo:ref:refs/heads/main",
    ],
)
@pytest.mark.parametrize("made", [trust, app_trust])
def test_a_subject_that_no_service_account_has_is_a_warning(subject, made):
    (hit,) = problems(rule, scan(trusts=[made(subject=subject)]))
    assert rule.severity is Severity.WARNING and "matches no service account" in hit.title


@pytest.mark.parametrize("audiences", [(), ("api://azureadtokenexchange",), ("sts.windows.net", "api://x")])
def test_an_audience_that_entra_does_not_expect_is_a_warning(audiences):
    (hit,) = problems(rule, scan(trusts=[trust(audiences=audiences)]))
    assert "audience" in hit.facts["evidence"][0]


def test_both_faults_are_one_finding():
    (hit,) = problems(rule, scan(trusts=[trust(subject="x", audiences=())]))
    assert len(hit.facts["evidence"]) == 2


def test_a_dead_issuer_of_aks_is_judged_too():
    assert len(problems(rule, scan(trusts=[trust(issuer=DEAD, subject="x")]))) == 1


@pytest.mark.parametrize(
    "quiet",
    [
        trust(),
        trust(subject=f"system:serviceaccount:{LONGEST}:checkout"),
        trust(subject="system:serviceaccount:a:b"),
        trust(subject="system:serviceaccount:shop:" + ".".join(["a" * 49] * 5) + ".abc"),
        trust(subject="system:serviceaccount:shop:check.out-2"),
        trust(audiences=("other", "api://AzureADTokenExchange")),
        trust(audiences=("api://AzureADTokenExchangeUSGov",)),
        trust(audiences=("api://AzureADTokenExchangeChina",)),
        trust(audiences=("api://AKSIdentityBinding",)),
        trust(subject="", expression="claims['sub'] matches 'system:serviceaccount:ns:*'"),
        trust(subject="", audiences=("anything",)),
        trust(issuer="https://token.actions.githubusercontent.com", subject="repo:org/repo:ref:refs/heads/main"),
        trust(issuer="https://login.microsoftonline.com/x/v2.0", subject=SUBJECT.upper()),
        app_trust(),
        *(trust(id=f"{trust().id}{number}") for number in range(4)),
    ],
)
def test_what_matches_or_is_not_about_aks_is_silent(quiet):
    assert problems(rule, scan(trusts=[quiet])) == []


def test_a_credential_that_could_not_be_read_stays_open_and_one_that_is_gone_is_resolved():
    seen = scan(trusts=[trust(subject="x")])
    stored = reconcile((), evaluate(seen, [rule]), seen, [rule])
    blind = scan(unread=[unread(FederatedIdentityCredential, WORKLOAD.id)])
    assert all(one.open for one in reconcile(stored, evaluate(blind, [rule]), blind, [rule]))
    other = scan(unread=[unread(FederatedIdentityCredential, f"{WORKLOAD.id}-2")])
    assert not any(one.open for one in reconcile(stored, evaluate(other, [rule]), other, [rule]))
