"""What every channel was told so far, and whether each further card may say what it says: the other half of the model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from simulator.teams import Post

from .world import CRITICAL, INFO, LEVELS, WARNING, Key, Problem, World

REPEAT = timedelta(days=7)
RIGHTS = (
    "aks_kubelet_cannot_pull",
    "aks_cluster_cannot_join_subnet",
    "aks_cluster_cannot_manage_node_group",
    "role_assignment_deleted",
)


class Wrong(AssertionError):
    """The app said, kept or left out something that it should not have."""


class Full(Exception):
    """A card could not show all that is wrong: more than this model follows; the story ends there, and is counted."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a card says of one finding."""

    title: str
    severity: str = ""
    why: str = ""
    text: str = ""

    @property
    def closing(self) -> bool:
        """Whether it says that the problem is over."""
        return not self.severity


@dataclass(kw_only=True)
class Told:
    """What a channel was last told of a problem."""

    severity: str
    tier: int | None
    end: datetime | None
    when: datetime
    shown: bool = True
    replaced: bool = False
    over: bool = False
    """Whether the finding has been closed since: then the channel is owed that."""


Row = Mapping[str, Any]


def key_of(row: Row) -> Key:
    """What a stored finding is about, in the model's words."""
    facts = json.loads(row["facts"])
    detail = {
        "entra_credential_expiry": facts.get("key_id", ""),
        "role_assignment_deleted": f"{facts.get('lost_role')}|{facts.get('lost_scope')}".lower(),
        "scan_scope_unreadable": f"{row['resource_id']} {facts.get('source', '')}",
    }.get(row["rule"], "")
    return row["rule"], row["resource_name"], detail


def lines(post: Post) -> Iterator[Line]:
    """What a card says, finding by finding; nothing for the weekly one."""
    whole = json.dumps(post.card, ensure_ascii=False)
    if "Weekly · tenant" in whole:
        return
    for item in post.card["body"]:
        if item.get("type") == "Container" and item.get("spacing") == "large":
            head = item["items"][0]["items"]
            severity, why, *_ = _text(head[1]).split(" · ")
            title = _text(head[0]["columns"][0]["items"][0])
            yield Line(title=title, severity=severity, why=why, text=json.dumps(item, ensure_ascii=False))
        elif item.get("type") == "RichTextBlock":
            text = _text(item)
            if text.startswith("✓ "):
                title, _, rest = text.removeprefix("✓ ").rpartition(": ")
                yield Line(title=title, why="replaced" if rest.startswith("replaced") else rest)
            elif text.startswith("…"):
                raise Full(text)


def _text(block: Mapping[str, Any]) -> str:
    return "".join(run.get("text", "") for run in block.get("inlines", ()))


@dataclass(kw_only=True)
class Ledger:
    """Everything the app showed: rows as they stand, and what each channel was told."""

    world: World
    rows: dict[Key, Row] = field(default_factory=dict)
    told: dict[tuple[str, Key], Told] = field(default_factory=dict)
    owed: int = 0
    """Cards that a channel may have got without the app's knowledge: so many may come twice."""
    refused: set[str] = field(default_factory=set)
    """Receivers whose last answer was a refusal for good."""
    ever_open: set[Key] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    named: list[tuple[str, Key, datetime]] = field(default_factory=list)
    """Which problem a channel was told of, and when."""

    def see(
        self,
        rows: Mapping[Key, Row],
        posts: Mapping[str, Collection[Post]],
        truth: Mapping[Key, Problem],
        now: datetime,
        *,
        sure: bool,
    ) -> None:
        """Take note of what is stored and was posted; raises Wrong for what may not be. `sure`: nothing was unread."""
        self._stored(rows, truth, sure=sure)
        before, self.rows = self.rows, dict(rows)
        for channel, some in posts.items():
            for post in some:
                again = False
                for line in lines(post):
                    self.log.append(f"{now:%m-%d %H:%M} {channel}: {line.severity or '✓'} {line.why}: {line.title}")
                    again |= self._line(channel, line, truth, before, now, sure=sure)
                if again:
                    self.owed -= 1
                    if self.owed < 0:
                        raise Wrong(f"{channel} was told twice: {self.log[-1]}")

    def _stored(self, rows: Mapping[Key, Row], truth: Mapping[Key, Problem], *, sure: bool) -> None:
        for key, row in rows.items():
            old = self.rows.get(key)
            was, is_open = old is not None and old["status"] == "open", row["status"] == "open"
            if is_open and not was:
                if key not in truth and not self._own(key):
                    raise Wrong(f"opened, and is no problem: {key}")
                for (_, other), told in list(self.told.items()):
                    if other == key and told.over:
                        del self.told[_, other]
            if was and not is_open:
                if key in truth:
                    raise Wrong(f"{row['status']}, and is still a problem: {key}")
                if (row["status"] == "aged-out") != self.world.aged(key) and key[0] == "entra_credential_expiry":
                    raise Wrong(f"{row['status']} is the wrong word: {key}")
                for (channel, other), told in list(self.told.items()):
                    if other == key:
                        told.over = True
                        if row["status"] == "aged-out" or not told.shown or told.replaced:
                            del self.told[channel, other]
        if sure:
            stand = {key: row for key, row in rows.items() if row["status"] == "open" and not self._own(key)}
            for key in truth.keys() | stand.keys():
                if key not in stand or key not in truth:
                    raise Wrong(f"{'open, and no problem' if key in stand else 'a problem, and not open'}: {key}")
                kept, real = stand[key], truth[key]
                if (kept["severity"], _moment(kept["expires_on"])) != (real.severity, real.end):
                    raise Wrong(f"{key} is kept as {kept['severity']} {kept['expires_on']}, and is {real}")

    def _own(self, key: Key) -> bool:
        """Whether a finding is about the app itself."""
        return key[0] in ("scan_scope_unreadable", "receiver_refused")

    def _line(
        self,
        channel: str,
        line: Line,
        truth: Mapping[Key, Problem],
        before: Mapping[Key, Row],
        now: datetime,
        *,
        sure: bool,
    ) -> bool:
        """Judge one line of a card; True if it only repeats what the channel knows."""
        named = [key for key, row in self.rows.items() if row["title"] == line.title]
        if not named:
            raise Wrong(f"a card tells of what is not kept: {line}")
        key = next((one for one in named if (self.rows[one]["status"] != "open") == line.closing), named[0])
        told = self.told.get((channel, key))
        if line.closing:
            return self._closing(channel, line, key, told, truth, sure=sure)
        row = self.rows[key]
        problem = truth.get(key)
        if problem is None:
            # What was true when somebody looked is told until somebody looks again; nobody is told of a loss before.
            looked = key[0] not in RIGHTS or not before.get(key, {}).get("pending", True)
            stale = key in before and before[key]["status"] == "open" and not sure and looked
            if not self._own(key) and not stale and "Not confirmed" not in line.text:
                raise Wrong(f"told, and is no problem: {line.severity} {line.why}: {line.title}")
            names = {f"f-{one}" for one in json.loads(row.get("includes") or "[]")}
            problem = Problem(
                severity=line.severity,
                end=_moment(row["expires_on"]),
                team=self._team(row),
                includes=frozenset(one for one, stored in self.rows.items() if stored.get("RowKey") in names),
            )
        if sure and not self._own(key) and line.severity != problem.severity:
            raise Wrong(f"told as {line.severity}, and is {problem.severity}: {line.title}")
        if self.world.silenced(key, now):
            raise Wrong(f"told, and is silenced: {line.title}")
        if LEVELS.index(line.severity) < LEVELS.index(WARNING):
            raise Wrong(f"told below the least severity: {line.title}")
        standing_in = channel == "fallback" and row["team"] and row["team"] in self.refused_now
        if sure and channel not in problem.receivers and not standing_in and not self._own(key):
            raise Wrong(f"told to {channel}: {line.title}")
        # What a card says is what the last scan saw.
        end = _moment(row["expires_on"])
        tier = replace(problem, end=end).tier(now)
        again = told is not None and not self._news(told, line.severity, tier, end, key, now)
        self.named.append((channel, key, now))
        self.told[channel, key] = Told(severity=line.severity, tier=tier, end=end, when=now)
        for inner in problem.includes & truth.keys():
            known = self.told.get((channel, inner))
            part = truth[inner]
            if inner not in self.rows or self.rows[inner]["status"] != "open":
                continue
            self.told[channel, inner] = Told(
                severity=self.rows[inner]["severity"],
                tier=part.tier(now),
                end=part.end,
                when=now,
                shown=known is not None and known.shown and not known.replaced,
            )
        return again

    refused_now: set[str] = field(default_factory=set)
    """The teams whose channel refused a card in this step: the fallback stands in."""

    def _team(self, row: Row) -> str:
        return {"TEAM0": "team0", "OPS": "ops"}.get(row["team"], "")

    def _news(self, told: Told, severity: str, tier: int | None, end: datetime | None, key: Key, now: datetime) -> bool:
        """Whether a channel that was told so may be told once more."""
        rested = now - told.when >= REPEAT
        unmuted = any(one.matches(key) and told.when + REPEAT <= one.until <= now for one in self.world.mutes)
        return (
            LEVELS.index(severity) > LEVELS.index(told.severity)
            or end != told.end
            or (tier is not None and (told.tier is None or tier < told.tier))
            or (rested and (severity == CRITICAL or not told.shown))
            or unmuted
            or told.replaced
            or told.over
        )

    def _closing(
        self, channel: str, line: Line, key: Key, told: Told | None, truth: Mapping[Key, Problem], *, sure: bool
    ) -> bool:
        if told is None:
            if self.owed:
                # The card before it was taken, and nobody knew; or this one was.
                return True
            raise Wrong(f"{channel} never knew of what is {line.why}: {line.title}")
        if not told.shown:
            raise Wrong(f"{channel} was never shown what is {line.why}: {line.title}")
        if line.why == "replaced":
            # What a card says is what the last scan saw.
            if sure and key in truth and truth[key].severity != INFO:
                raise Wrong(f"called replaced, and is not: {line.title}")
            again, told.replaced = told.replaced, True
            return again
        if not told.over:
            raise Wrong(f"called {line.why}, and is kept as open: {line.title}")
        del self.told[channel, key]
        return False

    def complete(self, truth: Mapping[Key, Problem], now: datetime) -> None:
        """Raises Wrong if somebody should know of something by now, and does not."""
        hidden: dict[str, set[Key]] = {}
        for one in truth.values():
            for channel in one.receivers:
                hidden.setdefault(channel, set()).update(one.includes)
        for key, one in truth.items():
            if one.severity == INFO:
                for (channel, other), told in self.told.items():
                    knows = other == key and told.shown and told.severity != INFO and key not in hidden.get(channel, ())
                    if knows and one.replaced and not told.replaced:
                        raise Wrong(f"{channel} was not told that it is replaced: {key}")
                continue
            for channel in one.receivers:
                if key in hidden.get(channel, ()) or any(
                    self.world.silenced(key, one) for one in (now, self.world.now)
                ):
                    continue
                told = self.told.get((channel, key))
                tier = one.tier(now)
                if told is None or told.replaced:
                    raise Wrong(f"{channel} was not told: {key} {one}")
                if LEVELS.index(told.severity) < LEVELS.index(one.severity):
                    raise Wrong(f"{channel} was not told that it is worse: {key}")
                if tier is not None and (told.end != one.end or (told.tier is not None and told.tier > tier)):
                    raise Wrong(f"{channel} was not told of tier {tier} ({told}): {key}")
                if one.severity == CRITICAL and now - told.when >= REPEAT and told.shown:
                    raise Wrong(f"{channel} was not reminded: {key}")
        for (channel, key), told in self.told.items():
            if told.over and told.shown and not told.replaced:
                raise Wrong(f"{channel} was not told that it is over: {key}")


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
