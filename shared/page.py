"""The report as one page, in a document that runs no other script than its own; no I/O."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """The page without its data."""

    document: str
    style: str
    script: str


def document(data: Mapping[str, Any], assets: Assets) -> str:
    """The page, with a policy under which a browser runs this script, uses this style, and asks nobody for anything."""
    policy = (
        f"default-src 'none'; script-src {_digest(assets.script)}; style-src {_digest(assets.style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"{policy}": policy, "{style}": assets.style, "{script}": assets.script, "{data}": embedded(data)}
    text = assets.document
    # One at a time and the data last, so that nothing in it is taken for a place to fill.
    for place, part in parts.items():
        head, _, tail = text.partition(place)
        text = head + part + tail
    return text


def embedded(data: object) -> str:
    """JSON that cannot end the script element that holds it, nor begin a comment in it.

    https://html.spec.whatwg.org/multipage/scripting.html#restrictions-for-contents-of-script-elements
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
