"""Renders cards in headless Chromium with Microsoft's own renderer, with colours near those of Teams."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "node_modules" / "adaptivecards" / "dist" / "adaptivecards.min.js"

_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

_HOST = {
    "fontFamily": "Segoe UI, Noto Sans, Helvetica, sans-serif",
    "spacing": {"small": 6, "default": 8, "medium": 14, "large": 20, "extraLarge": 32, "padding": 12},
    "fontSizes": {"small": 12, "default": 14, "medium": 15, "large": 18, "extraLarge": 24},
    "separator": {"lineThickness": 1, "lineColor": "#E1DFDD"},
    "containerStyles": {
        "default": {"backgroundColor": "#FFFFFF"},
        "emphasis": {"backgroundColor": "#F3F2F1"},
        "attention": {"backgroundColor": "#FCEBEE"},
        "warning": {"backgroundColor": "#FFF4CE"},
        "good": {"backgroundColor": "#E7F2DA"},
        "accent": {"backgroundColor": "#E8EBFA"},
    },
}

_PAGE = """<!doctype html><meta charset="utf-8"><title>card</title>
<style>body {{ margin: 16px; background: #F5F5F5; font-family: "Segoe UI", sans-serif; }}
.card {{ width: {width}px; margin: 0 0 16px; background: #FFF; border: 1px solid #D1D1D1; border-radius: 4px; }}
.card * {{ overflow-wrap: anywhere; }} /* as Teams breaks what has no blank */
button {{ font: 13px "Segoe UI", sans-serif; padding: 4px 12px; margin: 2px 0; }}</style>
<script>
const errors = [];
addEventListener("error", event => errors.push("error: " + event.message), true);
addEventListener("unhandledrejection", event => errors.push("rejection: " + event.reason));
for (const level of ["error", "warn"]) console[level] = (...parts) => errors.push(level + ": " + parts.join(" "));
</script>
<script src="{script}"></script>
<body><script>
const decode = text => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), letter => letter.charCodeAt())));
const host = decode("{host}");
// The Markdown that Teams knows, as far as it can do harm: a text that landed in a TextBlock would show it.
AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {{
  const bold = text.replace(/\\*\\*(.+?)\\*\\*/g, "<b>$1</b>");
  result.outputHtml = bold.replace(/\\[(.+?)\\]\\((.+?)\\)/g, '<a href="$2">$1</a>');
  result.didProcess = true;
}};
for (const one of decode("{cards}")) {{
  const card = new AdaptiveCards.AdaptiveCard();
  const context = new AdaptiveCards.SerializationContext();
  card.hostConfig = new AdaptiveCards.HostConfig(host);
  card.parse(one, context);
  for (let number = 0; number < context.eventCount; number++)
    errors.push("parse: " + context.getEventAt(number).message);
  for (const event of card.validateProperties().validationEvents) errors.push("invalid: " + event.message);
  const place = document.createElement("div");
  place.className = "card";
  place.append(card.render());
  document.body.append(place);
}}
const all = selector => [...document.querySelectorAll(".card " + selector)];
const right = node => node.getBoundingClientRect().right;
const report = {{
  errors,
  title: document.title,
  texts: all(".ac-richTextBlock").map(node => node.textContent),
  links: all("a").map(node => node.href),
  buttons: all("button").map(node => node.title || node.textContent),
  tags: [...new Set(all("*").map(node => node.tagName.toLowerCase()))].sort(),
  wide: all("*").filter(node => right(node) > right(node.closest(".card"))).length,
  height: document.documentElement.scrollHeight,
}};
const place = document.createElement("pre");
place.id = "report";
place.hidden = true;
place.textContent = btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(report))));
document.body.append(place);
</script></body>
"""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a browser made of cards."""

    texts: list[str]
    """The text of every RichTextBlock."""
    links: list[str]
    buttons: list[str]
    tags: list[str]
    errors: list[str]
    title: str
    """Of the page; a script in a card would change it."""
    wide: int
    """Elements that stick out of the card."""
    height: int


class Browser:
    """A headless Chromium, a fresh profile a page."""

    def __init__(self, folder: Path) -> None:
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if not program:
            pytest.skip("no Chromium is installed: cards are not rendered")
        if not SCRIPT.exists():
            pytest.skip("node_modules/adaptivecards is missing (npm ci): cards are not rendered")
        self._program = program
        self._folder = folder

    def render(self, messages: list[dict[str, Any]], width: int = 720) -> Rendered:
        """Render the cards of messages, and report."""
        dom = self._run(self._page(messages, width), "--dump-dom")
        found = re.search(r'<pre id="report"[^>]*>([^<]+)</pre>', dom)
        assert found, f"the page did not run to its end:\\n{dom[-2000:]}"
        return Rendered(**json.loads(base64.b64decode(found[1])))

    def screenshot(self, messages: list[dict[str, Any]], name: str, width: int = 720) -> Path:
        """Render the cards of messages into a picture."""
        picture = self._folder / f"{name}.png"
        height = self.render(messages, width).height
        page = self._page(messages, width)
        self._run(page, f"--screenshot={picture}", f"--window-size={width + 32},{height + 20}")
        assert picture.stat().st_size > 5_000
        return picture

    def _page(self, messages: list[dict[str, Any]], width: int) -> Path:
        cards = [attachment["content"] for message in messages for attachment in message["attachments"]]
        page = self._folder / "page.html"
        html = _PAGE.format(script=SCRIPT.as_uri(), host=_encoded(_HOST), cards=_encoded(cards), width=width)
        page.write_text(html, encoding="utf-8")
        return page

    def _run(self, page: Path, *options: str) -> str:
        profile = self._folder / "profile"
        command = [self._program, *_QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
        try:
            return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout.decode()
        finally:
            shutil.rmtree(profile, ignore_errors=True)


def _encoded(value: object) -> str:
    """A value as base64 of JSON, so that nothing in it can end the script that holds it."""
    return base64.b64encode(json.dumps(value).encode()).decode()
