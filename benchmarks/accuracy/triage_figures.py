"""Thresholds for a stated share of misses, what they clear, and the cost of a stream that is triaged by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vidguard.detector.triage import Outcome, decide
from vidguard.metrics import wilson_interval

MISSES: Final = (0.01, 0.02)
POPULATIONS: Final = ("fakes", "found")
VIDEOS: Final = "videos"
# Assumptions, not measurements: what is uploaded in a day, how long, how large, and what it is worked on with.
UPLOADS_A_DAY: Final = 250_000_000
SHARE_OF_FAKES: Final = 0.01
LENGTHS: Final = {15.0: 0.40, 45.0: 0.35, 180.0: 0.20, 900.0: 0.05}  # seconds: share of uploads
MEGABYTES_A_SECOND: Final = 0.5
FACES_A_KEY_FRAME: Final = 1.0
CORES_A_MACHINE: Final = 64
BUSY: Final = 0.7  # of the day's core time that is used; the rest is for peaks


@dataclass(frozen=True)
class Example:
    """A video or single face. scores: name -> most suspicious logit, None where no face was seen."""

    material: str
    source: str
    is_fake: bool
    scores: Mapping[str, float | None]
    frames: int
    damaged: bool = False
    found: bool = False
    """Whether the whole analysis flags it."""
    share: float = 1.0
    """Forged share of a fake."""


def threshold_for(fake_scores: Iterable[float], misses: float) -> float:
    """The highest threshold with at most a share of misses of the fakes below it; needs at least one."""
    ordered = sorted(fake_scores)
    return ordered[math.floor(misses * len(ordered))]


def fit_point(examples: Sequence[Example], name: str, misses: float, of: str) -> dict[str, Any]:
    """The lowest threshold that any kind of material asks for, and what it does on every one."""
    groups: dict[str, list[float]] = {}
    for example in _population(examples, of):
        score = example.scores[name]
        if score is not None:
            groups.setdefault(example.material, []).append(score)
    threshold = min(threshold_for(scores, misses) for scores in groups.values())
    materials = {m: [e for e in examples if e.material == m] for m in dict.fromkeys(e.material for e in examples)}
    fakes = [e for e in materials[VIDEOS] if e.is_fake]
    return {
        "misses": misses,
        "of": of,
        "encoder": name,
        "threshold": threshold,
        "materials": {m: _shares(part, name, threshold) for m, part in materials.items()},
        "found": _misses(_population(examples, "found"), name, threshold),
        "whole_clips_forged": _misses([e for e in fakes if e.share == 1], name, threshold),
        "parts_of_clips_forged": _misses([e for e in fakes if e.share < 1], name, threshold),
    }


def _population(examples: Sequence[Example], of: str) -> list[Example]:
    """All fakes, or those that the whole analysis flags."""
    return [e for e in examples if e.is_fake and (e.found or of == "fakes")]


def _outcome(example: Example, name: str, threshold: float) -> Outcome:
    still = example.material != VIDEOS
    return decide(example.scores[name], threshold, num_frames=example.frames, is_still=still, damaged=example.damaged)


def _cleared(examples: Sequence[Example], name: str, threshold: float) -> int:
    return sum(_outcome(e, name, threshold) is Outcome.CLEARED for e in examples)


def _shares(examples: Sequence[Example], name: str, threshold: float) -> dict[str, Any]:
    genuine = [e for e in examples if not e.is_fake]
    cleared = _cleared(genuine, name, threshold)
    low, high = wilson_interval(cleared, len(genuine))
    missed = _misses([e for e in examples if e.is_fake], name, threshold)
    return {
        "sources": len({e.source for e in examples}),
        "genuine": len(genuine),
        "cleared": round(cleared / len(genuine), 4),
        "cleared_95": [round(low, 4), round(high, 4)],
        "no_face": sum(_outcome(e, name, threshold) is Outcome.NO_FACE for e in examples),
        **missed,
    }


def _misses(fakes: Sequence[Example], name: str, threshold: float) -> dict[str, Any]:
    """Misses, and the most that can be ruled out: by sources, as forgeries of one clip stand or fall together."""
    missed = [e for e in fakes if _outcome(e, name, threshold) is Outcome.CLEARED]
    sources, hit = {e.source for e in fakes}, {e.source for e in missed}
    # none among n leaves up to 3 / n possible (the rule of three); else Wilson's upper end
    upper = 3 / max(len(sources), 1) if not hit else wilson_interval(len(hit), len(sources))[1]
    return {
        "fakes": len(fakes),
        "missed": len(missed),
        "fake_sources": len(sources),
        "missed_sources": len(hit),
        "missed_up_to_95": round(min(upper, 1.0), 4),
    }


def simulate(costs: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A day's uploads: what triage and the analysis of the rest cost, against analysing everything."""
    mean_seconds = sum(seconds * share for seconds, share in LENGTHS.items())
    look_ms = costs["open_ms"] + costs["hash_ms_per_mb"] * MEGABYTES_A_SECOND * mean_seconds
    encoder = costs["encoder_ms_per_face"][row["encoder"]] * FACES_A_KEY_FRAME
    look_ms += costs["max_frames"] * (costs["key_frame_ms"] + costs["detection_ms"] + encoder)
    full_ms = costs["full_per_second_ms"] * mean_seconds
    shares = {}
    for name, figures in row["materials"].items():
        missed = figures["missed"] / figures["fakes"]
        sent_on = 1 - (1 - SHARE_OF_FAKES) * figures["cleared"] - SHARE_OF_FAKES * missed
        shares[name] = (look_ms + sent_on * full_ms) / full_ms
    return {
        "triage_ms": round(look_ms, 1),
        "full_ms": round(full_ms, 1),
        "share_of_full_cost": round(shares[VIDEOS], 4),
        "share_of_full_cost_by_material": {name: round(share, 4) for name, share in shares.items()},
        "machines_full": machines(full_ms),
        "machines_triage_alone": machines(look_ms),
        "machines_with_triage": machines(shares[VIDEOS] * full_ms),
    }


def machines(ms_a_video: float) -> int:
    """Machines for a day's uploads."""
    core_seconds = UPLOADS_A_DAY * ms_a_video / 1000
    return math.ceil(core_seconds / (86_400 * CORES_A_MACHINE * BUSY))


def assumptions() -> dict[str, Any]:
    """What a simulation rests on besides measurements."""
    return {
        "uploads_a_day": UPLOADS_A_DAY,
        "share_of_fakes": SHARE_OF_FAKES,
        "seconds_and_their_share": [[seconds, share] for seconds, share in LENGTHS.items()],
        "megabytes_a_second": MEGABYTES_A_SECOND,
        "faces_a_key_frame": FACES_A_KEY_FRAME,
        "cores_a_machine": CORES_A_MACHINE,
        "busy": BUSY,
    }
