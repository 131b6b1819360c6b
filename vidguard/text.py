"""Text from strangers, made safe to show: file names, messages of decoders, what a manifest says of itself."""

from __future__ import annotations

import json
import re
from typing import Final

_BEYOND_ASCII: Final = re.compile(r"[^\n -~]")


def printable(text: str) -> str:
    r"""Text for a terminal, a log, a page or a table's cell; what can't be seen is written out: ``\x1b``, ``\u202e``.

    That is every control, formatting and bidirectional character, every line break and every byte of a file name that
    isn't UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def printable_json(text: str) -> str:
    """JSON text that means the same, with every character that `printable` would write out as a JSON escape."""
    return _BEYOND_ASCII.sub(lambda m: m[0] if m[0].isprintable() else json.dumps(m[0])[1:-1], text)


def printable_value(value: object) -> object:
    """A plain string made `printable`, anything else as it is, markup among it: what Jinja calls a finalizer."""
    return printable(value) if type(value) is str else value
