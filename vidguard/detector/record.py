"""What is kept of one followed face: frames waiting for their logits, segments, and the history for the report."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import torch
from torch import Tensor

from vidguard.config import AnalysisConfig
from vidguard.scoring import FrameTokens, ScoredStretch, Scoring, TrackScorer, TrackScores
from vidguard.scoring.kinds import likeliest_kind
from vidguard.scoring.segments import ScoredFrame, findings_of
from vidguard.types import (
    Finding,
    Interval,
    KindGuess,
    KindOfManipulation,
    Observation,
    Quality,
    Segment,
    Status,
    Thumbnail,
    Track,
)

_THUMBNAIL_PX: Final = 128
_PATIENCE: Final = 600
"""Segments that wait for a track to be seen clearly; one that never is in all of them isn't judged any more."""


@dataclass(frozen=True)
class Sighting:
    """One face in one analysed frame, encoded. tokens: one frame's."""

    track_id: int
    observation: Observation
    tokens: FrameTokens
    jpeg: bytes
    kind_logits: list[list[float]] = field(default_factory=list)
    """One row of 1 + K, or none where the weights tell no kinds apart."""
    is_judged: bool = True
    """False where the face is too small or too blurred to tell anything of: see `can_be_judged`."""

    def at(self, time: float) -> Sighting:
        """The same face of the same picture, looked at again at another time, seconds."""
        if time == self.observation.time:
            return self
        tokens = replace(self.tokens, times=torch.full_like(self.tokens.times, time))
        return replace(self, observation=replace(self.observation, time=time), tokens=tokens)


@dataclass
class _Waiting:
    """A frame whose segment isn't final yet."""

    time: float
    jpeg: bytes
    logit: float | None = None


@dataclass
class TrackRecord:
    """State machine over one track. Without history it keeps a window of frames and `_PATIENCE` segments at most."""

    id: int
    scorer: TrackScorer
    scoring: Scoring
    min_frames: int
    """The track is judged once so many of its sightings are clear ones."""
    clear_from: float
    keep_history: bool
    kinds: tuple[KindOfManipulation, ...] = ()
    observations: list[Observation] = field(default_factory=list)
    stretches: list[ScoredStretch] = field(default_factory=list)
    frames: list[ScoredFrame] = field(default_factory=list)
    thumbnails: list[tuple[float, Thumbnail]] = field(default_factory=list)
    """With the logit of the frame shown; for the owner to take away."""
    judged: bool | None = None
    """None as long as it isn't known. Every frame may decide it, so that it doesn't matter how a stream is cut."""
    _kind_logits: list[list[float]] = field(default_factory=list)
    _waiting: dict[int, _Waiting] = field(default_factory=dict)
    _num_clear: int = 0
    """Of judged sightings."""
    _num_clear_unjudged: int = 0
    _settled: list[ScoredStretch] = field(default_factory=list)
    """Final, and not given yet."""
    _last_shown: float = float("-inf")

    def add(self, sighting: Sighting, shown: Interval) -> None:
        """Add the next frame, which speaks for the time shown."""
        self._waiting[self.scorer.num_frames] = _Waiting(shown.start, sighting.jpeg)
        clear = sighting.observation.detection_prob >= self.clear_from
        self._num_clear += clear and sighting.is_judged
        self._num_clear_unjudged += clear and not sighting.is_judged
        if self.keep_history:
            self.observations.append(sighting.observation)
            self._kind_logits += sighting.kind_logits
        self._take_up(self.scorer.add(shown, sighting.tokens if sighting.is_judged else None))
        if self.judged is None and (self._num_clear >= self.min_frames or len(self._settled) >= _PATIENCE):
            self.judged = self._num_clear >= self.min_frames

    def take(self) -> list[Segment]:
        """The segments that are final by now; none before it is known whether the track is judged."""
        return [] if self.judged is None else self._give()

    def finish(self) -> list[Segment]:
        """End the track; the remaining segments."""
        self.judged = bool(self.judged)
        self._take_up(self.scorer.finish())
        self._waiting.clear()
        return self._give()

    def track(self) -> Track:
        """The finished track for the report; needs history."""
        observations = self.observations if self.judged else [replace(o, fake_prob=None) for o in self.observations]
        video = self.scoring.video
        logit = self.scores.logit(self.scoring.reading) if self.judged else None
        fake_prob = None if logit is None else video.probability(logit)
        return Track(
            id=self.id,
            spans=tuple(self.scorer.spans),
            observations=tuple(observations),
            status=self._status(),
            fake_prob=fake_prob,
            decision=video.label(fake_prob),
            kind=self.kind() if video.is_flagged(fake_prob) else None,
        )

    def _status(self) -> Status:
        if self.judged:
            return Status.OK
        seen_clearly = self._num_clear + self._num_clear_unjudged >= self.min_frames
        return Status.TOO_BLURRED if seen_clearly and self._num_clear_unjudged else Status.TOO_SHORT

    @property
    def scores(self) -> TrackScores:
        """The finished track's; needs history."""
        return TrackScores(tuple(self.frames), tuple(self.stretches))

    def findings(self, opens: float) -> tuple[Finding, ...]:
        """Suspicious stretches as the frames tell them; none of a track that isn't judged. Needs history."""
        seen = [o.fake_prob for o in self.observations if o.fake_prob is not None]
        return findings_of(self.id, self.frames, seen, opens) if self.judged else ()

    def kind(self, start: float = float("-inf"), end: float = float("inf")) -> KindGuess | None:
        """The most likely kind of manipulation in the frames that speak for [start, end) seconds; needs history."""
        if not self.kinds:
            return None
        times = [seen.time for seen in self.observations]
        frames = slice(max(bisect_right(times, start) - 1, 0), bisect_left(times, end))
        weights = [seen.fake_prob or 0.0 for seen in self.observations[frames]]
        return likeliest_kind(self.kinds, self._kind_logits[frames], weights)

    def _take_up(self, scores: TrackScores) -> None:
        """Keep what became final, and forget the frames that nothing more is to be told of."""
        for frame in scores.frames:
            self._waiting[frame.index].logit = frame.logit
            if self.keep_history:
                self.frames.append(frame)
                fake_prob = self.scoring.segment.probability(frame.logit)
                self.observations[frame.index] = replace(self.observations[frame.index], fake_prob=fake_prob)
        self._settled += scores.segments
        if self.keep_history:
            self.stretches += scores.segments
        for stretch in scores.segments:
            if self.keep_history:
                self._keep_thumbnail(stretch)
            # the last frame may reach into the next segment
            for index in [i for i in self._waiting if i < stretch.frame_indices[-1]]:
                del self._waiting[index]

    def _give(self) -> list[Segment]:
        stretches, self._settled = self._settled, []
        level = self.scoring.segment
        answers = [level.probability(s.logit) if self.judged and s.num_frames else None for s in stretches]
        return [
            Segment(
                start=s.start,
                end=s.end,
                track_id=self.id,
                fake_prob=fake_prob,
                num_frames=s.num_frames,
                decision=level.label(fake_prob),
            )
            for s, fake_prob in zip(stretches, answers)
        ]

    def _keep_thumbnail(self, stretch: ScoredStretch) -> None:
        """Keep the most suspicious frame of a segment."""
        frames = [self._waiting[i] for i in stretch.frame_indices if i in self._waiting]
        best = max(frames, key=lambda f: -math.inf if f.logit is None else f.logit)
        # a frame on the border of two segments may stand for both
        if best.time > self._last_shown:
            self._last_shown = best.time
            shown = Thumbnail(track_id=self.id, time=best.time, jpeg=best.jpeg)
            self.thumbnails.append((-math.inf if best.logit is None else best.logit, shown))


def can_be_judged(detail: float | None, config: AnalysisConfig) -> bool:
    """Whether there is enough of a face of this `Quality.detail` to tell a forged one by."""
    return detail is None or detail >= config.min_detail


def turn_note(turn: int) -> str:
    """That faces were found in a picture turned by so many quarters, counterclockwise, and where boxes are."""
    how = {1: "a quarter turn counterclockwise", 2: "half a turn", 3: "a quarter turn clockwise"}[turn]
    return f"faces were found only after {how} of the picture, which no one declared; boxes lie in the picture as it is"


def observation(
    time: float,
    box: Tensor,
    landmarks: Tensor,
    detection_prob: float,
    quality: Quality,
    fake_prob: float | None = None,
) -> Observation:
    """One face in one frame for the report: box (4,), landmarks (5, 2) px. Rounded: more digits only make it longer."""
    x0, y0, x1, y1 = (round(v, 1) for v in box.tolist())
    points = tuple((round(x, 1), round(y, 1)) for x, y in landmarks.tolist())
    return Observation(
        time=time,
        box_xyxy_px=(x0, y0, x1, y1),
        landmarks_px=(points[0], points[1], points[2], points[3], points[4]),
        detection_prob=round(min(max(detection_prob, 0.0), 1.0), 4),
        quality=Quality(
            face_px=round(quality.face_px, 1),
            sharpness=round(quality.sharpness, 1),
            yaw_degrees=round(quality.yaw_degrees, 1),
            roll_degrees=round(quality.roll_degrees, 1),
            detail=None if quality.detail is None else round(quality.detail, 2),
        ),
        fake_prob=fake_prob,
    )


def thumbnail_jpeg(crop: Tensor) -> bytes:
    """(3, S, S) uint8 RGB aligned crop -> a small JPEG."""
    image = crop.permute(1, 2, 0).cpu().numpy()[:, :, ::-1]
    small = cv2.resize(image, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert ok
    return data.tobytes()
