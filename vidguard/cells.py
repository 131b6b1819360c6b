"""Text in CSV tables, which people open in spreadsheets: what begins like a formula would be carried out there."""

from __future__ import annotations

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_MARK: Final = "'"


def inert(value: object) -> object:
    """A cell's value; text that begins like a formula, or like one made inert, gets an apostrophe before it."""
    return f"{_MARK}{value}" if isinstance(value, str) and value.lstrip(_MARK).startswith(_FORMULA) else value


def as_written(text: str) -> str:
    """The text that `inert` made this of; any other as it is."""
    return text[1:] if text.startswith(_MARK) and text.lstrip(_MARK).startswith(_FORMULA) else text
