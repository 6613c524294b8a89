"""Settings from the environment: every default, and one error that names all that is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from urllib.parse import urlsplit

from .alerts import FALLBACK, Policy
from .model import Severity, Thresholds
from .owners import Route, team_key


class SettingsError(ValueError):
    """What is wrong with the settings, one line each; the text holds no value that may be a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("wrong settings:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = tuple(problems)


class Secret:
    """A value that must not be seen: its text shows only where reveal() is called."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A Teams channel's webhook; a wrong one stops only its own delivery, so its problem is kept, not raised."""

    name: str
    url: Secret
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """The endpoints of an Azure cloud. Source: https://learn.microsoft.com/graph/deployments."""

    arm: str
    graph: str
    portal: str


CLOUDS = {
    "AzureCloud": Cloud(
        arm="https://management.azure.com", graph="https://graph.microsoft.com", portal="https://portal.azure.com"
    ),
    "AzureUSGovernment": Cloud(
        arm="https://management.usgovcloudapi.net", graph="https://graph.microsoft.us", portal="https://portal.azure.us"
    ),
    "AzureChinaCloud": Cloud(
        arm="https://management.chinacloudapi.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        portal="https://portal.azure.cn",
    ),
}

SCHEDULES = {"SCAN_SCHEDULE": "0 0 */6 * * *", "SETTLE_SCHEDULE": "0 * * * * *"}
"""NCRONTAB, six fields, seconds first, UTC."""

_UNRESOLVED = "@Microsoft.KeyVault("
_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GUID = re.compile(rf"{_ID}\Z", re.IGNORECASE)
_APP = re.compile(
    rf"/subscriptions/{_ID}/resourceGroups/[^/\s]+/providers/Microsoft\.Web/sites/[^/\s]+\Z",
    re.IGNORECASE,
)
_TEAM = "TEAMS_WEBHOOK_URL_"
_CONNECTORS = ("outlook.office.com", "outlook.office365.com", "webhook.office.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked; docs: the table in README.md."""

    client_id: str = ""
    cloud: Cloud = CLOUDS["AzureCloud"]
    arm_endpoint: str = CLOUDS["AzureCloud"].arm
    graph_endpoint: str = CLOUDS["AzureCloud"].graph
    subscriptions: tuple[str, ...] = ()
    tables_endpoint: str = ""
    storage: Secret = field(default_factory=lambda: Secret(""))
    """The connection string used without a tables endpoint."""
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    owner_tag: str = "owner"
    team_tag: str = "team"
    topic_endpoint: str = ""
    thresholds: Thresholds = Thresholds()
    policy: Policy = Policy()
    retention: timedelta = timedelta(days=180)
    function_app_id: str = ""
    warnings: tuple[str, ...] = ()
    """What is wrong but stops nothing: a schedule or a receiver."""

    @property
    def teams(self) -> frozenset[str]:
        """The teams with a receiver of their own."""
        return frozenset(name for name in self.receivers if name != FALLBACK)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in an environment; raises SettingsError naming every wrong one."""
        return _Reader(env).settings()


def schedule(env: Mapping[str, str], name: str) -> str:
    """The value of a schedule setting, or its default when it is no valid NCRONTAB.

    A wrong schedule kills that timer while the host says it is running, so it never reaches the decorator.
    """
    value = env.get(name, "").strip()
    return value if value and not _schedule_problem(value) else SCHEDULES[name]


_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES: dict[int, tuple[str, ...]] = {
    5: (
        *("january", "february", "march", "april", "may", "june"),
        *("july", "august", "september", "october", "november", "december"),
    ),
    6: ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"),
}
"""The words that the fifth and sixth field may hold."""

_PART = re.compile(r"(?:\*|(\w{1,9})(?:-(\w{1,9}))?)(?:/(\d{1,9}))?\Z", re.ASCII)


def _schedule_problem(text: str) -> str:
    """What is wrong with an NCRONTAB expression. Source: https://github.com/atifaziz/NCrontab."""
    parts = text.split()
    if len(parts) != 6:
        return f"it has {len(parts)} fields, not six (seconds first)"
    for number, (part, (low, high)) in enumerate(zip(parts, _RANGES, strict=True), 1):
        for item in part.split(","):
            match = _PART.match(item)
            if not match or (match[3] and int(match[3]) == 0):
                return f"field {number} is not understood"
            values = [_value(word, low, _NAMES.get(number, ())) for word in match.groups()[:2] if word]
            if any(not low <= value <= high for value in values) or values != sorted(values):
                return f"field {number} is outside {low}-{high}"
    return ""


def _value(word: str, low: int, names: tuple[str, ...]) -> int:
    """The number of a word of a schedule, -1 for none; a name may be cut to three letters or more."""
    if word.isdecimal():
        return int(word)
    known = (number for number, name in enumerate(names, low) if len(word) > 2 and name.startswith(word.lower()))
    return next(known, -1)


class _Reader:
    """Reads one environment and gathers every problem before it says any."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def settings(self) -> Settings:
        default = Settings()
        cloud = self._cloud()
        notice_days = self._notice_days(default.thresholds.notice_days)
        for name, preset in SCHEDULES.items():
            value = self._text(name)
            problem = _schedule_problem(value) if value else ""
            if problem:
                self.warnings.append(f"{name}: {problem}; the default {preset!r} is used")
        receivers = self._receivers()
        grace = timedelta(
            minutes=self._number("GRACE_MINUTES", default.thresholds.grace // timedelta(minutes=1), 0, 60)
        )
        found = Settings(
            client_id=self._text("AZURE_CLIENT_ID"),
            cloud=cloud,
            arm_endpoint=self._endpoint("ARM_ENDPOINT", cloud.arm),
            graph_endpoint=self._endpoint("GRAPH_ENDPOINT", cloud.graph),
            subscriptions=self._subscriptions(),
            tables_endpoint=self._endpoint("TABLES_ENDPOINT", ""),
            storage=Secret(self._text("AzureWebJobsStorage")),
            receivers=receivers,
            routes=self._routes(),
            owner_tag=self._text("OWNER_TAG") or default.owner_tag,
            team_tag=self._text("TEAM_TAG") or default.team_tag,
            topic_endpoint=self._endpoint("TOPIC_ENDPOINT", ""),
            thresholds=Thresholds(notice_days=notice_days, grace=grace),
            policy=Policy(
                notice_days=notice_days,
                min_severity=self._severity(default.policy.min_severity),
                repeat=timedelta(days=self._number("REPEAT_DAYS", default.policy.repeat.days, 1, 365)),
            ),
            retention=timedelta(days=self._number("RETENTION_DAYS", default.retention.days, 31, 3650)),
            function_app_id=self._function_app_id(),
            warnings=tuple(self.warnings),
        )
        if self.problems:
            raise SettingsError(self.problems)
        return found

    def _text(self, name: str) -> str:
        value = self.env.get(name, "").strip()
        if value.startswith(_UNRESOLVED):
            self.problems.append(
                f"{name}: its Key Vault reference is not resolved; check that the app's identity may read the secret "
                "(Key Vault Secrets User) and that the secret exists"
            )
            return ""
        return value

    def _cloud(self) -> Cloud:
        name = self._text("AZURE_CLOUD") or "AzureCloud"
        if name not in CLOUDS:
            self.problems.append(f"AZURE_CLOUD: give one of {', '.join(CLOUDS)}")
        return CLOUDS.get(name, CLOUDS["AzureCloud"])

    def _endpoint(self, name: str, default: str) -> str:
        value = (self._text(name) or default).rstrip("/")
        problem = _url_problem(value) if value else ""
        if not problem and ("?" in value or "#" in value):
            problem = "it has a query or a fragment; nothing here signs in with a key in an address"
        if problem:
            self.problems.append(f"{name}: {problem}")
        return value

    def _subscriptions(self) -> tuple[str, ...]:
        wanted = [part.strip().lower() for part in self._text("SUBSCRIPTIONS").split(",") if part.strip()]
        wrong = [number for number, part in enumerate(wanted, 1) if not _GUID.match(part)]
        if wrong:
            self.problems.append(
                f"SUBSCRIPTIONS: entry {wrong[0]} is no subscription id (a GUID); separate them by commas"
            )
        return tuple(dict.fromkeys(wanted))

    def _function_app_id(self) -> str:
        value = self._text("FUNCTION_APP_ID").rstrip("/")
        if value and not _APP.match(value):
            # Compared with the targets of event subscriptions: a wrong one would report every subscription.
            self.problems.append(
                "FUNCTION_APP_ID: give the app's resource id, "
                "/subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Web/sites/NAME"
            )
        return value

    def _notice_days(self, default: tuple[int, ...]) -> tuple[int, ...]:
        text = self._text("NOTICE_DAYS")
        try:
            days = {int(part) for part in text.split(",")} if text else {*default}
        except ValueError:
            days = set()
        if not days or min(days) < 1 or max(days) > 730:
            self.problems.append("NOTICE_DAYS: give days from 1 to 730, separated by commas, such as 60,30,14,7,3,1")
            return default
        return tuple(sorted(days, reverse=True))

    def _severity(self, default: Severity) -> Severity:
        text = self._text("MIN_SEVERITY")
        try:
            return Severity.parse(text) if text else default
        except ValueError:
            self.problems.append("MIN_SEVERITY: give info, warning or critical")
            return default

    def _number(self, name: str, default: int, low: int, high: int) -> int:
        text = self._text(name)
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            self.problems.append(f"{name}: give a whole number from {low} to {high}")
            return default
        return int(text)

    def _receivers(self) -> dict[str, Receiver]:
        found = {}
        for name, value in self.env.items():
            if name != "TEAMS_WEBHOOK_URL" and not name.startswith(_TEAM):
                continue
            url = value.strip()
            team = team_key(name[len(_TEAM) :]) if name != "TEAMS_WEBHOOK_URL" else FALLBACK
            if name == _TEAM:
                self.warnings.append(f"{name}: it names no team; the fallback is TEAMS_WEBHOOK_URL")
            elif url:
                problem = webhook_problem(url)
                found[team] = Receiver(name=name, url=Secret(url), problem=problem)
                if problem:
                    self.warnings.append(f"{name}: {problem}")
        return found

    def _routes(self) -> tuple[Route, ...]:
        text = self._text("ROUTES")
        if not text:
            return ()
        allowed = {one.name for one in fields(Route)}
        try:
            entries = json.loads(text)
        except ValueError as error:
            self.problems.append(f"ROUTES: not JSON: {error}")
            return ()
        routes = []
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
            if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
                self.problems.append(f"ROUTES: entry {number} is no object of texts")
            elif entry.keys() - allowed:
                self.problems.append(f"ROUTES: entry {number} has unknown keys; known are {', '.join(sorted(allowed))}")
            elif not team_key(entry.get("team", "")) or not any(entry[name] for name in entry.keys() - {"team"}):
                self.problems.append(f"ROUTES: entry {number} needs a team and at least one thing to match")
            elif entry.get("tag") and not all(part.strip() for part in entry["tag"].partition("=")):
                self.problems.append(f"ROUTES: entry {number} needs its tag as name=value")
            else:
                routes.append(Route(**entry))
        return tuple(routes)


def _url_problem(url: str) -> str:
    """What is wrong with an endpoint's address; https, loopback aside."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "not an address"
    if parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost"):
        return ""
    if parts.scheme != "https" or not host or parts.username is not None:
        return "not an https:// address"
    return ""


def webhook_problem(url: str) -> str:
    """What is wrong with a webhook's address, without repeating it: the address is a secret."""
    if url.startswith(_UNRESOLVED):
        return (
            "its Key Vault reference is not resolved; check that the app's identity may read the secret "
            "(Key Vault Secrets User) and that the secret exists"
        )
    problem = _url_problem(url)
    if problem or any(letter.isspace() for letter in url):
        return problem or "it holds a space or a line break"
    host = urlsplit(url).hostname or ""
    if host in _CONNECTORS or host.endswith(".webhook.office.com"):
        return (
            "Office 365 connectors are retired: make a Workflow from the template “Send webhook alerts to a channel” "
            "in Teams and set its address here"
        )
    return ""
