"""`make demo`: months of the retailer's life, watched; leaves a timeline and the cards in build/demo.

`python -m simulator.demo --pictures FOLDER` also draws the two cards that the README shows.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from shared import app
from shared.events import received
from shared.settings import Settings

from . import Simulator, Tenant, load
from .azurite import ROOT, Azurite
from .channel_page import render
from .eventgrid import EventGrid
from .host import FunctionsHost
from .story import Pause
from .teams import Post
from .told import Told

OUTPUT = ROOT / "build" / "demo"
LAST = datetime(2026, 10, 21, 6, tzinfo=UTC)
PATIENCE = timedelta(days=1)
"""How often the demo scans; a real app scans every six hours."""
QUIET = 13
"""Minutes without an event after which the demo goes on to the next morning: longer than the grace and an update."""
WIDTH = 1000
"""Of the picture, in pixels."""
PICTURES = {"card": datetime(2026, 9, 13, 6, tzinfo=UTC), "drift": datetime(2026, 10, 13, 14, 25, tzinfo=UTC)}
"""Cards to the team shop that have a picture of their own."""


class Demo:
    """The story, told a day at a time."""

    def __init__(self, azure: Simulator, settings: Settings, console: Console) -> None:
        self.azure = azure
        self.tenant: Tenant = azure.tenant
        self.settings = settings
        self.console = console
        self.seen: dict[str, int] = {}
        self.scans = 0
        self.weekly = 0
        self.told_pause: set[str] = set()
        self.titles: set[str] = set()
        self.told: list[Told] = []
        self.tenant_id = ""

    async def run(self) -> None:
        """Scan and settle every morning, unless the story says that the app was stopped; hear events as they come."""
        now = self.azure.now
        async with app.connect(self.settings) as clients, FunctionsHost(self.on_role_change) as host:
            grid = EventGrid(azure=self.azure, endpoint=host.url, code=host.code)
            while now <= LAST:
                self.azure.now = now
                self.happen(now)
                pause = self.pause(now)
                if pause and pause.text not in self.told_pause:
                    self.told_pause.add(pause.text)
                    self.say(pause.start, "•", pause.text, "bold")
                if not pause:
                    report = await app.scan(clients, self.settings, now)
                    self.tenant_id = report.snapshot.tenant_id
                    self.scans += 1
                    await self.settle(clients, now)
                    await self.listen(clients, grid, now + PATIENCE)
                now += PATIENCE

    async def on_role_change(self, event: Any) -> None:
        """What function_app.py does, with the time of the story."""
        async with app.connect_tables(self.settings) as tables:
            await app.role_changed(tables, received(event), self.azure.now)

    async def listen(self, clients: app.Clients, grid: EventGrid, until: datetime) -> None:
        """Go through what happens before the next morning; after an event, settle ticks every minute for a while."""
        while True:
            ahead = [step.at for step in self.tenant.steps if step.at < until]
            if not ahead:
                return
            self.azure.now = ahead[0]
            self.happen(ahead[0])
            grid.publish()
            quiet = 0 if grid.pending else QUIET
            while quiet < QUIET:
                minute = self.azure.now + timedelta(minutes=1)
                self.happen(minute)
                grid.publish()
                quiet = 0 if grid.pending else quiet + 1
                await grid.run(minute)
                await self.settle(clients, minute)

    async def settle(self, clients: app.Clients, now: datetime) -> None:
        """One tick of settle, and the cards that it sent."""
        await app.settle(clients, self.settings, now, self.tenant_id)
        assert clients.tables
        if any(len(self.azure.cards(team)) > self.seen.get(team, 0) for team in self.azure.channels):
            stored = await clients.tables.list_findings(self.tenant_id)
            self.titles |= {finding.title for finding in stored.findings}
            self.new_cards()

    def happen(self, now: datetime) -> None:
        """Let the story go on until a moment, and tell of it."""
        for step in self.tenant.advance(now):
            self.say(step.at, "•", step.text, "bold")

    def pause(self, now: datetime) -> Pause | None:
        """The pause of the story that a moment lies in."""
        return next((pause for pause in self.tenant.pauses if pause.start <= now < pause.end), None)

    def new_cards(self) -> None:
        """Tell of the cards that came since the last look."""
        for team in self.azure.channels:
            posts = self.azure.cards(team)
            for post in posts[self.seen.get(team, 0) :]:
                shown = lines(post, self.titles)
                self.weekly += not shown
                for line in shown:
                    self.told.append(Told(at=post.at, team=team, text=line))
                    self.say(post.at, "→", f"#{team}: {line}", "green" if line.startswith("✓") else "cyan")
            self.seen[team] = len(posts)

    def say(self, at: datetime, mark: str, text: str, style: str) -> None:
        """One line of the timeline."""
        self.console.print(
            Text.assemble((f"{at:%a %d %b %Y %H:%M}  ", "dim"), (f"{mark} {text}", style)), soft_wrap=True
        )


def lines(post: Post, titles: set[str]) -> list[str]:
    """What a card tells: the titles of findings it shows, and whether these are resolved."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for one in node:
                walk(one)
        elif isinstance(node, dict):
            if node.get("type") == "RichTextBlock":
                text = "".join(run.get("text", "") for run in node["inlines"]).strip()
                if text in titles or text.startswith("✓"):
                    found.append(text)
            for value in node.values():
                walk(value)

    walk(post.card)
    return found


def picture(page: Path, target: Path) -> bool:
    """Draw the page with a Chromium, where there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    program = next(filter(None, map(shutil.which, names)), str(mac) if mac.exists() else None)
    if not program:
        return False
    with tempfile.TemporaryDirectory() as profile:
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command = [program, *quiet, f"--user-data-dir={profile}"]

        def browse(*options: str) -> str:
            done = subprocess.run(
                [*command, *options, page.as_uri()], capture_output=True, text=True, timeout=90, check=False
            )
            return done.stdout

        # The page says how tall it is once its cards are drawn; a picture of less would lack the story's end.
        height = re.search(r'data-height="(\d+)"', browse(f"--window-size={WIDTH},1000", "--dump-dom"))
        if height:
            browse(f"--window-size={WIDTH},{height[1]}", f"--screenshot={target}")
    return target.exists()


def main() -> int:
    """Run the demo; the exit status is 0 when what its tenant file declares was told, and nothing else."""
    parser = argparse.ArgumentParser(prog="python -m simulator.demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw the cards of the README there")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for old in OUTPUT.iterdir():
        old.unlink()
    began = time.monotonic()
    console = Console(highlight=False, record=True, width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory() as folder, Simulator(load("retailer")) as azure:
        azurite = Azurite(Path(folder))
        azurite.start()
        try:
            os.environ.update(azure.environment)
            settings = Settings.from_env({**azure.environment, "AzureWebJobsStorage": azurite.connection_string})
            demo = Demo(azure, settings, console)
            console.print("Northwind Retail, eight months in half a minute: every line with → is on a card in Teams.\n")
            asyncio.run(demo.run())
            page = OUTPUT / "cards.html"
            page.write_text(azure.page(), encoding="utf-8")
            for name, at in PICTURES.items() if options.pictures else ():
                shown = Path(folder) / f"{name}.html"
                posts = [post for post in azure.cards("shop") if post.at == at]
                shown.write_text(render(azure.tenant.name, posts, whole=True), encoding="utf-8")
                picture(shown, options.pictures / f"{name}.png")
        finally:
            azurite.stop()
        cards = sum(demo.seen.values())
    taken = time.monotonic() - began
    console.print(f"\n{demo.scans} scans, {cards} cards, {demo.weekly} of them the weekly one, {taken:.0f} seconds.")
    (OUTPUT / "timeline.txt").write_text(console.export_text(), encoding="utf-8")
    drawn = picture(page, OUTPUT / "cards.png")
    for name in ("timeline.txt", "cards.html", *(["cards.png"] if drawn else [])):
        print(f"  build/demo/{name}")
    if not drawn:
        print("  (no Chromium found: open cards.html in a browser)")
    wrong = azure.tenant.story.differences(demo.told)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
