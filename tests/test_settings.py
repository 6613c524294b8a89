import json
from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alerts import Policy
from shared.model import Severity, Thresholds
from shared.owners import Route
from shared.settings import CLOUDS, SCHEDULES, Secret, Settings, SettingsError, schedule, webhook_problem

SIGNED = (
    "https://prod-12.westeurope.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cr3t-s1gnature"
)
KEY = "AccountName=x;AccountKey=c2VjcmV0LWtleQ=="
UNRESOLVED = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/x)"
ID = "11111111-1111-4111-8111-111111111111"
APP = f"/subscriptions/{ID}/resourceGroups/rg-fusewatch/providers/Microsoft.Web/sites/func-fusewatch"


def read(**env):
    return Settings.from_env(env)


def problems(**env):
    with pytest.raises(SettingsError) as caught:
        read(**env)
    return caught.value.problems


def test_the_defaults():
    assert read() == Settings()
    defaults = {one.name: getattr(Settings(), one.name) for one in fields(Settings)}
    assert defaults == {
        "client_id": "",
        "cloud": CLOUDS["AzureCloud"],
        "arm_endpoint": "https://management.azure.com",
        "graph_endpoint": "https://graph.microsoft.com",
        "subscriptions": (),
        "tables_endpoint": "",
        "storage": Secret(""),
        "receivers": {},
        "routes": (),
        "owner_tag": "owner",
        "team_tag": "team",
        "topic_endpoint": "",
        "thresholds": Thresholds(notice_days=(60, 30, 14, 7, 3, 1), grace=timedelta(minutes=5)),
        "policy": Policy(notice_days=(60, 30, 14, 7, 3, 1), min_severity=Severity.WARNING, repeat=timedelta(days=7)),
        "retention": timedelta(days=180),
        "function_app_id": "",
        "warnings": (),
    }


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_value_means_the_default(blank):
    names = ["AZURE_CLIENT_ID", "AZURE_CLOUD", "ARM_ENDPOINT", "SUBSCRIPTIONS", "NOTICE_DAYS", "MIN_SEVERITY"]
    names += ["GRACE_MINUTES", "REPEAT_DAYS", "ROUTES", "SCAN_SCHEDULE", "TEAMS_WEBHOOK_URL", "OWNER_TAG"]
    assert read(**dict.fromkeys(names, blank)) == Settings()


@pytest.mark.parametrize(
    ("env", "name", "value"),
    [
        ({"AZURE_CLIENT_ID": " abc "}, "client_id", "abc"),
        ({"AZURE_CLOUD": "AzureChinaCloud"}, "cloud", CLOUDS["AzureChinaCloud"]),
        ({"AZURE_CLOUD": "AzureUSGovernment"}, "arm_endpoint", "https://management.usgovcloudapi.net"),
        ({"AZURE_CLOUD": "AzureUSGovernment"}, "graph_endpoint", "https://graph.microsoft.us"),
        ({"ARM_ENDPOINT": "http://127.0.0.1:8443/"}, "arm_endpoint", "http://127.0.0.1:8443"),
        ({"GRAPH_ENDPOINT": "http://[::1]:8443"}, "graph_endpoint", "http://[::1]:8443"),
        (
            {"TABLES_ENDPOINT": "https://x.table.core.windows.net/"},
            "tables_endpoint",
            "https://x.table.core.windows.net",
        ),
        ({"TOPIC_ENDPOINT": "https://t.example/api/events"}, "topic_endpoint", "https://t.example/api/events"),
        ({"AzureWebJobsStorage": KEY}, "storage", Secret(KEY)),
        ({"SUBSCRIPTIONS": f" {ID} , ,{ID.upper()}"}, "subscriptions", (ID,)),
        ({"OWNER_TAG": "contact"}, "owner_tag", "contact"),
        ({"TEAM_TAG": "squad"}, "team_tag", "squad"),
        ({"NOTICE_DAYS": "7, 30,7"}, "thresholds", Thresholds(notice_days=(30, 7))),
        ({"NOTICE_DAYS": "1"}, "policy", Policy(notice_days=(1,))),
        ({"NOTICE_DAYS": "730"}, "thresholds", Thresholds(notice_days=(730,))),
        ({"MIN_SEVERITY": "Info"}, "policy", Policy(min_severity=Severity.INFO)),
        ({"REPEAT_DAYS": "1"}, "policy", Policy(repeat=timedelta(days=1))),
        ({"REPEAT_DAYS": "365"}, "policy", Policy(repeat=timedelta(days=365))),
        ({"GRACE_MINUTES": "0"}, "thresholds", Thresholds(grace=timedelta(0))),
        ({"GRACE_MINUTES": "60"}, "thresholds", Thresholds(grace=timedelta(hours=1))),
        ({"RETENTION_DAYS": "31"}, "retention", timedelta(days=31)),
        ({"FUNCTION_APP_ID": f" {APP} "}, "function_app_id", APP),
        ({"FUNCTION_APP_ID": f"{APP}/"}, "function_app_id", APP),
        ({"FUNCTION_APP_ID": APP.upper()}, "function_app_id", APP.upper()),
        ({"ROUTES": '[{"team": "web", "tag": "env=prod"}]'}, "routes", (Route(team="web", tag="env=prod"),)),
        ({"ROUTES": '{"team": "web", "app_id": "x"}'}, "routes", (Route(team="web", app_id="x"),)),
        ({"ROUTES": "[]"}, "routes", ()),
    ],
)
def test_a_value(env, name, value):
    assert getattr(read(**env), name) == value


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AZURE_CLOUD", "AzureGermanCloud", "give one of AzureCloud, AzureUSGovernment, AzureChinaCloud"),
        ("ARM_ENDPOINT", "http://management.azure.com", "not an https:// address"),
        ("ARM_ENDPOINT", "management.azure.com", "not an https:// address"),
        ("GRAPH_ENDPOINT", "https://user:password@graph.example", "not an https:// address"),
        ("GRAPH_ENDPOINT", "https://", "not an https:// address"),
        ("GRAPH_ENDPOINT", "https://x:port", "not an address"),
        ("GRAPH_ENDPOINT", "https://[::1", "not an address"),
        ("TABLES_ENDPOINT", "https://x.table.core.windows.net/?sv=1&sig=x", "it has a query or a fragment"),
        ("TOPIC_ENDPOINT", "https://t.example/#x", "it has a query or a fragment"),
        ("SUBSCRIPTIONS", f"{ID} {ID}", "entry 1 is no subscription id"),
        ("SUBSCRIPTIONS", f"{ID},prod", "entry 2 is no subscription id"),
        ("FUNCTION_APP_ID", "fusewatch", "give the app's resource id"),
        ("FUNCTION_APP_ID", f"{APP}/functions/settle", "give the app's resource id"),
        ("FUNCTION_APP_ID", APP.replace("sites", "serverFarms"), "give the app's resource id"),
        ("FUNCTION_APP_ID", APP.replace(ID, "prod"), "give the app's resource id"),
        ("NOTICE_DAYS", "60,,30", "give days from 1 to 730"),
        ("NOTICE_DAYS", "60,x", "give days from 1 to 730"),
        ("NOTICE_DAYS", "0", "give days from 1 to 730"),
        ("NOTICE_DAYS", "731", "give days from 1 to 730"),
        ("NOTICE_DAYS", "9" * 5000, "give days from 1 to 730"),
        ("MIN_SEVERITY", "high", "give info, warning or critical"),
        ("REPEAT_DAYS", "0", "give a whole number from 1 to 365"),
        ("REPEAT_DAYS", "-1", "give a whole number from 1 to 365"),
        ("REPEAT_DAYS", "1.5", "give a whole number from 1 to 365"),
        ("REPEAT_DAYS", "٣", "give a whole number from 1 to 365"),
        ("REPEAT_DAYS", "9" * 5000, "give a whole number from 1 to 365"),
        ("GRACE_MINUTES", "61", "give a whole number from 0 to 60"),
        ("RETENTION_DAYS", "30", "give a whole number from 31 to 3650"),
        ("ROUTES", "web", "not JSON"),
        ("ROUTES", "null", "entry 1 is no object of texts"),
        ("ROUTES", '[{"team": 1}]', "entry 1 is no object of texts"),
        ("ROUTES", '[{"team": "a", "owner": "b"}, "c"]', "entry 2 is no object of texts"),
        ("ROUTES", '[{"team": "a", "nmae": "b"}]', "entry 1 has unknown keys"),
        ("ROUTES", '[{"team": "a"}]', "entry 1 needs a team and at least one thing to match"),
        ("ROUTES", '[{"team": "a", "owner": ""}]', "entry 1 needs a team and at least one thing to match"),
        ("ROUTES", '[{"owner": "a"}]', "entry 1 needs a team and at least one thing to match"),
        ("ROUTES", '[{"team": "", "owner": "a"}]', "entry 1 needs a team and at least one thing to match"),
        ("ROUTES", '[{"team": "a", "tag": "env"}]', "entry 1 needs its tag as name=value"),
        ("ROUTES", '[{"team": "a", "tag": "env= "}]', "entry 1 needs its tag as name=value"),
        ("AZURE_CLIENT_ID", UNRESOLVED, "its Key Vault reference is not resolved"),
        ("AzureWebJobsStorage", UNRESOLVED, "its Key Vault reference is not resolved"),
    ],
)
def test_a_wrong_value_is_named(name, value, problem):
    (text,) = problems(**{name: value})
    assert text.startswith(f"{name}: {problem}")


def test_every_wrong_value_is_named_at_once():
    names = ["AZURE_CLOUD", "SUBSCRIPTIONS", "NOTICE_DAYS", "REPEAT_DAYS", "ROUTES", "MIN_SEVERITY", "ARM_ENDPOINT"]
    found = problems(**dict.fromkeys(names, "x"))
    assert sorted(text.split(":")[0] for text in found) == sorted(names)


def test_receivers():
    settings = read(TEAMS_WEBHOOK_URL=f" {SIGNED} ", TEAMS_WEBHOOK_URL_Web_Shop=SIGNED, TEAMS_WEBHOOK_URL_NONE=" ")
    assert settings.teams == {"WEB_SHOP"}
    assert {name: (one.name, one.url.reveal(), one.problem) for name, one in settings.receivers.items()} == {
        "": ("TEAMS_WEBHOOK_URL", SIGNED, ""),
        "WEB_SHOP": ("TEAMS_WEBHOOK_URL_Web_Shop", SIGNED, ""),
    }
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (SIGNED, ""),
        ("http://127.0.0.1:9/hook", ""),
        ("http://teams.example/hook", "not an https:// address"),
        ("hook", "not an https:// address"),
        (SIGNED.replace("sig=", "sig= "), "it holds a space or a line break"),
        (SIGNED + "\nX", "it holds a space or a line break"),
        ("https://contoso.webhook.office.com/webhookb2/x", "Office 365 connectors are retired"),
        ("https://WEBHOOK.office.com/x", "Office 365 connectors are retired"),
        ("https://outlook.office.com/webhook/x", "Office 365 connectors are retired"),
        ("https://outlook.office365.com/webhook/x", "Office 365 connectors are retired"),
        ("https://webhook.office.com.example/x", ""),
        (UNRESOLVED, "its Key Vault reference is not resolved"),
    ],
)
def test_a_bad_receiver_stops_only_its_own_delivery(url, problem):
    assert webhook_problem(url).startswith(problem) and bool(webhook_problem(url)) == bool(problem)
    settings = read(TEAMS_WEBHOOK_URL=SIGNED, TEAMS_WEBHOOK_URL_WEB=url)
    assert settings.receivers["WEB"].problem.startswith(problem)
    assert [text.split(":")[0] for text in settings.warnings] == (["TEAMS_WEBHOOK_URL_WEB"] if problem else [])
    assert settings.receivers[""].problem == ""


def test_a_receiver_without_a_team_does_not_replace_the_fallback():
    settings = read(TEAMS_WEBHOOK_URL=SIGNED, TEAMS_WEBHOOK_URL_="https://elsewhere.example/")
    assert settings.receivers[""].url.reveal() == SIGNED
    assert settings.warnings == ("TEAMS_WEBHOOK_URL_: it names no team; the fallback is TEAMS_WEBHOOK_URL",)


SECRETS = (SIGNED, KEY, "s3cr3t-s1gnature", "c2VjcmV0LWtleQ==")


def test_no_secret_in_a_repr():
    settings = read(TEAMS_WEBHOOK_URL=SIGNED, AzureWebJobsStorage=KEY, TEAMS_WEBHOOK_URL_WEB=SIGNED + "\n\n x")
    for text in (repr(settings), str(settings), f"{settings.storage} {settings.receivers}", str(settings.warnings)):
        assert not [secret for secret in SECRETS if secret in text]
    assert repr(settings.storage) == "Secret(***)"


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_CLOUD",
        "ARM_ENDPOINT",
        "TABLES_ENDPOINT",
        "SUBSCRIPTIONS",
        "NOTICE_DAYS",
        "MIN_SEVERITY",
        "REPEAT_DAYS",
        "ROUTES",
    ],
)
@pytest.mark.parametrize("secret", [SIGNED, KEY])
def test_a_secret_in_the_wrong_place_is_not_repeated(name, secret):
    with pytest.raises(SettingsError) as caught:
        read(**{name: secret, "AzureWebJobsStorage": KEY})
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not [one for one in SECRETS if one in "".join(map(repr, chain)) + str(caught.value)]


def test_a_secret_among_the_keys_of_a_route_is_not_repeated():
    assert SIGNED not in str(problems(ROUTES=json.dumps([{"team": "a", SIGNED: "x"}])))


def test_secrets_compare_by_value():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "0 0 */6 * * *",
        "0 30 4 * * Mon-Fri",
        "0 0 0 1 jan,JULY *",
        "0,30 0-15/5 1/2 1-31 1-12 0-6",
        "  0  0  1  *  *  *  ",
        "59 59 23 31 12 6",
        "0 0 0 * decem sunday",
    ],
)
def test_a_schedule(text):
    env = {"SCAN_SCHEDULE": text}
    assert schedule(env, "SCAN_SCHEDULE") == text.strip()
    assert read(**env).warnings == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 */6 * * *", "it has 5 fields, not six (seconds first)"),
        ("every day", "it has 2 fields, not six (seconds first)"),
        ("%SCAN%", "it has 1 fields, not six (seconds first)"),
        ("60 0 0 * * *", "field 1 is outside 0-59"),
        ("0 60 0 * * *", "field 2 is outside 0-59"),
        ("0 0 24 * * *", "field 3 is outside 0-23"),
        ("0 0 0 0 * *", "field 4 is outside 1-31"),
        ("0 0 0 * 13 *", "field 5 is outside 1-12"),
        ("0 0 0 * * 7", "field 6 is outside 0-6"),
        ("0 0 0 * * monfri", "field 6 is outside 0-6"),
        ("0 0 0 * ja *", "field 5 is outside 1-12"),
        ("0 0 0 mon * *", "field 4 is outside 1-31"),
        ("0 30-10 0 * * *", "field 2 is outside 0-59"),
        ("0 */0 0 * * *", "field 2 is not understood"),
        ("0 */00 0 * * *", "field 2 is not understood"),
        ("0 1,,2 0 * * *", "field 2 is not understood"),
        ("0 ? 0 * * *", "field 2 is not understood"),
        ("0 -1 0 * * *", "field 2 is not understood"),
        (f"0 {'9' * 5000} 0 * * *", "field 2 is not understood"),
    ],
)
def test_a_wrong_schedule_never_reaches_the_host(text, problem):
    for name, default in SCHEDULES.items():
        env = {name: text}
        assert schedule(env, name) == default
        assert read(**env).warnings == (f"{name}: {problem}; the default {default!r} is used",)


def test_a_schedule_that_is_not_set():
    assert schedule({}, "SETTLE_SCHEDULE") == "0 * * * * *"


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "AZURE_CLOUD",
                "SUBSCRIPTIONS",
                "NOTICE_DAYS",
                "MIN_SEVERITY",
                "GRACE_MINUTES",
                "ROUTES",
                "ARM_ENDPOINT",
                "SCAN_SCHEDULE",
                "TEAMS_WEBHOOK_URL",
                "TEAMS_WEBHOOK_URL_X",
            ]
        ),
        st.text(),
    )
)
def test_any_environment_gives_settings_or_one_error(env):
    schedule(env, "SCAN_SCHEDULE")
    try:
        Settings.from_env(env)
    except SettingsError as error:
        assert error.problems
