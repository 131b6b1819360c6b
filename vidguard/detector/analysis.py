"""The one state machine behind files and streams: frames in, segments out as soon as they are final."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from vidguard.calibration import DecisionRule
from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.record import Sighting, TrackRecord, observation, thumbnail_jpeg, turn_note
from vidguard.encoders import CROP
from vidguard.errors import InputError
from vidguard.faces import LONGEST_BLEND, FaceDetector, FaceFollower, FollowedFace, align_crops, measure_quality
from vidguard.segments import SegmentBuilder, union
from vidguard.temporal import FrameTokens, TemporalOutput, WindowedJudge
from vidguard.types import FrameBatch, Interval, Segment, Thumbnail
from vidguard.video import FrameSampler
from vidguard.weights import Calibration

_CHUNK: Final = 8  # frames worked on at once; fixed, so that an answer never depends on how frames were handed over


class Analysis:
    """Follows faces through one stream of frames and judges them.

    `push` and `finish` return calibrated segments in the order they become final. With keep_history, `records` (by
    track) hold what a report needs; without it, memory doesn't grow with the stream.
    """

    def __init__(
        self,
        judge: Judge,
        calibration: Calibration,
        rule: DecisionRule | None,
        face_detector: FaceDetector,
        config: AnalysisConfig,
        *,
        keep_history: bool,
    ) -> None:
        self.config = config
        self.records: dict[int, TrackRecord] = {}
        self.frames_analysed = 0
        self.seconds = 0.0
        self._keep_history = keep_history
        self._judge, self._calibration, self._rule = judge, calibration, rule
        self._follower = FaceFollower(face_detector, config.faces)
        self._sampler = FrameSampler(config.frames_per_second)
        self._waiting: list[tuple[Tensor, float]] = []
        self._open_frame: tuple[float, list[Sighting]] | None = None
        self.blends: list[Interval] = []
        """Stretches in which one scene dissolves into another."""
        self._held: list[tuple[Interval, list[Sighting]]] = []
        self._last_step = min(1.0 / config.frames_per_second, config.faces.max_gap_seconds)
        self._alive: set[int] = set()
        self._size: tuple[int, ...] | None = None
        self._last_time = float("-inf")
        self._shown: list[tuple[float, Thumbnail]] = []

    def push(self, batch: FrameBatch) -> list[Segment]:
        """Take the next frames (any number, any rate); returns the segments that became final."""
        segments: list[Segment] = []
        size = tuple(batch.frames.shape[2:])
        if self._size not in (None, size):
            raise InputError(f"all frames of a stream must be of one size; {self._size} became {size}")
        self._size = size
        for frame, time in zip(batch.frames, batch.pts_seconds):
            if time <= self._last_time:
                raise InputError(f"frame times must increase strictly; {time} s came after {self._last_time} s")
            self._last_time = time
            if self._sampler.wants(time):
                # a copy: callers reuse their frame buffers, and a view would keep a whole batch alive
                self._waiting.append((frame.clone(), time))
            if len(self._waiting) == _CHUNK:
                segments += self._work()
        return segments

    def finish(self) -> list[Segment]:
        """End the stream; returns the remaining segments."""
        segments = self._work() if self._waiting else []
        if self._open_frame is not None:
            self._settle(self._open_frame[0] + self._last_step)
        self._release(math.inf)
        for track_id in sorted(self._alive):
            segments += self._end_track(track_id)
        return segments

    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """At most config.max_thumbnails, the most suspicious ones, in order of time."""
        self._gather_thumbnails(most=self.config.max_thumbnails)
        return tuple(sorted((t for _, t in self._shown), key=lambda t: (t.time, t.track_id)))

    def notes(self) -> tuple[str, ...]:
        """What people should know of how faces were looked for."""
        notes = []
        if self._follower.turn:
            notes.append(turn_note(self._follower.turn))
        if self.blends:
            stretches = union(self.blends)
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
                self._shown += [(logit if record.judged else -math.inf, shown) for logit, shown in record.thumbnails]
                record.thumbnails.clear()
        if len(self._shown) > most:
            self._shown = sorted(self._shown, key=lambda pair: -pair[0])[: self.config.max_thumbnails]

    def _work(self) -> list[Segment]:
        frames = torch.stack([frame for frame, _ in self._waiting]).to(self._judge.device)
        times = tuple(time for _, time in self._waiting)
        self._waiting.clear()
        sightings = self._look(frames, self._follower.push(FrameBatch(frames, times)))
        for time, seen in zip(times, sightings):
            if self._open_frame is not None:
                self._settle(time)
            self._open_frame = (time, seen)
        self.frames_analysed += len(times)
        self._release(times[-1] - LONGEST_BLEND)
        segments: list[Segment] = []
        held = {sighting.track_id for _, sightings in self._held for sighting in sightings}
        for track_id in sorted(self._alive - self._follower.alive_track_ids - held):
            segments += self._end_track(track_id)
        for track_id in sorted(self._alive):
            segments += self.records[track_id].take()
        self._gather_thumbnails(most=2 * self.config.max_thumbnails)  # sorted now and then, not at every chunk
        return segments

    def _look(self, frames: Tensor, followed: Sequence[Sequence[FollowedFace]]) -> list[list[Sighting]]:
        """Crop, measure and encode all faces of a chunk at once."""
        flat = [(index, face) for index, faces in enumerate(followed) for face in faces]
        result: list[list[Sighting]] = [[] for _ in followed]
        if not flat:
            return result
        landmarks = torch.stack([face.landmarks_px for _, face in flat])
        boxes = torch.stack([face.box_xyxy_px for _, face in flat])
        where = torch.tensor([index for index, _ in flat])
        crops = align_crops(frames, where, landmarks, CROP)
        qualities = measure_quality(crops, boxes, landmarks)
        features = self._judge.encode(crops)
        times = torch.tensor([face.time for _, face in flat], dtype=torch.float64, device=self._judge.device)
        tokens = FrameTokens(features.embeddings, features.fake_logit, times)
        shown = crops.cpu()
        kinds = [] if features.kind_logits is None else features.kind_logits.tolist()
        for k, (index, face) in enumerate(flat):
            seen = observation(face.time, face.box_xyxy_px, face.landmarks_px, face.detection_prob, qualities[k])
            result[index].append(
                Sighting(face.track_id, seen, tokens[k : k + 1], thumbnail_jpeg(shown[k]), kinds[k : k + 1])
            )
        return result

    def _settle(self, next_time: float) -> None:
        """The open frame's stretch is known now: it lasts until the next frame, within reason."""
        assert self._open_frame is not None
        time, sightings = self._open_frame
        self._open_frame = None
        self._last_step = min(next_time - time, self.config.faces.max_gap_seconds)
        self.seconds += self._last_step
        self._held.append((Interval(time, time + self._last_step), sightings))

    def _release(self, before: float) -> None:
        """Judge the frames before a time: no dissolve can reach them any more. A mixture of two faces is nobody's."""
        self.blends += self._follower.take_blends()
        while self._held and self._held[0][0].start < before:
            shown, sightings = self._held.pop(0)
            if not any(blend.start <= shown.start < blend.end for blend in self.blends):
                self._record(sightings, shown)
        if not self._keep_history:
            self.blends = [blend for blend in self.blends if blend.end >= before]

    def _record(self, sightings: list[Sighting], shown: Interval) -> None:
        for sighting in sightings:
            if sighting.track_id not in self.records:
                self.records[sighting.track_id] = self._new_record(sighting.track_id)
                self._alive.add(sighting.track_id)
            self.records[sighting.track_id].add(sighting, shown.start, shown.end)

    def _new_record(self, track_id: int) -> TrackRecord:
        return TrackRecord(
            id=track_id,
            builder=SegmentBuilder(self.config.segment_seconds, self.config.bridge_seconds),
            windows=WindowedJudge(self._judge_window),
            calibration=self._calibration,
            rule=self._rule,
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

    @torch.inference_mode()
    def _judge_window(
        self, embeddings: dict[str, Tensor], frame_logits: Tensor, times: Tensor, valid: Tensor
    ) -> TemporalOutput:
        output: TemporalOutput = self._judge.temporal(embeddings, frame_logits, times, valid)
        return output
