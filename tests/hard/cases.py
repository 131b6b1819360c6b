"""All hard files, in the order of docs/hard-files.md."""

from __future__ import annotations

from case import HardCase

CASES: tuple[HardCase, ...] = ()
