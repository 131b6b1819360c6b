"""The one state machine behind files and streams: frames in, segments out as soon as they are final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import torch
from torch import Tensor

from vidguard.calibration import Platt
from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.verdict import track_logit
from vidguard.encoders import CROP_MARGIN, CROP_SIZE
from vidguard.faces import FaceDetector, FaceFollower, FollowedFace, align_crops, measure_quality
from vidguard.segments import ScoredStretch, SegmentBuilder
from vidguard.temporal import FrameTokens, TemporalOutput, WindowedJudge
from vidguard.types import FrameBatch, Interval, Observation, Quality, Segment, Status, Thumbnail, Track
from vidguard.video import FrameSampler
from vidguard.weights import Calibration

_CHUNK: Final = 8  # frames worked on at once; fixed, so that an answer never depends on how frames were handed over
_THUMBNAIL_PX: Final = 128


@dataclass
class TrackState:
    """Everything kept of one followed face."""

    builder: SegmentBuilder
    windows: WindowedJudge
    observations: list[Observation] = field(default_factory=list)
    thumbnails: dict[int, bytes] = field(default_factory=dict)
    """JPEGs by frame position, until the segment they belong to is final."""
    raw_logits: list[float] = field(default_factory=list)
    """Final frame logits, before calibration."""
    stretches: list[ScoredStretch] = field(default_factory=list)
    judged: bool = True


class Analysis:
    """Follows faces through one stream of frames and judges them.

    `push` and `finish` return calibrated segments in the order they become final; what has been gathered so far is in
    `tracks` (by id), `frames_analysed`, `seconds`, `thumbnails`.
    """

    def __init__(
        self, judge: Judge, calibration: Calibration, face_detector: FaceDetector, config: AnalysisConfig
    ) -> None:
        self.config = config
        self.tracks: dict[int, TrackState] = {}
        self.thumbnails: list[Thumbnail] = []
        self.frames_analysed = 0
        self.seconds = 0.0
        self._judge, self._calibration = judge, calibration
        self._follower = FaceFollower(face_detector, config.faces)
        self._sampler = FrameSampler(config.frames_per_second)
        self._waiting: list[tuple[Tensor, float]] = []
        self._open_frame: tuple[float, list[tuple[FollowedFace, Observation, FrameTokens, bytes]]] | None = None
        self._last_step = 1.0 / config.frames_per_second
        self._alive: set[int] = set()

    def push(self, batch: FrameBatch) -> list[Segment]:
        """Take the next frames (any number, any rate); returns the segments that became final."""
        segments: list[Segment] = []
        for frame, time in zip(batch.frames, batch.pts_seconds):
            if self._sampler.wants(time):
                self._waiting.append((frame, time))
            if len(self._waiting) == _CHUNK:
                segments += self._work()
        return segments

    def finish(self) -> list[Segment]:
        """End the stream; returns the remaining segments."""
        segments = self._work() if self._waiting else []
        if self._open_frame is not None:
            self._settle(self._open_frame[0] + self._last_step)
        for track_id in sorted(self._alive):
            segments += self._end_track(track_id)
        return segments

    def _work(self) -> list[Segment]:
        frames = torch.stack([frame for frame, _ in self._waiting])
        times = tuple(time for _, time in self._waiting)
        self._waiting.clear()
        followed = self._follower.push(FrameBatch(frames, times))
        looked_at = self._look(frames, followed)
        for time, faces in zip(times, looked_at):
            if self._open_frame is not None:
                self._settle(time)
            self._open_frame = (time, faces)
        self.frames_analysed += len(times)
        segments: list[Segment] = []
        gone = self._alive - self._follower.alive_track_ids
        for track_id in sorted(gone & self._alive):
            segments += self._end_track(track_id)
        for track_id in sorted(self._alive):
            segments += self._emit(track_id, self.tracks[track_id].builder.take())
        return segments

    def _look(
        self, frames: Tensor, followed: Sequence[Sequence[FollowedFace]]
    ) -> list[list[tuple[FollowedFace, Observation, FrameTokens, bytes]]]:
        """Crop, measure and encode all faces of a chunk at once."""
        flat = [(index, face) for index, faces in enumerate(followed) for face in faces]
        result: list[list[tuple[FollowedFace, Observation, FrameTokens, bytes]]] = [[] for _ in followed]
        if not flat:
            return result
        landmarks = torch.stack([face.landmarks_px for _, face in flat])
        boxes = torch.stack([face.box_xyxy_px for _, face in flat])
        where = torch.tensor([index for index, _ in flat])
        crops = align_crops(frames, where, landmarks, size=CROP_SIZE, margin=CROP_MARGIN)
        qualities = measure_quality(crops, boxes, landmarks)
        features = self._judge.encode(crops)
        jpegs = [_jpeg(crop) for crop in crops]
        for position, (index, face) in enumerate(flat):
            part = slice(position, position + 1)
            tokens = FrameTokens(
                {name: e[part] for name, e in features.embeddings.items()},
                features.fake_logit[part],
                torch.tensor([face.time], dtype=torch.float64, device=features.fake_logit.device),
            )
            seen = observation(face.time, face.box_xyxy_px, face.landmarks_px, face.detection_prob, qualities[position])
            result[index].append((face, seen, tokens, jpegs[position]))
        return result

    def _settle(self, next_time: float) -> None:
        """The open frame's stretch is known now: it lasts until the next frame, within reason."""
        assert self._open_frame is not None
        time, faces = self._open_frame
        step = min(next_time - time, self.config.faces.max_gap_seconds)
        self.seconds += step
        self._last_step = step
        self._open_frame = None
        for face, seen, tokens, jpeg in faces:
            if face.track_id not in self.tracks:
                builder = SegmentBuilder(self.config.segment_seconds, self.config.bridge_seconds)
                self.tracks[face.track_id] = TrackState(builder, WindowedJudge(self._judge_window))
                self._alive.add(face.track_id)
            state = self.tracks[face.track_id]
            state.thumbnails[len(state.observations)] = jpeg
            state.observations.append(seen)
            state.builder.add_frame(time, time + step)
            self._score(state, state.windows.push(tokens))

    @torch.inference_mode()
    def _judge_window(
        self, embeddings: dict[str, Tensor], frame_logits: Tensor, times: Tensor, valid: Tensor
    ) -> TemporalOutput:
        output: TemporalOutput = self._judge.temporal(embeddings, frame_logits, times, valid)
        return output

    def _score(self, state: TrackState, logits: list[float]) -> None:
        state.builder.add_logits(logits)
        for logit in logits:
            at = len(state.raw_logits)
            probability = round(self._calibration.segment(logit), 5)
            state.observations[at] = replace(state.observations[at], fake_prob=probability)
            state.raw_logits.append(logit)

    def _end_track(self, track_id: int) -> list[Segment]:
        state = self.tracks[track_id]
        self._alive.discard(track_id)
        self._score(state, state.windows.finish())
        state.judged = len(state.observations) >= self.config.min_track_frames
        return self._emit(track_id, state.builder.finish())

    def _emit(self, track_id: int, stretches: list[ScoredStretch]) -> list[Segment]:
        state = self.tracks[track_id]
        state.stretches += stretches
        for stretch in stretches:
            best = max(stretch.frame_indices, key=lambda i: state.raw_logits[i])
            if best in state.thumbnails and len(self.thumbnails) < self.config.max_thumbnails:
                seen = state.observations[best]
                # a frame on the border of two segments may stand for both
                if not any(t.track_id == track_id and t.time == seen.time for t in self.thumbnails[-4:]):
                    self.thumbnails.append(Thumbnail(track_id=track_id, time=seen.time, jpeg=state.thumbnails[best]))
            for index in stretch.frame_indices[:-1]:
                state.thumbnails.pop(index, None)
        return [calibrated(track_id, s, self._calibration.segment if state.judged else None) for s in stretches]

    def history(self) -> tuple[tuple[Track, ...], dict[int, list[ScoredStretch]]]:
        """All tracks by id with their judged stretches; complete after `finish`."""
        judged = {i: s.stretches for i, s in sorted(self.tracks.items()) if s.judged}
        return tuple(self._track(i, s) for i, s in sorted(self.tracks.items())), judged

    def _track(self, track_id: int, state: TrackState) -> Track:
        probability = self._calibration.video(track_logit(state.stretches)) if state.judged else None
        observations = state.observations if state.judged else [replace(o, fake_prob=None) for o in state.observations]
        return Track(
            id=track_id,
            spans=tuple(state.builder.spans),
            observations=tuple(observations),
            status=Status.OK if state.judged else Status.TOO_SHORT,
            fake_prob=probability,
        )


def still_report_parts(
    frame: Tensor, judge: Judge, calibration: Calibration, face_detector: FaceDetector, config: AnalysisConfig
) -> tuple[tuple[Track, ...], tuple[Segment, ...], tuple[Thumbnail, ...]]:
    """Judge every face of one still (1, 3, H, W) uint8 RGB by the encoders alone.

    A still has no duration; its faces carry the nominal stretch [0, segment_seconds).
    """
    found = face_detector.detect(frame)[0]
    largest_first = (found.boxes_xyxy_px[:, 0] - found.boxes_xyxy_px[:, 2]).argsort()[: config.faces.max_faces]
    boxes, landmarks = found.boxes_xyxy_px[largest_first].cpu(), found.landmarks_px[largest_first].cpu()
    where = torch.zeros(len(boxes), dtype=torch.long)
    crops = align_crops(frame, where, landmarks, size=CROP_SIZE, margin=CROP_MARGIN)
    qualities = measure_quality(crops, boxes, landmarks)
    logits = judge.encode(crops).fake_logit.tolist()
    nominal = Interval(0.0, config.segment_seconds)
    tracks, segments, thumbnails = [], [], []
    for index, logit in enumerate(logits):
        probability = calibration.frame(logit)
        detection_prob = float(found.probs[largest_first][index])
        seen = observation(0.0, boxes[index], landmarks[index], detection_prob, qualities[index], probability)
        tracks.append(Track(index, (nominal,), (seen,), Status.OK, probability))
        segments.append(Segment(nominal.start, nominal.end, index, probability, 1))
        thumbnails.append(Thumbnail(index, 0.0, _jpeg(crops[index])))
    return tuple(tracks), tuple(segments), tuple(thumbnails)


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
        ),
        fake_prob=fake_prob,
    )


def calibrated(track_id: int, stretch: ScoredStretch, platt: Platt | None) -> Segment:
    """A stretch with its probability; without a calibration the segment stays unjudged."""
    return Segment(
        start=stretch.start,
        end=stretch.end,
        track_id=track_id,
        fake_prob=None if platt is None else platt(stretch.logit),
        num_frames=stretch.num_frames,
    )


def _jpeg(crop: Tensor) -> bytes:
    image = crop.permute(1, 2, 0).cpu().numpy()[:, :, ::-1]
    small = cv2.resize(image, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert ok
    return data.tobytes()
