"""The public face of the library: load weights once, then analyse files, stills, streams and crops."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import BinaryIO, Final, ParamSpec, TypeVar

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import vidguard._version as version
from vidguard.config import AnalysisConfig
from vidguard.detector.analysis import Analysis
from vidguard.detector.explain import explain
from vidguard.detector.judge import load_judge
from vidguard.detector.record import TrackRecord, turn_note
from vidguard.detector.still import StillAnswer, judge_still
from vidguard.detector.triage import Triage, choose_point, examine, quick_detector
from vidguard.errors import BackendError, InputError
from vidguard.faces import FaceDetector
from vidguard.sandbox import Sandbox
from vidguard.scoring import Scoring
from vidguard.scoring.segments import merge_findings, union
from vidguard.scoring.verdict import video_logit
from vidguard.text import printable
from vidguard.types import (
    Coverage,
    EngineInfo,
    Finding,
    FrameBatch,
    Interval,
    Report,
    Segment,
    Status,
    Track,
    WeightsInfo,
)
from vidguard.video import VideoReader, open_source
from vidguard.video.keyframes import open_key_frames
from vidguard.weights import find_weights

Source = str | Path | bytes | BinaryIO
Progress = Callable[[float, float | None], None]
TimedFrame = tuple[Tensor | NDArray[np.uint8], float]
_P = ParamSpec("_P")
_Answer = TypeVar("_Answer", Report, Triage)
_LOG = logging.getLogger(__name__)
_STILL_NOTE: Final = "a still image: one frame, judged alone; there is no temporal part"
_ONE_FRAME_NOTE: Final = "a video of one frame: judged alone, as a still is; there is no temporal part"
_CUT_TO_ONE_NOTE: Final = "one frame of a video: judged alone, as a still is; there is no temporal part"


def load(name: str | None = None, *, device: str | None = None, config: AnalysisConfig | None = None) -> Detector:
    """Load a weight set by name (default: the manifest's default) onto a device.

    device: "cpu", "cuda" or "cuda:N"; None takes CUDA where torch sees it, else the CPU; `Detector.device` tells which.
    Raises WeightsError and BackendError.
    """
    return Detector(name, device=device, config=config)


def choose_device(device: str | None) -> torch.device:
    """The one visible rule for devices. Raises BackendError when what was asked for isn't there."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BackendError(f"no device is called {device!r}; use cpu, cuda or cuda:0") from error
    if chosen.type not in ("cpu", "cuda"):
        raise BackendError(f"device {device!r} isn't supported; use cpu, cuda or cuda:0")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise BackendError(f"torch sees {torch.cuda.device_count()} CUDA devices here, not {device!r}; use cpu")
    return chosen


def _logged(judge: Callable[_P, _Answer]) -> Callable[_P, _Answer]:
    """Log what judge answers, what was wrong with the source, and how long it took."""

    @wraps(judge)
    def logged(*args: _P.args, **kwargs: _P.kwargs) -> _Answer:
        began = perf_counter()
        answer = judge(*args, **kwargs)
        seconds, name = perf_counter() - began, printable(answer.source.name)
        if isinstance(answer, Report):
            said, why, notes = answer.status.value, answer.explanation, answer.engine.notes
        else:
            said, why, notes = answer.outcome.value, answer.why, answer.notes
        _LOG.info("%s: %s in %.2f s: %s", name, said, seconds, printable(why))
        for note in notes:
            _LOG.info("%s: note: %s", name, printable(note))
        return answer

    return logged


class Detector:
    """Loaded weights on a device, ready to judge. Not thread-safe; one per thread or process."""

    def __init__(
        self, name: str | None = None, *, device: str | None = None, config: AnalysisConfig | None = None
    ) -> None:
        entry = find_weights(name)
        self.device = choose_device(device)
        self.config = AnalysisConfig() if config is None else config
        self.judge, self.passport = load_judge(entry)
        self.judge.to(self.device)
        calibration = self.passport.calibration
        scoring = self.scoring = Scoring.of(calibration, self.passport.rule(self.config.error_rate))
        self.weights = WeightsInfo(
            name=entry.name,
            sha256=entry.sha256["model.safetensors"],
            encoders=self.passport.encoders,
            threshold=scoring.video.threshold,
            segment_threshold=scoring.segment.threshold,
            finding_threshold=scoring.finding_threshold,
            threshold_note=scoring.note,
            calibrated=calibration.fitted_on is not None,
        )
        self._face_detector = FaceDetector(self.config.faces, device=self.device)
        _LOG.debug("weights %s (%s…) loaded on %s", entry.name, self.weights.sha256[:12], self.device)

    @_logged
    def analyze(
        self,
        source: Source,
        *,
        backend: str | None = None,
        progress: Progress | None = None,
        sandbox: Sandbox | None = None,
    ) -> Report:
        """Analyse a video or still image: a path, its bytes, or a binary file object.

        backend: "pyav", "pyav-nvdec", "decord" or "pillow"; None chooses by content and device. progress is called with
        (seconds done, seconds in all or None). sandbox: decode there, in software; the engine's notes say what confines
        it. Raises SourceError (LimitError and DecoderCrash too) where there is nothing to analyse, and BackendError
        when the backend isn't available; anything in between is a Status of the report.
        """
        limits = self.config.limits
        began = perf_counter()
        with open_source(source, device=self.device, backend=backend, limits=limits, sandbox=sandbox) as reader:
            if reader.info.kind == "image":
                return _noted(self._analyze_still(reader), sandbox)
            analysis = self._start(keep_history=True)
            segments: list[Segment] = []
            cut: str | None = None
            for batch in reader.batches(frames_per_second=self.config.frames_per_second):
                if cut is not None:
                    end_seconds: float | None = batch.pts_seconds[0]  # what is shown from there on wasn't looked at
                    break
                segments += analysis.push(batch)
                frames, tracks = reader.num_frames_decoded, len(analysis.records)
                cut = limits.passed(num_frames=frames, num_tracks=tracks, seconds=perf_counter() - began)
                if progress is not None:
                    progress(batch.pts_seconds[-1] - reader.info.start_seconds, reader.info.duration_seconds)
            else:
                cut, end_seconds = None, reader.end_seconds  # it came to its end all the same
            segments += analysis.finish(end_seconds)
            if analysis.still is not None:
                note = _ONE_FRAME_NOTE if cut is None else _CUT_TO_ONE_NOTE
                answer = self._still_report(reader, analysis.still, note, analysis.seconds, cut)
            else:
                answer = self._report(reader, analysis, segments, cut)
            return _noted(answer, sandbox)

    def explain(self, source: Source, report: Report, *, sandbox: Sandbox | None = None) -> Report:
        """The report of `analyze` on the same source, with explanations of its most suspicious findings.

        Decodes the source again up to the last of them, in the sandbox if there is one. Raises as `analyze` does, and
        InputError for a report of other weights.
        """
        return explain(self, source, report, sandbox=sandbox)

    @_logged
    def triage(
        self, source: Source, *, misses: float = 0.01, of: str = "fakes", sandbox: Sandbox | None = None
    ) -> Triage:
        """Look at a few key frames only: is the whole analysis needed?

        misses and of choose one of the weights' operating points: the share that may be cleared wrongly, of all "fakes"
        or of those "found", which `analyze` would flag. sandbox: decode there. Raises SourceError (LimitError and
        DecoderCrash too) where there is nothing to look at, and WeightsError where the weights have no such point.
        """
        point, max_frames = choose_point(self.passport, misses, of)
        faces = quick_detector(self._face_detector)
        detail, limits = self.config.min_detail, self.config.limits
        with open_key_frames(source, max_frames=max_frames, limits=limits, sandbox=sandbox) as reader:
            answer = examine(reader, self.judge, faces, point, limits, weights=self.weights, min_detail=detail)
        return answer if sandbox is None else replace(answer, notes=(*answer.notes, sandbox.note))

    def stream(self, frames: Iterable[TimedFrame | FrameBatch]) -> Iterator[Segment]:
        """Judge frames as they arrive; yields each segment as soon as nothing later can change it.

        A face's first ones wait until it has been seen clearly, and all for as long as a dissolve may still reach them.

        frames: pairs (frame, pts in seconds), frame uint8 RGB, upright, (H, W, 3) or (3, H, W), array or tensor,
        times strictly increasing; or whole FrameBatches. Hand in every frame: sampling is done here, by time.
        A frame is shown until the next one; how long the last one stays isn't known: as long as the one before, for a
        second at most. But for that the segments equal those of `analyze` on the same frames, sorted by when they
        became final.
        """
        analysis = self._start(keep_history=False)
        for item in frames:
            yield from analysis.push(item if isinstance(item, FrameBatch) else _batch_of_one(item))
        yield from analysis.finish()

    def score_crops(self, crops: Tensor | NDArray[np.uint8]) -> Tensor:
        """Calibrated probabilities of face crops that are already cut, each judged alone.

        crops: (N, 3, H, W) uint8 RGB, N >= 0, any size from 8 px; roughly the face's box enlarged by 1.0 to 1.4 suits
        the weights. Gives (N,) float32 in [0, 1] on the CPU. Raises InputError on another shape or type.
        """
        logits = self.judge.encode(_as_tensor(crops)).fake_logit.double().cpu().numpy()
        return torch.from_numpy(self.scoring.frame.platt(logits)).float()

    def _start(self, *, keep_history: bool) -> Analysis:
        return Analysis(self.judge, self.scoring, self._face_detector, self.config, keep_history=keep_history)

    def _analyze_still(self, reader: VideoReader) -> Report:
        frame = next((batch.frames for batch in reader.batches()), None)
        if frame is None:
            return self._still_report(reader, StillAnswer(), _STILL_NOTE, 0.0)
        nominal = Interval(0.0, self.config.segment_seconds)  # a still has no duration
        answer = judge_still(frame, nominal, self.judge, self.scoring, self._face_detector, self.config)
        return self._still_report(reader, answer, _STILL_NOTE, 0.0)

    def _still_report(
        self, reader: VideoReader, answer: StillAnswer, note: str, seconds: float, cut: str | None = None
    ) -> Report:
        """Of one frame, shown for so many seconds; not one decoded where the reader has none. cut: as for `_report`."""
        tracks, fake_prob, level = answer.tracks, answer.fake_prob, self.scoring.frame
        own = _own_troubles(cut, answer.num_faces_left_out)
        troubles = (*own, *reader.troubles)
        status = _status(reader.num_frames_decoded, tracks, fake_prob, complete=not troubles)
        notes = (note, turn_note(answer.turn)) if answer.turn else (note,)
        # a still is judged by the frame calibration, so it is flagged by the frame threshold
        threshold = level.threshold
        weights = replace(self.weights, threshold=threshold, segment_threshold=threshold, finding_threshold=None)
        return Report(
            status=status,
            fake_prob=fake_prob,
            explanation=_explain(status, tracks, troubles, *notes),
            source=reader.info,
            coverage=Coverage(
                num_frames_decoded=reader.num_frames_decoded,
                num_frames_analysed=min(reader.num_frames_decoded, 1),
                seconds=seconds,
                seconds_with_face=seconds if tracks else 0,
                seconds_judged=seconds if fake_prob is not None else 0,
                complete=not troubles,
                num_faces_left_out=answer.num_faces_left_out,
            ),
            weights=weights,
            engine=self._engine(reader, (*notes, *own)),
            settings=self.config.as_dict(),
            tracks=tracks,
            segments=answer.segments,
            findings=tuple(
                replace(found, kind=tracks[found.track_id].kind) for found in merge_findings(answer.segments, threshold)
            ),
            thumbnails=answer.thumbnails,
            decision=self.scoring.decision(level, fake_prob, (t.fake_prob for t in tracks), complete=not troubles),
        )

    def _report(self, reader: VideoReader, analysis: Analysis, segments: list[Segment], cut: str | None) -> Report:
        """cut: the limit that ended the analysis early."""
        records = [analysis.records[i] for i in sorted(analysis.records)]
        tracks = tuple(record.track() for record in records)
        scoring, reading = self.scoring, self.scoring.reading
        judged = {r.id: r.scores.parts(reading) for r in records if r.judged}
        logit = video_logit(judged, scoring.video.genuine, reading.share)
        fake_prob = None if logit is None else scoring.video.probability(logit)
        own = _own_troubles(cut, analysis.num_faces_left_out)
        troubles = (*own, *reader.troubles)
        status = _status(analysis.frames_analysed, tracks, logit, complete=not troubles)
        ordered = tuple(sorted(segments, key=lambda s: (s.track_id, s.start)))
        return Report(
            status=status,
            fake_prob=fake_prob,
            explanation=_explain(status, tracks, troubles, *analysis.notes),
            source=reader.info,
            coverage=Coverage(
                num_frames_decoded=reader.num_frames_decoded,
                num_frames_analysed=analysis.frames_analysed,
                seconds=analysis.seconds,
                seconds_with_face=_union_seconds(span for track in tracks for span in track.spans),
                seconds_judged=_union_seconds(s for s in ordered if s.fake_prob is not None),
                complete=not troubles,
                num_faces_left_out=analysis.num_faces_left_out,
            ),
            weights=self.weights,
            engine=self._engine(reader, (*analysis.notes, *own)),
            settings=self.config.as_dict(),
            tracks=tracks,
            segments=ordered,
            findings=tuple(
                replace(found, kind=analysis.records[found.track_id].kind(found.start, found.end))
                for found in self._findings(records, ordered)
            ),
            thumbnails=analysis.thumbnails(),
            decision=scoring.decision(scoring.video, fake_prob, (t.fake_prob for t in tracks), complete=not troubles),
        )

    def _findings(self, records: Iterable[TrackRecord], segments: Sequence[Segment]) -> tuple[Finding, ...]:
        """By the frames where the weights say which of them open a finding, else by the segments."""
        opens = self.weights.finding_threshold
        if opens is None:
            return merge_findings(segments, self.weights.segment_threshold)
        return tuple(finding for record in records for finding in record.findings(opens))

    def _engine(self, reader: VideoReader, notes: tuple[str, ...]) -> EngineInfo:
        return EngineInfo(
            vidguard=version.__version__,
            python=platform.python_version(),
            torch=str(torch.__version__),
            av=av.__version__,
            device=str(self.device),
            reader=reader.backend,
            notes=tuple(reader.notes) + notes,
        )


def _noted(report: Report, sandbox: Sandbox | None) -> Report:
    if sandbox is None:
        return report
    return replace(report, engine=replace(report.engine, notes=(*report.engine.notes, sandbox.note)))


def _status(num_frames: int, tracks: tuple[Track, ...], score: float | None, *, complete: bool) -> Status:
    if num_frames == 0:
        return Status.UNDECODABLE
    if not tracks:
        return Status.NO_FACE
    if score is None:
        return Status.TOO_BLURRED if any(t.status is Status.TOO_BLURRED for t in tracks) else Status.TOO_SHORT
    return Status.OK if complete else Status.PARTIAL


_EXPLANATIONS: Final = {
    Status.OK: "judged {judged} of {faces} face(s) that were followed",
    Status.PARTIAL: "judged {judged} of {faces} face(s) in the part that could be looked at",
    Status.NO_FACE: "no face was found, so there is nothing to judge",
    Status.TOO_SHORT: "{faces} face(s) appeared, none clearly enough, for long enough, to judge",
    Status.TOO_BLURRED: "{faces} face(s) appeared, all too small, too blurred or too short to judge",
    Status.UNDECODABLE: "not one frame could be decoded",
}


def _own_troubles(cut: str | None, num_faces_left_out: int) -> tuple[str, ...]:
    """Why not all that the reader gave, or could have given, was looked at, in sentences."""
    crowd = f"{num_faces_left_out} more face(s) at once weren't looked at, being too many"
    return (*(() if cut is None else (cut,)), *((crowd,) if num_faces_left_out else ()))


def _explain(status: Status, tracks: Iterable[Track], troubles: Sequence[str], *remarks: str) -> str:
    faces = list(tracks)
    judged, blurred = (sum(t.status is s for t in faces) for s in (Status.OK, Status.TOO_BLURRED))
    parts = [_EXPLANATIONS[status].format(faces=len(faces), judged=judged)]
    if judged and blurred:
        parts.append(f"{blurred} too small or too blurred to judge")
    parts += remarks
    if troubles:
        more = f" (the notes have {len(troubles) - 1} more reason(s))" if len(troubles) > 1 else ""
        parts.append(f"not all of the source was seen: {troubles[0]}{more}")
    return "; ".join(parts)


def _union_seconds(intervals: Iterable[Interval]) -> float:
    """Seconds that lie in at least one of the intervals."""
    return sum(end - start for start, end in union(intervals))


def _batch_of_one(item: TimedFrame) -> FrameBatch:
    try:
        frame, time = item
        seconds = float(time)
    except (TypeError, ValueError) as error:
        raise InputError("stream() takes pairs (frame, pts in seconds) or FrameBatches") from error
    tensor = _as_tensor(frame)
    if tensor.ndim == 3 and tensor.shape[2] == 3 and tensor.shape[0] != 3:
        tensor = tensor.permute(2, 0, 1)
    return FrameBatch(tensor[None], (seconds,))


def _as_tensor(pixels: object) -> Tensor:
    if isinstance(pixels, Tensor):
        return pixels
    if isinstance(pixels, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(pixels))  # a flipped view, such as BGR to RGB, has no tensor
    raise InputError(f"pictures must be numpy arrays or torch tensors, got {type(pixels).__name__}")
