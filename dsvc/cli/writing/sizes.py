"""Numbers, dates and columns for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def show_bytes(count: int) -> str:
    """Return a number of bytes with three digits that count: ``1.42 MiB``."""
    if abs(count) < 1024:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1024
        if abs(value) < 999.5 or unit == _UNITS[-1]:
            break
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{digits}f} {unit}"


def show_date(seconds: int, offset_minutes: int = 0) -> str:
    """Return a moment in the zone of the person: ``2026-11-21 22:00:00 +0800``."""
    try:
        zone = timezone(timedelta(minutes=offset_minutes))
        return datetime.fromtimestamp(seconds, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"


def width(text: str) -> int:
    """Return the cells that `text` takes on a terminal; Chinese characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def pad(text: str, cells: int) -> str:
    """Fill `text` with blanks on the right up to `cells`."""
    return text + " " * max(0, cells - width(text))


def shorten(text: str, cells: int) -> str:
    """Cut `text` to at most `cells`, with an ellipsis where something is gone."""
    if width(text) <= cells:
        return text
    while text and width(text) > cells - 1:
        text = text[:-1]
    return text + "…"
