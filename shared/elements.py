"""The bricks of Adaptive Cards 1.5: text that is shown as it is, boxes, and the envelope that Workflows take.

Text from the tenant stands only in TextRuns: those know no Markdown and no mentions.
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

from __future__ import annotations

import json
import re
from typing import Any

from .text import visible

LONG = 600
"""How long a text may be where nothing else is said."""

Element = dict[str, Any]


def paragraph(inlines: list[Element], *, spacing: str = "default", separator: bool = False) -> Element:
    """A paragraph of TextRuns."""
    block: Element = {"type": "RichTextBlock", "inlines": inlines}
    if spacing != "default":
        block["spacing"] = spacing
    if separator:
        block["separator"] = True
    return block


def column(width: str, items: list[Element]) -> Element:
    """A column of a ColumnSet."""
    return {"type": "Column", "width": width, "items": items}


# Renderers replace {{DATE(...)}} and {{TIME(...)}} in a run's text, but never across two runs:
# https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features#datetime-formatting-and-localization
_BRACES = re.compile(r"(?<=\{)(?=\{)")


def runs(
    content: str,
    *,
    weight: str = "",
    size: str = "",
    color: str = "",
    subtle: bool = False,
    mono: bool = False,
    limit: int = LONG,
) -> list[Element]:
    """A text as TextRuns of one look, literally."""
    look: Element = {name: value for name, value in (("weight", weight), ("size", size), ("color", color)) if value}
    if subtle:
        look["isSubtle"] = True
    if mono:
        look["fontType"] = "monospace"
    return [{"type": "TextRun", "text": part, **look} for part in _BRACES.split(visible(content, limit))]


def envelope(body: list[Element], fallback: str) -> Element:
    """A card in its envelope; `fallback` is for clients that know no cards, and for notifications."""
    content = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.5",
        "msteams": {"width": "Full"},
        "fallbackText": fallback,
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def size(message: Element) -> int:
    """The bytes of a message as it is sent."""
    return len(json.dumps(message, ensure_ascii=False).encode())
