"""What judging a face costs."""

from __future__ import annotations

import copy
import statistics
import time
from typing import Any, Final

from vidguard.detector.golden import golden_crops
from vidguard.detector.judge import Judge
from vidguard.processes import describe_machine

_ROUNDS: Final = 3


def cost_of(judge: Judge) -> dict[str, Any]:
    """Processor milliseconds (of all threads) that the encoders take for a face, four at a time, and on what machine.

    From uint8 crops: the median of three rounds after a first one. It belongs to the machine; hold ratios.
    """
    judge, crops, seconds = copy.deepcopy(judge).ready(), golden_crops(), []
    for _ in range(_ROUNDS + 1):
        began = time.process_time()
        judge.encode(crops)
        seconds.append(time.process_time() - began)
    milliseconds = 1000 * statistics.median(seconds[1:]) / len(crops)
    return {"processor_ms_a_face": round(milliseconds, 2), "machine": describe_machine()}
