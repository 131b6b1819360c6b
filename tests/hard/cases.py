"""All hard files, in the order of docs/hard-files.md."""

from __future__ import annotations

import cases_time
from case import HardCase

CASES: tuple[HardCase, ...] = (*cases_time.CASES,)
