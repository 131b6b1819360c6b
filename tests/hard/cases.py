"""All hard files, in the order of docs/hard-files.md."""

from __future__ import annotations

import cases_follow
import cases_stills
import cases_time
import cases_video
from case import HardCase

CASES: tuple[HardCase, ...] = (*cases_time.CASES, *cases_video.CASES, *cases_stills.CASES, *cases_follow.CASES)
