"""The web page that shows the cards of a Teams channel, drawn by Microsoft's own renderer."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .teams import Post

HERE = Path(__file__).parent
RENDERER = HERE.parent / "node_modules" / "adaptivecards" / "dist" / "adaptivecards.min.js"
"""Installed by npm."""

SCRIPTS = {"adaptivecards.min.js": RENDERER, "channel.js": HERE / "channel.js"}


def static(name: str) -> bytes:
    """A script of the page; FileNotFoundError for any other, or where npm did not install it."""
    if name not in SCRIPTS:
        raise FileNotFoundError(name)
    return SCRIPTS[name].read_bytes()


def render(tenant: str, posts: Sequence[Post], *, whole: bool) -> str:
    """The page; `whole` puts the scripts into it."""
    shown = [
        {"channel": post.team, "at": f"{post.at:%A} {post.at.day} {post.at:%B %Y, %H:%M} UTC", "card": post.card}
        for post in sorted(posts, key=lambda post: post.at)
    ]
    # In a data block only "<" could end the block; U+2028 and its twin are no trouble to JSON.parse.
    data = json.dumps(shown).replace("<", "\\u003c")
    slots = {
        "policy": html.escape(_policy(whole=whole)),
        "tenant": html.escape(tenant),
        "cards": data,
        "scripts": "".join(_script(name, whole=whole) for name in SCRIPTS),
    }
    template = (HERE / "channel.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: slots[match[1]], template)


def _script(name: str, *, whole: bool) -> str:
    return f"<script>{_inlined(name)}</script>\n" if whole else f'<script src="/static/{name}"></script>\n'


@cache
def _inlined(name: str) -> str:
    # Inside a string or a regular expression of JavaScript, "<\/script" means the same and ends no element.
    return static(name).decode("utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(*, whole: bool) -> str:
    scripts = " ".join(_hash(_inlined(name)) for name in SCRIPTS) if whole else "'self'"
    style = re.search(r"<style>(.*?)</style>", (HERE / "channel.html").read_text(encoding="utf-8"), re.DOTALL)
    assert style
    sources = f"default-src 'none'; script-src {scripts}; style-src {_hash(style[1])}; img-src data:"
    return sources + "; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = _policy(whole=False)
