"""60 days of a tenant that changes, with everything going wrong that can: one seed, one story."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from shared import app
from shared.app import Clients
from shared.clients import http
from shared.clients.http import Patience, ReadError
from shared.clients.storage import StorageError
from shared.clients.teams import Teams
from shared.settings import Secret, Settings
from shared.silences import silence
from simulator import Fault, Simulator
from simulator.azurite import Azurite
from simulator.events import event

from .ledger import Ledger, Wrong, key_of
from .world import Key, Mute, Problem, World

DAYS = 60
CALM = Patience(attempts=3, connect=10, read=20, backoff=0.005, longest_wait=0.05, total=40)
HASTY = Patience(attempts=2, connect=5, read=0.4, backoff=0.005, longest_wait=0.05, total=1.2)
"""For what never answers, or asks to wait for an hour: a loaded machine may be too slow for it as well."""
POSTING = Patience(attempts=3, read=20, backoff=0.001, longest_wait=0.01, total=40)
POSTING_HASTY = replace(POSTING, read=0.6)

READS = (
    ("graph", "/v1.0/applications"),
    ("graph", "/v1.0/servicePrincipals"),
    ("graph", r"/\$batch"),
    ("arm", r"^/subscriptions\?"),
    ("arm", "managedClusters"),
    ("arm", "roleAssignments"),
    ("arm", "roleDefinitions"),
    ("arm", "registries"),
    ("arm", "userAssignedIdentities"),
    ("arm", "resourcegroups"),
    ("arm", "eventtypes"),
)
READING: tuple[dict[str, Any], ...] = (
    {"latency": 0.03},
    {"status": 429},
    {"status": 429, "retry_after": 3600},
    {"status": 500},
    {"status": 503},
    {"status": 403},
    {"reset": "before"},
    {"reset": "during"},
    {"reset": "after"},
    {"cut": True},
    {"slow": 0.05},
    {"hang": True},
    {"html": True},
    {"body": b"{}"},
    {"body": b'{"value": 5}'},
)
LOOKING: tuple[dict[str, Any], ...] = (
    {"path": "roleAssignments", "status": 503},
    {"path": "roleAssignments", "status": 429},
    {"path": "roleAssignments", "reset": "before"},
    {"path": "roleAssignments", "status": 500, "times": 1},
    {"path": "managedClusters", "status": 503},
    {"path": "eventtypes", "status": 500},
    {"path": "", "html": True},
)
"""What may go wrong at ARM while settle looks at what events tell."""
POSTINGS: tuple[dict[str, Any], ...] = (
    {"status": 429, "retry_after": 1},
    {"status": 500},
    {"status": 410},
    {"hang": True},
    {"reset": "before"},
    {"reset": "after", "times": 1},
)


@dataclass(kw_only=True)
class Story:
    """One seed's run: the world, the app in front of it, and the ledger that judges."""

    world: World
    azure: Simulator
    azurite: Azurite
    settings: Settings
    ledger: Ledger
    said: list[str]
    _posted: dict[str, int]
    _asked: int = 0
    away: bool = False
    """Whether storage may be away."""
    unsure: bool = False
    """Whether something was left unread since the last complete scan."""

    def note(self, text: str) -> None:
        self.said.append(f"{self.world.now:%m-%d %H:%M} {text}")

    @asynccontextmanager
    async def clients(self, patience: Patience = CALM, posting: Patience = POSTING) -> AsyncIterator[Clients]:
        """The app's clients, with waits that suit a simulated world."""
        # What a client was too impatient for may have been done all the same.
        self.ledger.owed += patience is HASTY or posting is POSTING_HASTY
        async with http.session(patience) as pool, app.connect(self.settings, patience=patience) as clients:
            yield replace(clients, teams=Teams(pool, posting, interval=0))

    async def run(self) -> None:
        """All of it; raises Wrong."""
        world, chance = self.world, self.world.chance
        end = world.now + timedelta(days=DAYS)
        missed = chance.choice((None, None, None, 2, 5))
        number = 0
        async with self.clients() as calm:
            await self.scan(calm)
            while world.now < end:
                number += 1
                gap = timedelta(days=chance.choice((0.25, 2, 4, 7, 9, 11)), minutes=chance.randint(0, 60))
                self.go(timedelta(days=30) if number == missed else gap)
                for _ in range(chance.randint(0, 3)):
                    await self.change(calm)
                if chance.random() < 0.25 and not self.unsure:
                    await self.by_event(calm)
                if world.now < end and chance.random() < 0.45:
                    await self.trouble()
                else:
                    await self.scan(calm)
            # Whatever it was, two quiet days put everything right.
            for _ in range(2):
                self.go(timedelta(days=1))
                await self.scan(calm)

    def go(self, time: timedelta) -> None:
        self.world.now += time
        self.azure.now = self.world.now

    async def change(self, clients: Clients) -> None:
        """Something happens in the tenant, or somebody silences something."""
        world, what = self.world, self.world.change()
        self.note(what)
        assert clients.tables
        tenant_id = world.tenant.id
        if what == "mute":
            since, until = world.now, world.now + timedelta(days=world.chance.choice((1, 5, 20)), seconds=1)
            key = world.chance.choice(sorted(self.ledger.rows) or [("", "", "")])
            kind = world.chance.choice(("rule", "fingerprint", "prefix"))
            clusters = {one.name: one for one in world.tenant.clusters}
            if kind == "rule" or key not in self.ledger.rows or (kind == "prefix" and key[1] not in clusters):
                rule = world.chance.choice(("aks_service_principal_expiry", "aks_kubelet_cannot_pull"))
                one, mute = silence(since=since, until=until, by="a", comment="b", rule=rule), {"rule": rule}
            elif kind == "prefix":
                prefix = clusters[key[1]].id.upper()
                one, mute = silence(since=since, until=until, by="a", comment="b", prefix=prefix), {"cluster": key[1]}
            else:
                name = str(self.ledger.rows[key]["RowKey"]).removeprefix("f-")
                one, mute = silence(since=since, until=until, by="a", comment="b", fingerprint=name), {"key": key}
            await app.add_silence(clients.tables, tenant_id, one)
            world.mutes.append(Mute(id=one.id, since=since, until=until, **mute))
            self.note(f"silence {mute}")
        elif what == "unmute":
            for number, one in enumerate(world.mutes):
                if one.until > world.now:
                    await app.end_silence(clients.tables, tenant_id, one.id, world.now)
                    world.mutes[number] = replace(one, until=world.now)
                    break

    async def scan(self, clients: Clients, *, troubled: bool = False) -> app.Report | None:
        """A scan, the settle after it, and one ten minutes later, when every grace is over."""
        world, ledger = self.world, self.ledger
        report = None
        ledger.refused_now = set()
        refused = set(ledger.refused)
        truth = world.problems()
        try:
            report = await app.scan(clients, self.settings, world.now)
        except (ReadError, StorageError) as error:
            self.note(f"scan: {error}")
            if not troubled:
                raise
        sure = report is not None and not report.snapshot.unread
        self.note(
            f"scan: {'complete' if sure else [str(one.reason) for one in report.snapshot.unread] if report else ''}"
        )
        if not troubled and not sure:
            raise Wrong(f"left unread without a fault: {report and report.snapshot.unread}")
        if sure:
            world.remember()
            truth = world.problems()
        self.unsure = not sure
        scanned = world.now
        for minutes in (0, 10):
            self.go(timedelta(minutes=minutes))
            await self.settle(clients, truth, sure=sure, troubled=troubled)
        if not troubled:
            ledger.complete(truth, scanned)
            self._refusals(refused)
            ledger.owed = 0
        return report

    def _refusals(self, refused: set[str]) -> None:
        """A channel that refused its last card before the scan is an open finding, and no other is."""
        names = {"the fallback" if one == "fallback" else f"team {one.upper()}" for one in refused}
        kept = {
            key[1] for key, row in self.ledger.rows.items() if key[0] == "receiver_refused" and row["status"] == "open"
        }
        if names != kept:
            raise Wrong(f"refused by {names or 'nobody'}, kept as {kept or 'nobody'}")
        blind = [
            key
            for key, row in self.ledger.rows.items()
            if key[0] == "scan_scope_unreadable" and row["status"] == "open"
        ]
        if blind:
            raise Wrong(f"all was read, and kept as unreadable: {blind}")

    async def settle(
        self, clients: Clients, truth: Mapping[Key, Problem], *, sure: bool, troubled: bool = False
    ) -> None:
        """One tick, and the judgement of all that came of it."""
        for channel in self.azure.channels.values():
            channel.accepted.clear()
        try:
            await app.settle(clients, self.settings, self.world.now)
        except StorageError as error:
            self.note(f"settle: {error}")
            if not troubled:
                raise
        self.look(truth, sure=sure)

    def look(self, truth: Mapping[Key, Problem], *, sure: bool) -> None:
        """Judge what is stored and posted now, or later if storage is away."""
        if self.away:
            return
        answers, self._asked = self.azure.requests[self._asked :], len(self.azure.requests)
        for team, channel in self.azure.channels.items():
            for one in answers:
                if one.host == "teams" and urlsplit(one.target).path == channel.path and one.status:
                    if one.status == 410:
                        self.ledger.refused.add(team)
                        self.ledger.refused_now.add(team.upper())
                    elif one.status == 202:
                        self.ledger.refused.discard(team)
        posts = {}
        for team, channel in self.azure.channels.items():
            posts[team] = channel.posts[self._posted.get(team, 0) :]
            self._posted[team] = len(channel.posts)
        self.ledger.see(self.rows(), posts, truth, self.world.now, sure=sure)

    def rows(self) -> dict[Key, Any]:
        """The findings as they are stored."""
        found: dict[Key, Any] = {}
        for row in sorted(self.azurite.rows("findings"), key=lambda row: row.get("status") == "open"):
            if row["RowKey"].startswith("f-"):
                found[key_of(row)] = row
        return found

    async def by_event(self, clients: Clients) -> None:
        """A right goes and Event Grid says so; it comes back within its grace, later, or not yet."""
        world = self.world
        updating = world.chance.random() < 0.3
        cluster = world.chance.choice(world.tenant.clusters)
        await self.settle(clients, world.problems(), sure=False)
        if updating:
            world.actions.begin_update(cluster, "Person 0")
        gone = world.unassign()
        if gone is None:
            cluster.state = "Succeeded"
            return
        known = {key for key, row in self.ledger.rows.items() if row["status"] == "open"}
        self.note(f"event: {gone.scope.rsplit('/', 1)[-1]}{' while updating' if updating else ''}")
        await self.deliver(clients)
        back = world.chance.choice((3, 9, None))
        lost = [
            (right, one.name) for one in world.tenant.clusters for right in world.rights_of(one) if right.is_of(gone)
        ]
        # What was lost before and came back unheard may be told still.
        keys = {key for right, name in lost for key in right.keys(name)} - known
        began = world.now
        for minute in range(1, 13):
            self.go(timedelta(minutes=1))
            if minute == back:
                world.restore(gone)
                await self.deliver(clients)
                world.actions.end_update(cluster)
            if minute in (1, 4, 7, 10, 12):
                await self.look_again(clients)
        mine = any(name == cluster.name for _, name in lost)
        if back == 3 or (updating and mine and back):
            told = [(channel, key) for channel, key, when in self.ledger.named if key in keys and when > began]
            if told:
                raise Wrong(f"told of what came back within its grace: {told}")
        world.actions.end_update(cluster)
        self.go(timedelta(minutes=2))
        await self.settle(clients, world.problems(), sure=False)
        late = [key for key in keys & world.problems().keys() if self.ledger.rows.get(key, {}).get("status") != "open"]
        if late:
            raise Wrong(f"an event told of it long ago, and it is not open: {late}")

    async def look_again(self, clients: Clients) -> None:
        """A settle within a grace; now and then Azure cannot be asked meanwhile, and the next one has to do it."""
        if self.world.chance.random() < 0.2:
            what = self.world.chance.choice(LOOKING)
            self.note(f"fault while events are looked at: {what}")
            self.azure.add(Fault(host="arm", **what))
        try:
            await self.settle(clients, self.world.problems(), sure=False)
        finally:
            self.azure.clear()

    async def deliver(self, clients: Clients) -> None:
        """Bring what happened last to the event function, sometimes twice, and again for as long as storage is away."""
        tenant, chance = self.world.tenant, self.world.chance
        assert clients.tables
        for _ in range(chance.choice((1, 1, 2))):
            schema = chance.choice(("EventGridSchema", "CloudEventSchemaV1_0"))
            one = event(tenant.log[-1], tenant.id, schema)
            if chance.random() < 0.15:
                self.note("fault storage while an event comes")
                await self.refuse(one)
            await app.role_changed(clients.tables, one, self.world.now)

    async def refuse(self, one: Mapping[str, Any]) -> None:
        """An event comes while storage refuses connections: it may not be answered as if it were kept."""
        # Nothing listens on port 1; stopping Azurite for each of these would take a second.
        nowhere = self.azurite.connection_string.replace(f":{self.azurite.port}/", ":1/")
        try:
            async with app.connect_tables(replace(self.settings, storage=Secret(nowhere)), CALM) as tables:
                await app.role_changed(tables, one, self.world.now)
        except StorageError:
            return
        raise Wrong("an event was answered, and was not kept")

    async def trouble(self) -> None:
        """A scan and a settle with faults, all of which are over afterwards."""
        chance = self.world.chance
        patience, posting = CALM, POSTING
        kind = chance.choice(("read",) * 6 + ("post",) * 4 + ("broken", "token", "storage"))
        if kind == "read":
            for _ in range(chance.choice((1, 1, 2))):
                host, path = chance.choice(READS)
                what = chance.choice(READING)
                times = None if what.get("status") == 403 else chance.choice((1, 1, 2, None))
                self.note(f"fault {host} {path} {what} times={times}")
                if "hang" in what or "retry_after" in what:
                    patience = HASTY
                self.azure.add(Fault(host=host, path=path, times=times, after=chance.choice((0, 0, 1)), **what))
        elif kind == "post":
            team, channel = chance.choice(sorted(self.azure.channels.items()))
            what = chance.choice(POSTINGS)
            self.azure.add(Fault(host="teams", path=channel.path, **what))
            self.note(f"fault teams {team} {what}")
            # The card arrives, and the app cannot know: it comes once more.
            self.ledger.owed += what.get("reset") == "after"
            posting = POSTING_HASTY if "hang" in what else POSTING
        elif kind == "broken":
            self.azure.channels[chance.choice(sorted(self.azure.channels))].broken = "the flow has no connection"
        elif kind == "token":
            self.azure.add(Fault(host="identity", path="", status=chance.choice((400, 500, 503))))
            patience = HASTY
            self.note("fault token")
        try:
            if kind == "storage":
                await self.storage()
            else:
                async with self.clients(patience, posting) as clients:
                    await self.scan(clients, troubled=True)
        finally:
            self.azure.clear()
            for channel in self.azure.channels.values():
                channel.broken = ""

    async def storage(self) -> None:
        """Storage goes away before the scan, in the middle of it, or between it and settle; then it is back."""
        when = self.world.chance.choice(("before", "during", "between"))
        self.note(f"fault storage {when}")
        # A card was taken, and that could not be written down.
        self.ledger.owed += 1
        timer = threading.Timer(self.world.chance.uniform(0.01, 0.09), self.azurite.stop)
        self.away = True
        async with self.clients() as clients:
            if when == "between":
                self.azurite.stop()
                self.azurite.start()
            elif when == "before":
                self.azurite.stop()
            else:
                timer.start()
            try:
                await self.scan(clients, troubled=True)
            finally:
                if when == "during":
                    timer.join()
                if when != "between":
                    self.azurite.start()
                self.away = False
        self.look(self.world.problems(), sure=False)


async def tell(seed: int, azurite: Azurite) -> Story:
    """Live through one seed; raises Wrong with the story so far."""
    world = World(seed)
    before = dict(os.environ)
    with Simulator(world.tenant) as azure:
        try:
            os.environ.update(azure.environment)
            routes = '[{"team": "ops", "name_prefix": "ops-"}]'
            env = {**azure.environment, "AzureWebJobsStorage": azurite.connection_string, "ROUTES": routes}
            ledger = Ledger(world=world)
            story = Story(
                world=world,
                azure=azure,
                azurite=azurite,
                settings=Settings.from_env(env),
                ledger=ledger,
                said=[],
                _posted={},
            )
            azurite.wipe()
            try:
                await story.run()
            except Exception as error:
                error.add_note(f"seed {seed}, on {world.now:%Y-%m-%d %H:%M}:\n" + "\n".join(sorted_story(story)))
                raise
        finally:
            os.environ.clear()
            os.environ.update(before)
    return story


def sorted_story(story: Story) -> list[str]:
    """What happened and what was told, in the order of time."""
    return sorted([*story.said, *(f"{line}" for line in story.ledger.log)], key=lambda line: line[:11])
