"""What is typed behind a flag, as a value; argparse.ArgumentTypeError says what is wrong with it."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

from ..model import Severity
from ..silences import LONGEST


def moment(text: str) -> datetime:
    """A date or moment, in UTC unless it says otherwise."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date, such as 2026-11-24 or 2026-11-24T06:00Z") from None
    if not 1970 <= parsed.year < 9000:
        raise argparse.ArgumentTypeError(f"{text!r} is outside the years 1970 to 8999")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def days(text: str) -> int:
    """How many days a silence lasts."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= LONGEST.days:
        raise argparse.ArgumentTypeError(f"give 1 to {LONGEST.days}")
    return int(text)


def severity(text: str) -> Severity:
    """A severity by its name."""
    try:
        return Severity.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
