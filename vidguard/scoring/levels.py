"""What a calibration and one of its decision rules make of logits; resolved once, when a weight set is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vidguard.scoring.calibration import (
    PROBABILITY_DIGITS,
    Band,
    Calibration,
    DecisionRule,
    GenuineScores,
    Platt,
    TrackReading,
)
from vidguard.types import Decision, Label


@dataclass(frozen=True)
class Level:
    """How scores of one kind (stills' faces, segments, videos and their faces) are read."""

    platt: Platt
    threshold: float
    """A probability at or above it is flagged."""
    band: Band | None = None
    """Decisions of a stated error rate; None where the weights promise none."""
    genuine: GenuineScores = field(default_factory=GenuineScores)
    """How genuine faces score, in logits; nothing is corrected by segments'."""

    def probability(self, logit: float) -> float:
        """The calibrated probability of one logit, on the grid that reports use."""
        return round(self.platt(logit), PROBABILITY_DIGITS)

    def is_flagged(self, fake_prob: float | None) -> bool:
        """Whether a probability reaches the threshold; None, for what wasn't judged, never does."""
        return fake_prob is not None and fake_prob >= self.threshold

    def label(self, fake_prob: float | None) -> Label | None:
        """The decision about one probability, where there is a band and a probability."""
        return None if self.band is None or fake_prob is None else self.band.label(fake_prob)


@dataclass(frozen=True)
class Scoring:
    """Every level of a weight set's answers under one decision rule, or under its own thresholds where it has none."""

    frame: Level
    """Of stills, and of crops that are handed in."""
    segment: Level
    """Of segments, and of a video's single frames."""
    video: Level
    """Of videos, and of the faces in them."""
    reading: TrackReading
    """How a face's logit in a video is read from its parts."""
    finding_threshold: float | None
    """Two frames at or above it open a finding; None: segments at or above theirs are findings."""
    note: str
    """What material the thresholds come from."""
    error_rate: float | None = None
    """Of the decision rule; None without one."""

    @staticmethod
    def of(calibration: Calibration, rule: DecisionRule | None = None) -> Scoring:
        """The levels of a calibration, with a rule's bounds in place of the calibration's own thresholds."""

        c = calibration
        if rule is None:
            frame = Level(c.frame, c.frame_threshold, None, c.frame_genuine)
            segment = Level(c.segment, c.segment_threshold)
            video = Level(c.video, c.video_threshold, None, c.video_genuine)
        else:
            frame = Level(c.frame, rule.frame.manipulated_from, rule.frame, c.frame_genuine)
            segment = Level(c.segment, rule.segment.manipulated_from, rule.segment)
            video = Level(c.video, rule.video.manipulated_from, rule.video, c.video_genuine)
        return Scoring(
            frame=frame,
            segment=segment,
            video=video,
            reading=c.video_reading,
            finding_threshold=c.finding_threshold if rule is None else rule.finding_from,
            note=c.threshold_note if rule is None else rule.note,
            error_rate=None if rule is None else rule.error_rate,
        )

    def decision(
        self, level: Level, fake_prob: float | None, faces: Iterable[float | None], *, complete: bool
    ) -> Decision | None:
        """The decision about a whole source, where there is a rule and a probability.

        Manipulated by the source's probability, genuine only where each judged face is and all of the source was seen,
        else undecided. So both error rates hold for any number of faces: the correction for their number bounds how
        often genuine faces are flagged, and a forged face among genuine ones is called genuine no more often than
        alone. faces: each face's probability, None for those that weren't judged.
        """
        if level.band is None or fake_prob is None:
            return None
        assert self.error_rate is not None
        label = level.band.label(fake_prob)
        if label != "manipulated":
            each_genuine = all(level.band.label(face) == "genuine" for face in faces if face is not None)
            label = "genuine" if complete and each_genuine else "undecided"
        return Decision(
            label=label,
            error_rate=self.error_rate,
            genuine_below=level.band.genuine_below,
            manipulated_from=level.band.manipulated_from,
        )
