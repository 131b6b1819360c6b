"""What is measured: anything that answers for one item by a protocol, and vidguard itself as the first such thing."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from typing import Protocol as Interface
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from vidguard.closing import Closing
from vidguard.config import STILL_SUFFIXES, CropGeometry
from vidguard.detector import Detector
from vidguard.detector.record import thumbnail_jpeg
from vidguard.encoders import CROP
from vidguard.errors import InputError, VidguardError
from vidguard.faces import FaceDetector, crop_faces
from vidguard.protocols.items import Item
from vidguard.protocols.protocol import Protocol
from vidguard.protocols.scores import FrameScore, Score, SegmentScore
from vidguard.sandbox import Sandbox
from vidguard.text import printable
from vidguard.types import FrameBatch, SourceInfo
from vidguard.video import VideoReader, open_source

_LOG = logging.getLogger(__name__)


class Subject(Interface):
    """A detector under test. Made anew in every worker process."""

    def describe(self) -> dict[str, Any]:
        """What a result file says of it, JSON-ready: at least "name", "sha256" (of its weights) and its own thresholds
        "threshold" (of videos), "segment_threshold" and "frame_threshold"."""

    def score(self, item: Item, protocol: Protocol) -> Score:
        """Answer for one item; whatever is wrong with the item is a status of the score, never an exception."""

    def thumbnail(self, item: Item) -> bytes | None:
        """A JPEG of the item's face as it was judged; None where there is none."""


class VidguardSubject:
    """A weight set of vidguard. sandboxed: items are decoded in a sandbox of this subject's own."""

    def __init__(self, weights: str | None = None, device: str | None = None, *, sandboxed: bool = False) -> None:
        self.detector = Detector(weights, device=device)
        self._sandboxed = sandboxed
        self._faces = FaceDetector(self.detector.config.faces, device=self.detector.device)

    @cached_property
    def sandbox(self) -> Sandbox | None:
        """Started with the first item, in the process that scores it, and ended with this subject."""
        if not self._sandboxed:
            return None
        sandbox = Sandbox()
        finalize(self, sandbox.close)
        return sandbox

    def describe(self) -> dict[str, Any]:
        """Weights, their digest and threshold."""
        weights = self.detector.weights
        return {
            "name": f"vidguard {weights.name}",
            "sha256": weights.sha256,
            "threshold": weights.threshold,
            "segment_threshold": weights.segment_threshold,
            "frame_threshold": self.detector.passport.calibration.frame_threshold,
            "calibration_sha256": _digest(self.detector.passport.calibration),
            "encoders": list(weights.encoders),
            "device": str(self.detector.device),
        }

    def score(self, item: Item, protocol: Protocol) -> Score:
        """Answer for one item."""
        began = time.perf_counter()
        try:
            if protocol.frames == "pipeline":
                return self._by_pipeline(item, began)
            return self._by_frames(item, protocol, began)
        except (VidguardError, OSError) as error:
            return Score(item.id, None, "error", time.perf_counter() - began, detail=str(error))

    def thumbnail(self, item: Item) -> bytes | None:
        """The largest face of the first frame with a face."""
        try:
            with _open(item.path, self.sandbox) as reader:
                crops = (crop for batch in reader.batches() for crop in self._largest(batch.frames, CROP))
                first = next((crop for crop in crops if crop is not None), None)
                return None if first is None else thumbnail_jpeg(first)
        except Exception as error:  # noqa: BLE001 -- a picture for people to look at: the score stands without it
            _LOG.info("%s: no thumbnail (%s)", printable(item.id), type(error).__name__)
            return None

    def _by_pipeline(self, item: Item, began: float) -> Score:
        if item.path.is_dir():
            raise InputError(f"{item.id} is a folder of crops, which the pipeline can't follow; use deepfakebench")
        report = self.detector.analyze(item.path, sandbox=self.sandbox)
        detail = "" if report.coverage.complete else report.explanation
        frames = [
            FrameScore(track.id, seen.time, seen.fake_prob)
            for track in report.tracks
            for seen in track.observations
            if seen.fake_prob is not None
        ]
        segments = [
            SegmentScore(s.track_id, s.start, s.end, s.fake_prob) for s in report.segments if s.fake_prob is not None
        ]
        seconds = time.perf_counter() - began
        return Score(item.id, report.fake_prob, report.status.value, seconds, detail, tuple(frames), tuple(segments))

    def _by_frames(self, item: Item, protocol: Protocol, began: float) -> Score:
        frames, decoded, troubles = score_chosen(
            item.path, protocol, lambda batch: self._score(batch, protocol.crop or CROP), sandbox=self.sandbox
        )
        values = np.array([f.fake_prob for f in frames])
        status = "undecodable" if not decoded else "no_face" if not frames else "partial" if troubles else "ok"
        fake_prob = None if not frames else float(values.max() if protocol.aggregation == "max" else values.mean())
        return Score(item.id, fake_prob, status, time.perf_counter() - began, "; ".join(troubles), tuple(frames))

    def _score(self, batch: FrameBatch, crop: CropGeometry) -> list[FrameScore]:
        crops = self._largest(batch.frames, crop)
        found = [(seconds, face) for seconds, face in zip(batch.pts_seconds, crops) if face is not None]
        if not found:
            return []
        probabilities = self.detector.score_crops(torch.stack([face for _, face in found])).tolist()
        return [FrameScore(0, seconds, p) for (seconds, _), p in zip(found, probabilities)]

    def _largest(self, frames: Tensor, crop: CropGeometry) -> list[Tensor | None]:
        """The aligned crop of each frame's largest face."""
        crops: list[Tensor | None] = []
        for frame, found in zip(frames, self._faces.detect(frames)):
            if not len(found.probs):
                crops.append(None)
                continue
            largest = found.landmarks_px[:1]  # they come by size
            crops.append(crop_faces(frame, largest, crop)[0])
        return crops


def score_chosen(
    path: Path,
    protocol: Protocol,
    score: Callable[[FrameBatch], list[FrameScore]],
    *,
    sandbox: Sandbox | None = None,
) -> tuple[list[FrameScore], int, tuple[str, ...]]:
    """Have the frames scored that a protocol chooses from a video, still or folder of pictures.

    Gives the scores, the number of frames that decode, and why not all of the source was seen. Raises SourceError.
    """
    with _open(path, sandbox) as reader:
        believed = 1 if reader.info.kind == "image" else reader.info.num_frames_header or 0
    scores, count, troubles = _one_pass(path, protocol, believed, score, sandbox)
    if count != believed:
        # the header was wrong, so the frames weren't spread as the protocol says: once more
        scores, count, troubles = _one_pass(path, protocol, count, score, sandbox)
    return scores, count, troubles


def _one_pass(
    path: Path,
    protocol: Protocol,
    believed: int,
    score: Callable[[FrameBatch], list[FrameScore]],
    sandbox: Sandbox | None,
) -> tuple[list[FrameScore], int, tuple[str, ...]]:
    wanted = set(protocol.frame_indices(believed).tolist())
    scores: list[FrameScore] = []
    count = 0
    with _open(path, sandbox) as reader:
        for batch in reader.batches():
            picked = [k for k in range(len(batch)) if count + k in wanted]
            count += len(batch)
            if picked:
                scores += score(FrameBatch(batch.frames[picked], tuple(batch.pts_seconds[k] for k in picked)))
        return scores, count, reader.troubles


def _digest(calibration: object) -> str:
    return hashlib.sha256(repr(calibration).encode()).hexdigest()


class _PictureReader(Closing):
    """A folder of pictures, a frame each and a second apart; their sizes may differ.

    Of one that is an animation the first picture is the frame, and the folder counts as seen in part.
    """

    def __init__(self, folder: Path, sandbox: Sandbox | None) -> None:
        self._sandbox = sandbox
        files = [p for p in folder.iterdir() if p.suffix.lower() in STILL_SUFFIXES and not p.name.startswith(".")]
        # in the order of their numbers: 10.png comes after 9.png
        self.files = sorted(files, key=lambda p: (len(p.stem), p.stem) if p.stem.isdigit() else (1 << 30, p.stem))
        self.info = SourceInfo(kind="video", name=folder.name, num_frames_header=len(self.files))
        self.troubles: tuple[str, ...] = ()

    def close(self) -> None:
        """Nothing is open between two pictures."""

    def batches(self) -> Iterator[FrameBatch]:
        for second, file in enumerate(self.files):
            with open_source(file, sandbox=self._sandbox) as reader:
                batch = next(reader.batches(batch_size=1), None)
                is_animation = reader.info.kind == "video"
                troubles = ("an animation, whose first picture alone counts",) if is_animation else reader.troubles
                self.troubles += tuple(f"{file.name}: {trouble}" for trouble in troubles)
            if is_animation:
                _LOG.warning("%s is an animation: its first picture alone is the frame", printable(str(file)))
            if batch is not None:
                yield FrameBatch(batch.frames, (float(second),))


def _open(path: Path, sandbox: Sandbox | None) -> VideoReader | _PictureReader:
    return _PictureReader(path, sandbox) if path.is_dir() else open_source(path, sandbox=sandbox)
