"""From segments to one answer about the video.

Under the null hypothesis, all faces genuine, the answer doesn't depend on the length of the video nor on the number
of faces: a track is read by a fixed share of its time, and its face has to stand out the more, the less of the faces'
time it has. Under the alternative one forged face is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidguard.scoring.calibration import GenuineScores
from vidguard.scoring.segments import ScoredPart


def track_logit(parts: Sequence[ScoredPart], share: float) -> float:
    """Time-weighted mean of the most suspicious share of a track's time.

    The plain mean would dilute a forged stretch in a genuine video, the maximum would grow with length; a share of the
    time is the same of any length, so a track's parts said twice give the same. Needs at least one part.
    """
    wanted = sum(s.seconds for s in parts) * share
    taken = total = 0.0
    for stretch in sorted(parts, key=lambda s: -s.logit):
        seconds = min(stretch.seconds, wanted - taken)
        if seconds <= 0:
            break
        taken += seconds
        total += seconds * stretch.logit
    return total / taken


def video_logit(tracks: Mapping[int, Sequence[ScoredPart]], genuine: GenuineScores, share: float) -> float | None:
    """The most suspicious face's logit, corrected for the other faces; None without any.

    A face with a share w of the faces' time is one of 1 / w chances to look suspicious by accident (`best_of`), and the
    most suspicious one after that decides. Independent genuine faces, however many and however their time is shared,
    exceed any threshold exactly as often as one alone, as the shares add up to 1: the product of F(t)^w is F(t). Faces
    that go together (one person in many shots) exceed it less often. A single face keeps its logit; a passer-by or a
    false detection, short beside the others, takes little from them and decides only by a score to match.
    """
    seconds = {track: sum(s.seconds for s in stretches) for track, stretches in tracks.items() if stretches}
    total = sum(seconds.values())
    corrected = (genuine.best_of(track_logit(tracks[track], share), total / own) for track, own in seconds.items())
    return max(corrected, default=None)
