"""The one state machine behind files and streams: frames in, segments out as soon as they are final."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.record import Sighting, TrackRecord, can_be_judged, observation, thumbnail_jpeg, turn_note
from vidguard.detector.still import StillAnswer, judge_still
from vidguard.encoders import CROP
from vidguard.errors import InputError
from vidguard.faces import BlendFilter, FaceDetector, FaceFollower, FollowedFace, align_crops, measure_quality
from vidguard.scoring import FrameTokens, Scoring, TrackScorer
from vidguard.scoring.segments import union
from vidguard.types import FrameBatch, Interval, Segment, Thumbnail
from vidguard.video import FrameSampler

_CHUNK: Final = 8  # frames worked on at once; fixed, so that an answer never depends on how frames were handed over
_FACES_AT_ONCE: Final = 64  # bounds memory in a crowd: 10 MB of crops, four times as much in float
HOLD_SECONDS: Final = 600.0
"""A frame speaks for the time it is shown, but for no longer: a clock that leaps isn't a picture that stays."""
# A frame shown for longer, and for more than two steps of the analysis, is looked at again at each step, as the frames
# that repeat it in a file of constant rate are. Of two frames no further apart something may have been shown between.
_STAYS_SECONDS: Final = 0.5
_STAYS_STEPS: Final = 2.0


@dataclass(frozen=True, eq=False)
class _TimedFrame:
    """A frame (3, H, W) that is shown for [start, end) seconds."""

    pixels: Tensor
    start: float
    end: float


class Analysis:
    """Follows faces through one stream of frames and judges them.

    `push` and `finish` return calibrated segments in the order they become final. With keep_history, `records` (by
    track) hold what a report needs; without it, memory doesn't grow with the stream.
    """

    def __init__(
        self,
        judge: Judge,
        scoring: Scoring,
        face_detector: FaceDetector,
        config: AnalysisConfig,
        *,
        keep_history: bool,
    ) -> None:
        self.config = config
        self.records: dict[int, TrackRecord] = {}
        self.frames_analysed = 0
        self.seconds = 0.0
        self.still: StillAnswer | None = None
        """Instead of records, after the end: what was judged as a still, for there was one frame, at one moment."""
        self._keep_history = keep_history
        self._judge, self._scoring = judge, scoring
        self._faces, self._follower = face_detector, FaceFollower(face_detector, config.faces)
        self._sampler = FrameSampler[Tensor](config.frames_per_second)
        self._shown: tuple[Tensor, float] | None = None
        self._waiting: list[_TimedFrame] = []
        self._looks = BlendFilter[tuple[Interval, list[Sighting]]](self._follower, keep_history=keep_history)
        self._last_step = min(1.0 / config.frames_per_second, config.faces.max_gap_seconds)
        self._num_held_longest = 0
        self._alive: set[int] = set()
        self._last_time = float("-inf")
        self._thumbnails: list[tuple[float, Thumbnail]] = []

    def push(self, batch: FrameBatch) -> list[Segment]:
        """Take the next frames (any number, any rate, any size); returns the segments that became final."""
        segments: list[Segment] = []
        for frame, time in zip(batch.frames, batch.pts_seconds):
            if time <= self._last_time:
                raise InputError(f"frame times must increase strictly; {time} s came after {self._last_time} s")
            self._last_time = time
            for taken in self._sampler.push(frame, time):
                segments += self._take(*taken)
        if self._sampler.passed_over is not None:
            frame, time = self._sampler.passed_over
            self._sampler.passed_over = frame.clone(), time  # see _take
        return segments

    def finish(self, end_seconds: float | None = None) -> list[Segment]:
        """End the stream; returns the remaining segments.

        end_seconds: when the last frame handed in stops being shown; None: unknown, it then speaks for as long as the
        one before, for `FaceConfig.max_gap_seconds` at most. A single frame that isn't known to stay is judged as a
        still: see `still`.
        """
        segments: list[Segment] = []
        for taken in self._sampler.finish(end_seconds):
            segments += self._take(*taken)
        if self._shown is not None:
            time = self._shown[1]
            likely = time + min(self._last_step, self.config.faces.max_gap_seconds)
            self._show_until(likely if end_seconds is None or end_seconds <= time else end_seconds)
            if self.frames_analysed == 0 and len(self._waiting) == len(self._look_times(self._waiting[0])) == 1:
                return self._judge_still(self._waiting.pop())
            segments += self._work()
        self._record(self._looks.release())
        for track_id in sorted(self._alive):
            segments += self._end_track(track_id)
        return segments

    @property
    def num_faces_left_out(self) -> int:
        """Most faces of one frame that were found and not looked at."""
        return self._follower.most_left_out if self.still is None else self.still.num_faces_left_out

    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """At most config.max_thumbnails, the most suspicious ones, in order of time."""
        self._gather_thumbnails(most=self.config.max_thumbnails)
        return tuple(sorted((t for _, t in self._thumbnails), key=lambda t: (t.time, t.track_id)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how faces were looked for, and of what the answer doesn't rest on."""
        notes = []
        if self._num_held_longest:
            notes.append(
                f"a frame speaks for {HOLD_SECONDS:g} s at most: {self._num_held_longest} stayed for longer, "
                "and what they showed after that isn't counted"
            )
        if self._follower.turn:
            notes.append(turn_note(self._follower.turn))
        if self._looks.blends:
            stretches = union(self._looks.blends)
            seconds = sum(end - start for start, end in stretches)
            notes.append(
                f"{len(stretches)} gradual change(s) of scene, {seconds:.1f} s in all: faces in them are mixtures, "
                "which aren't judged, and tracks end there"
            )
        return tuple(notes)

    def _gather_thumbnails(self, *, most: int) -> None:
        for record in self.records.values():
            if record.judged is not None:
                # what isn't judged comes last
                for logit, shown in record.thumbnails:
                    self._thumbnails.append((logit if record.judged else -math.inf, shown))
                record.thumbnails.clear()
        if len(self._thumbnails) > most:
            self._thumbnails = sorted(self._thumbnails, key=lambda pair: -pair[0])[: self.config.max_thumbnails]

    def _judge_still(self, frame: _TimedFrame) -> list[Segment]:
        """The one frame there is, by the frame calibration: a track would take two sightings."""
        self.frames_analysed, self.seconds = 1, frame.end - frame.start
        shown = Interval(frame.start, frame.end)
        pixels = frame.pixels[None].to(self._judge.device)
        self.still = judge_still(pixels, shown, self._judge, self._scoring, self._faces, self.config)
        return list(self.still.segments)

    def _take(self, frame: Tensor, time: float) -> list[Segment]:
        """A frame to be analysed: how long the one before is shown is known now."""
        segments: list[Segment] = []
        if self._shown is not None:
            self._show_until(time)
            if len(self._waiting) == _CHUNK:
                segments = self._work()
        # a copy: callers reuse their frame buffers, and a view would keep a whole batch alive
        self._shown = frame.clone(), time
        return segments

    def _show_until(self, end: float) -> None:
        assert self._shown is not None
        frame, start = self._shown
        self._num_held_longest += end - start > HOLD_SECONDS
        self._last_step = min(end - start, HOLD_SECONDS)
        self._waiting.append(_TimedFrame(frame, start, start + self._last_step))
        self._shown = None

    def _work(self) -> list[Segment]:
        """Follow and encode the faces of the frames that wait; record those that no dissolve can reach any more."""
        waiting, self._waiting = self._waiting, []
        looks = [self._look_times(frame) for frame in waiting]
        for part in _parts([frame.pixels.shape for frame in waiting], [len(times) > 1 for times in looks]):
            frames = torch.stack([frame.pixels for frame in waiting[part]]).to(self._judge.device)
            batch = FrameBatch(frames, tuple(frame.start for frame in waiting[part]))
            sightings = self._look(frames, self._follower.push(batch))
            for frame, times, seen in zip(waiting[part], looks[part], sightings):
                shown = Interval(frame.start, times[1] if times[1:] else frame.end)
                self._looks.hold(frame.start, (shown, seen))
                self.seconds += frame.end - frame.start
            last, times, seen = waiting[part.stop - 1], looks[part.stop - 1][1:], sightings[-1]
            for time, end in zip(times, [*times[1:], last.end]):
                faces = self._follower.hold(time)
                if faces and not seen:  # found out to lie on its side, since
                    seen = self._look(frames[-1:], [faces])[0]
                self._looks.hold(time, (Interval(time, end), [sighting.at(time) for sighting in seen]))
        self.frames_analysed += len(waiting)
        self._record(self._looks.release(waiting[-1].start))
        segments: list[Segment] = []
        held = {sighting.track_id for _, sightings in self._looks.held for sighting in sightings}
        for track_id in sorted(self._alive - self._follower.alive_track_ids - held):
            segments += self._end_track(track_id)
        for track_id in sorted(self._alive):
            segments += self.records[track_id].take()
        self._gather_thumbnails(most=2 * self.config.max_thumbnails)  # sorted now and then, not at every chunk
        return segments

    def _look_times(self, frame: _TimedFrame) -> list[float]:
        """When a frame is looked at: as it appears and, where it stays, at every step of the analysis."""
        seconds, rate = frame.end - frame.start, self.config.frames_per_second
        if seconds <= max(_STAYS_SECONDS, _STAYS_STEPS / rate):
            return [frame.start]
        return [frame.start + k / rate for k in range(round(seconds * rate))]

    def _look(self, frames: Tensor, followed: Sequence[Sequence[FollowedFace]]) -> list[list[Sighting]]:
        """Crop, measure and encode all faces of a chunk, at most _FACES_AT_ONCE together."""
        flat = [(index, face) for index, faces in enumerate(followed) for face in faces]
        result: list[list[Sighting]] = [[] for _ in followed]
        for start in range(0, len(flat), _FACES_AT_ONCE):
            part = flat[start : start + _FACES_AT_ONCE]
            for (index, _), sighting in zip(part, self._look_at(frames, part)):
                result[index].append(sighting)
        return result

    def _look_at(self, frames: Tensor, faces: Sequence[tuple[int, FollowedFace]]) -> Iterator[Sighting]:
        """The sightings of faces, each with the index of its frame."""
        landmarks = torch.stack([face.landmarks_px for _, face in faces])
        boxes = torch.stack([face.box_xyxy_px for _, face in faces])
        where = torch.tensor([index for index, _ in faces])
        crops = align_crops(frames, where, landmarks, CROP)
        qualities = measure_quality(crops, boxes, landmarks)
        features = self._judge.encode(crops)
        times = torch.tensor([face.time for _, face in faces], dtype=torch.float64, device=self._judge.device)
        tokens = FrameTokens(features.embeddings, features.fake_logit, times)
        shown = crops.cpu()
        kinds = [] if features.kind_logits is None else features.kind_logits.tolist()
        for k, (_, face) in enumerate(faces):
            seen = observation(face.time, face.box_xyxy_px, face.landmarks_px, face.detection_prob, qualities[k])
            judged = can_be_judged(qualities[k].detail, self.config)
            jpeg = thumbnail_jpeg(shown[k])
            yield Sighting(face.track_id, seen, tokens[k : k + 1], jpeg, kinds[k : k + 1], judged)

    def _record(self, looks: Iterable[tuple[Interval, list[Sighting]]]) -> None:
        """Keep what looks found; each speaks for the time shown."""
        for shown, sightings in looks:
            for sighting in sightings:
                if sighting.track_id not in self.records:
                    self.records[sighting.track_id] = self._new_record(sighting.track_id)
                    self._alive.add(sighting.track_id)
                self.records[sighting.track_id].add(sighting, shown)

    def _new_record(self, track_id: int) -> TrackRecord:
        return TrackRecord(
            id=track_id,
            scorer=TrackScorer(self._judge.judge_window, self.config),
            scoring=self._scoring,
            min_frames=self.config.min_track_frames,
            clear_from=self.config.clear_detection_prob,
            keep_history=self._keep_history,
            kinds=self._judge.kind_names,
        )

    def _end_track(self, track_id: int) -> list[Segment]:
        self._alive.discard(track_id)
        segments = self.records[track_id].finish()
        if not self._keep_history:
            del self.records[track_id]
        return segments


def _parts(sizes: Sequence[tuple[int, ...]], stays: Sequence[bool]) -> Iterator[slice]:
    """Consecutive stretches of frames of one size, each up to one that stays."""
    start = 0
    for index, last in enumerate(stays, 1):
        if last or index == len(stays) or sizes[index] != sizes[index - 1]:
            yield slice(start, index)
            start = index
