from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import NEVER, Credential, CredentialKind, Severity, Thresholds
from shared.rules import entra_credential_expiry as rule
from tests.builders import (
    NOW,
    OTHER_TENANT,
    TENANT_ID,
    after,
    application,
    certificate,
    days,
    hits,
    saml,
    secret,
    service_principal,
)

MOMENT = timedelta(seconds=1)
MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"


def severities(*entities: object) -> list[Severity | None]:
    return [hit.severity for hit in hits(rule, *entities)]


@pytest.mark.parametrize(
    ("end", "severity", "aged"),
    [
        pytest.param(after(60), Severity.WARNING, False, id="the window begins 60 days before the end"),
        pytest.param(after(30), Severity.WARNING, False, id="inside the window"),
        pytest.param(NOW + MOMENT, Severity.WARNING, False, id="a second before the end it still works"),
        pytest.param(NOW, Severity.CRITICAL, False, id="at its end it has ended"),
        pytest.param(after(-30), Severity.CRITICAL, False, id="30 days after the end it is still a problem"),
        pytest.param(after(-30) - MOMENT, Severity.CRITICAL, True, id="later it is a leftover"),
        pytest.param(None, Severity.INFO, False, id="without an end it is a matter of hygiene"),
    ],
)
def test_an_end(end, severity, aged):
    (hit,) = hits(rule, application(secret_ends=[end]))
    assert (hit.severity, hit.aged_out, hit.expires_on) == (severity, aged, end)


@pytest.mark.parametrize(
    "entity",
    [
        pytest.param(application(), id="no credential at all"),
        pytest.param(application(secret_ends=[after(60) + MOMENT]), id="a second before the window"),
        pytest.param(application(secret_ends=[after(700), after(365)]), id="all ends are far away"),
        pytest.param(
            service_principal(certificate(after(20)), type="ManagedIdentity"), id="Azure rotates a managed identity"
        ),
        pytest.param(service_principal(certificate(after(20)), owner_tenant=MICROSOFT), id="Microsoft's own service"),
        pytest.param(
            service_principal(certificate(after(20)), owner_tenant=MICROSOFT.upper()), id="Microsoft's, in capitals"
        ),
    ],
)
def test_silent(entity):
    assert hits(rule, entity) == []


def test_the_window_is_the_largest_notice():
    thresholds = Thresholds(notice_days=(90, 7))
    entity = application(secret_ends=[after(90)])
    assert len(hits(rule, entity, thresholds=thresholds)) == 1
    assert hits(rule, entity) == []


@pytest.mark.parametrize(
    ("other", "end"),
    [
        pytest.param(secret(after(61), 2), after(61), id="a secret that outlives the window"),
        pytest.param(secret(None, 2), NEVER, id="a secret without an end"),
        pytest.param(secret(after(400), 2, start=NOW), after(400), id="one that starts this moment"),
        pytest.param(secret(after(400), 2, start=None), after(400), id="one without a start"),
    ],
)
def test_superseded(other, end):
    hit = next(hit for hit in hits(rule, application(secret(after(5)), other)) if hit.expires_on == after(5))
    assert (hit.severity, hit.superseded_on) == (Severity.INFO, end)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(secret(after(60), 2), id="one that ends within the window too"),
        pytest.param(secret(after(400), 2, start=NOW + MOMENT), id="one that has not started"),
        pytest.param(certificate(after(400)), id="a certificate does not replace a secret"),
    ],
)
def test_not_superseded(other):
    found = hits(rule, application(secret(after(5)), other))
    hit = next(hit for hit in found if hit.expires_on == after(5))
    assert (hit.severity, hit.superseded_on) == (Severity.WARNING, None)


def test_a_secret_of_the_service_principal_does_not_replace_one_of_the_application():
    first, second = hits(rule, application(secret_ends=[after(5)]), service_principal(secret_ends=[after(50)]))
    assert (first.severity, second.severity) == (Severity.WARNING, Severity.WARNING)
    assert hits(rule, application(secret_ends=[after(5)]), service_principal(secret_ends=[after(500)])) == [first]


def test_a_saml_certificate_does_not_replace_one_for_signing_in():
    (hit,) = hits(rule, service_principal(certificate(after(5)), *saml(after(900))))
    assert (hit.severity, hit.superseded_on) == (Severity.WARNING, None)


def test_the_latest_of_several_successors_is_named():
    found = hits(rule, application(secret_ends=[after(5), after(90), after(365)]))
    assert [hit.superseded_on for hit in found] == [after(365)]


@pytest.mark.parametrize(
    ("successor_ends", "severity"),
    [
        pytest.param(after(90), Severity.INFO, id="while the successor is far from its end"),
        pytest.param(after(20), Severity.INFO, id="when the successor nears its own end, which has its own finding"),
        pytest.param(NOW, Severity.CRITICAL, id="when the successor has ended as well"),
    ],
)
def test_one_that_ended_and_was_replaced_does_not_come_back(successor_ends, severity):
    found = hits(rule, application(secret_ends=[after(-10), successor_ends]))
    assert next(hit for hit in found if hit.expires_on == after(-10)).severity == severity


@pytest.mark.parametrize(
    "entity",
    [
        pytest.param(service_principal(*saml()), id="Sign, Verify and the password are one"),
        pytest.param(service_principal(*reversed(saml())), id="in whichever order they come"),
        pytest.param(
            service_principal(certificate(number=1, usage="Sign"), certificate(number=2, usage="Verify")),
            id="a pair without a password",
        ),
        pytest.param(
            service_principal(*saml()[:2], secret(number=999, custom_id="b2" * 20)),
            id="a password that shares only the thumbprint, in small letters",
        ),
    ],
)
def test_a_signing_certificate_counts_once(entity):
    (hit,) = hits(rule, entity)
    assert hit.variant == "saml"
    assert "SAML certificate" in hit.title
    assert hit.facts["saml_url"].endswith(f"/servicePrincipals/{entity.object_id}/addTokenSigningCertificate")


def test_the_order_of_a_pair_does_not_change_its_name():
    one, other = (hits(rule, service_principal(*entries))[0] for entries in (saml(), tuple(reversed(saml()))))
    assert one == other


def test_two_generations_of_a_signing_certificate_are_two():
    newer = [
        certificate(after(900), 300 + number, usage=usage, custom_id="C3" * 20)
        for number, usage in enumerate(("Sign", "Verify"))
    ]
    (hit,) = hits(rule, service_principal(*saml(after(5)), *newer))
    assert (hit.severity, hit.superseded_on) == (Severity.INFO, after(900))


def test_a_signing_pair_on_an_application_is_renewed_like_any_certificate():
    (hit,) = hits(rule, application(*saml()))
    assert hit.variant == ""


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param([secret(number=1, name=""), secret(number=2, name="")], id="no names"),
        pytest.param([secret(number=1), secret(number=2)], id="equal names"),
        pytest.param([secret(after(5), key_id=""), secret(after(6), key_id="")], id="no key ids"),
        pytest.param(
            [certificate(key_id="", custom_id=""), secret(key_id="")], id="a certificate and a secret without"
        ),
        pytest.param(
            [certificate(after(5), key_id="", custom_id=""), certificate(after(6), key_id="", custom_id="")],
            id="two certificates without key id and thumbprint",
        ),
        pytest.param([certificate(after(5), 1), certificate(after(6), 2)], id="one custom id, two ends"),
    ],
)
def test_two_credentials_are_two_findings(credentials):
    found = hits(rule, application(*credentials))
    assert len({hit.key for hit in found}) == 2


def test_equal_key_ids_on_two_objects_are_two_findings():
    found = hits(rule, application(secret(number=1)), service_principal(secret(number=1)))
    assert [hit.resource_id.split("/")[1] for hit in found] == ["applications", "servicePrincipals"]


def test_each_credential_of_an_object_has_its_own_end():
    ends = [after(5), after(-3), after(200), None]
    assert [hit.expires_on for hit in hits(rule, application(*map(secret, ends, range(1, 5))))] == [
        after(5),
        after(-3),
        None,
    ]


@pytest.mark.parametrize(
    ("entity", "kind", "flags"),
    [
        (application(secret()), "app", ([], [])),
        (application(certificate()), "app", (["--cert"], ["--create-cert"])),
        (service_principal(secret()), "sp", ([], [])),
        (service_principal(certificate()), "sp", (["--cert"], ["--create-cert"])),
    ],
)
def test_facts(entity, kind, flags):
    (hit,) = hits(rule, entity)
    assert hit.facts["object"] == kind
    assert (hit.facts["cert"], hit.facts["new_credential"]) == flags
    assert ("thumbprint" in hit.facts) == (flags[0] != [])


@pytest.mark.parametrize(
    ("entity", "title"),
    [
        (application(secret_ends=[after(10)]), "Secret “deploy” of checkout ends on Thu 3 Dec 2026"),
        (
            application(secret(after(-1), name=""), name=""),
            f"Secret of {application().app_id} ended on Sun 22 Nov 2026",
        ),
        (application(certificate(None)), "Certificate “CN=deploy” of checkout never ends"),
        (service_principal(*saml()), "SAML certificate “CN=SAML” of checkout ends on Thu 3 Dec 2026"),
    ],
)
def test_titles(entity, title):
    (hit,) = hits(rule, entity)
    assert hit.title == title


def test_a_foreign_service_principal_is_watched_for_its_own_credentials():
    assert severities(service_principal(secret(), owner_tenant=OTHER_TENANT)) == [Severity.WARNING]
    assert severities(service_principal(secret(), owner_tenant=TENANT_ID)) == [Severity.WARNING]


@given(st.integers(-2_000, 2_000), st.integers(0, 3_000))
def test_the_name_of_a_finding_never_changes_with_time(end, passed):
    one = Credential(kind=CredentialKind.SECRET, key_id="k", end=after(end))
    early, late = hits(rule, application(one)), hits(rule, application(one), taken=NOW + days(passed))
    assert {hit.key for hit in (*early, *late)} <= {"k"}
