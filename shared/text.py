"""Text that anybody in the tenant can choose, made safe to show; never markup, never a line of its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_LIMIT = 300


def visible(text: str, limit: int = _LIMIT) -> str:
    """A text with every control and format character written out, so that it looks like what it is.

    Newlines would forge log lines, bidirectional controls reorder what stands around them
    (https://trojansource.codes), and invisible characters make two names look alike.
    """
    shown = "".join(letter if _plain(letter) else _escape(letter) for letter in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _plain(letter: str) -> bool:
    # Zero-width joiners (category Cf) hold emoji and several scripts together, but hide in names: written out too.
    return letter == " " or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escape(letter: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(letter)
    return known.get(letter) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def amounts(counts: Mapping[str, int]) -> str:
    """Numbers of things by their plural names, as a sentence says them: `1 cluster, 2 role assignments`."""
    return ", ".join(f"{number:,} {_called(name.replace('_', ' '), number)}" for name, number in counts.items())


def _called(plural: str, number: int) -> str:
    return plural if number != 1 else re.sub(r"(ies|s)\Z", lambda end: "y" if end[1] == "ies" else "", plural)
