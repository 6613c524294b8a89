import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.credentials import expiry_fingerprint, held, matters, platform_managed, started, successor, thumbprint
from shared.findings import evaluate
from shared.model import Thresholds
from shared.rules import entra_credential_expiry
from tests.builders import (
    NOW,
    after,
    application,
    certificate,
    saml,
    secret,
    service_principal,
    snapshot,
)

SHA1 = "A13DDCC0B8C4F3E2D1A0998877665544332211FF"


@pytest.mark.parametrize(
    ("custom_id", "shown"),
    [
        pytest.param(SHA1, SHA1, id="a thumbprint in hex"),
        pytest.param(SHA1.lower(), SHA1, id="in small letters"),
        pytest.param("ab" * 32, "AB" * 32, id="of SHA-256"),
        pytest.param(base64.b64encode(bytes.fromhex(SHA1)).decode(), SHA1, id="its bytes in base64"),
        pytest.param(base64.b64encode(bytes(32)).decode(), "00" * 32, id="the bytes of SHA-256"),
        pytest.param("prod", "prod", id="base64 of something else"),
        pytest.param("my certificate!", "my certificate!", id="any text"),
        pytest.param(SHA1 + "\n", SHA1 + "\n", id="a thumbprint and a line break"),
        pytest.param("größe", "größe", id="a text outside ASCII"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_thumbprint(custom_id, shown):
    assert thumbprint(custom_id) == shown


def test_a_pair_is_one_and_keeps_the_name_of_either():
    (one,) = held([certificate(usage="Sign", number=1, name=""), certificate(usage="Verify", number=2)])
    assert (one.saml, one.credential.usage, one.credential.name) == (True, "Verify", "CN=deploy")


def test_a_pair_without_an_end_is_one():
    assert len(held(saml(None))) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(certificate(number=1), certificate(number=2, custom_id="B2" * 20), id="two thumbprints"),
        pytest.param(certificate(after(1), 1), certificate(after(2), 2), id="one custom id, two ends"),
        pytest.param(certificate(number=1, custom_id=""), certificate(number=2, custom_id=""), id="two key ids"),
        pytest.param(secret(custom_id="A1" * 20, end=after(2)), certificate(after(1)), id="another end than the twin"),
        pytest.param(secret(custom_id=""), certificate(custom_id=""), id="a secret and a certificate, unmarked"),
        pytest.param(secret(key_id="", custom_id=""), certificate(key_id="", custom_id=""), id="and without key ids"),
    ],
)
def test_two_are_two(first, second):
    assert len({one.key for one in held([first, second])}) == 2


@given(st.permutations([*saml(), secret(number=1), secret(number=2), certificate(number=3, custom_id="")]))
def test_the_order_of_a_listing_changes_nothing(credentials):
    def names(listed):
        return {(one.key, one.credential.key_id, one.saml) for one in held(listed)}

    assert names(credentials) == names(
        [*saml(), secret(number=1), secret(number=2), certificate(number=3, custom_id="")]
    )


@pytest.mark.parametrize(
    ("entity", "managed"),
    [
        (service_principal(type="ManagedIdentity"), True),
        (service_principal(owner_tenant="72F988BF-86F1-41AF-91AB-2D7CD011DB47"), True),
        (service_principal(), False),
        (application(), False),
    ],
)
def test_platform_managed(entity, managed):
    assert platform_managed(entity) is managed


@pytest.mark.parametrize(("start", "works"), [(None, True), (NOW, True), (after(0.001), False)])
def test_started(start, works):
    assert started(secret(start=start), NOW) is works


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (None, True),
        (after(60), True),
        (after(60.001), False),
        (after(-30), True),
        (after(-30.001), False),
        (NOW, True),
    ],
)
def test_matters(end, kept):
    assert matters(secret(end), NOW, Thresholds()) is kept


def test_a_credential_does_not_succeed_itself():
    (one,) = held([secret(after(500))])
    assert successor(one, [one], NOW, Thresholds()) is None


@given(st.lists(st.sampled_from([secret(number=1), secret(number=2, key_id=""), *saml(), certificate()]), unique=True))
def test_the_rule_names_its_findings_by_this_fingerprint(credentials):
    entity = service_principal(*credentials)
    found = {one.fingerprint for one in evaluate(snapshot(entity), [entra_credential_expiry]).findings}
    assert found == {expiry_fingerprint(entity, one) for one in held(credentials)}
