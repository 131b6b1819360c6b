"""Several faces side by side, one of them forged for a while: is the right face found, and the right stretch?

    python benchmarks/accuracy/several_faces.py CLIP CLIP CLIP ... --out RESULT.json

CLIP: pristine clips of one person each, at least four people that no weight was trained on. From them videos of one,
two and three faces are made, each once genuine and once with one face forged for two of five seconds (self-blends and
swaps in turn), encoded as H.264 and analysed from the file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import Progress
from surroundings import environment

import vidguard
from vidguard.config import AnalysisConfig
from vidguard.errors import InputError
from vidguard.faces import FaceDetector, FaceFollower
from vidguard.forge import forge_stretch, sample_recipe
from vidguard.metrics import auc, match_segments, pool_matches, temporal_iou
from vidguard.metrics.temporal import Interval
from vidguard.video import open_source, write_video

_SIDE: Final = 320  # px of one person's picture
_RATE: Final = 12.5
_SECONDS: Final = 5.0
_FORGED_SECONDS: Final = 2.0
_CRF: Final = 23
_AROUND: Final = 2.4
"""Side of what is shown, in sides of the face's box: head and shoulders."""


@dataclass(frozen=True)
class Person:
    """frames: (T, S, S, 3) uint8 RGB at `_RATE`; landmarks: (5, 2) px per frame, None where the face isn't seen."""

    name: str
    frames: list[NDArray[np.uint8]]
    landmarks: list[NDArray[np.float32] | None]


@dataclass(frozen=True)
class Seen:
    """What was said of one video. By place from left to right: probabilities (None: not judged) and findings."""

    faces: tuple[str, ...]
    forged: int | None
    truth: Interval | None
    video: float | None
    by_face: list[float | None]
    found: list[list[Interval]]
    num_tracks: int


def main(
    clips: Annotated[list[Path], typer.Argument(help="Pristine clips, one person each.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str | None, typer.Option(help="Weights by name; the default ones if left out.")] = None,
    most: Annotated[int, typer.Option(help="Faces in the fullest videos.")] = 3,
) -> None:
    """Make the videos, analyse them, and write the figures."""
    torch.set_num_threads(1)
    detector = vidguard.load(weights, device="cpu")
    people = [person(path) for path in clips]
    if len(people) <= most:
        raise InputError(f"{most} faces beside each other and a donor take {most + 1} clips, got {len(people)}")
    seen: list[Seen] = []
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        task = progress.add_task("videos", total=2 * most * len(people))
        for count in range(1, most + 1):
            for number in range(len(people)):
                for forged in (None, number % count):
                    seen.append(_look(detector, people, number, count, forged, Path(folder) / "video.mp4"))
                    progress.advance(task)
    result = {
        "what": "videos of one to several faces side by side, genuine and with one face forged for "
        f"{_FORGED_SECONDS:g} of {_SECONDS:g} s",
        "weights": detector.weights.name,
        "model_sha256": detector.weights.sha256,
        "environment": environment("torch", "av"),
        "threshold": detector.weights.threshold,
        "people": len(people),
        "by_number_of_faces": {
            str(n): figures([s for s in seen if len(s.faces) == n], detector.weights.threshold)
            for n in range(1, most + 1)
        },
        "all": figures(seen, detector.weights.threshold),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def person(path: Path) -> Person:
    """Cut a square around the most seen face of a clip's first seconds."""
    settings = AnalysisConfig().faces
    follower = FaceFollower(FaceDetector(settings), settings)
    frames: list[NDArray[np.uint8]] = []
    seen: list[dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]] = []
    with open_source(path) as reader:
        for batch in reader.batches(frames_per_second=_RATE):
            for frame, faces in zip(batch.frames, follower.push(batch)):
                frames.append(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()))
                seen.append({f.track_id: (f.box_xyxy_px.numpy(), f.landmarks_px.numpy()) for f in faces})
            if len(frames) >= _SECONDS * _RATE:
                break
    count = round(_SECONDS * _RATE)
    tracks = [track for faces in seen[:count] for track in faces]
    if len(frames) < count or not tracks:
        raise InputError(f"{path.name} has no {_SECONDS:g} s with a face")
    main_track = max(set(tracks), key=tracks.count)
    boxes = np.array([faces[main_track][0] for faces in seen[:count] if main_track in faces])
    centre = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)
    scale = _SIDE / (_AROUND * float(np.median(boxes[:, 2] - boxes[:, 0])))
    move = np.array([[scale, 0, _SIDE / 2 - scale * centre[0]], [0, scale, _SIDE / 2 - scale * centre[1]]])
    pictures = [
        np.asarray(
            cv2.warpAffine(f, move, (_SIDE, _SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        for f in frames[:count]
    ]
    points = [
        (faces[main_track][1] @ move[:, :2].T + move[:, 2]).astype(np.float32) if main_track in faces else None
        for faces in seen[:count]
    ]
    return Person(path.name, pictures, points)


def _look(
    detector: vidguard.Detector, people: Seq[Person], number: int, count: int, forged: int | None, target: Path
) -> Seen:
    """Make one video and analyse it; the same number gives the same people, genuine or forged."""
    rng = np.random.default_rng([number, count])
    shown = [people[(number + k) % len(people)] for k in range(count)]
    pictures = [list(one.frames) for one in shown]
    truth = None
    if forged is not None:
        first = int(rng.integers(0, round((_SECONDS - _FORGED_SECONDS) * _RATE) + 1))
        part = slice(first, first + round(_FORGED_SECONDS * _RATE))
        donor = people[(number + count) % len(people)]
        known = [(f, p) for f, p in zip(donor.frames[part], donor.landmarks[part]) if p is not None]
        one = shown[forged]
        pictures[forged][part] = forge_stretch(
            one.frames[part],
            one.landmarks[part],
            sample_recipe(rng),
            jitter=0.01,
            rng=rng,
            donors=known if number % 2 else (),
        )
        truth = (part.start / _RATE, part.stop / _RATE)
    side_by_side = (np.concatenate(frames, axis=1) for frames in zip(*pictures))
    write_video(target, ((image, k / _RATE) for k, image in enumerate(side_by_side)), crf=_CRF, frame_rate=_RATE)
    report = detector.analyze(target)
    places = {t.id: _place(t, count) for t in report.tracks}
    judged = [(places[t.id], t.fake_prob) for t in report.tracks if t.fake_prob is not None]
    return Seen(
        faces=tuple(p.name for p in shown),
        forged=forged,
        truth=truth,
        video=report.fake_prob,
        by_face=[max((p for place, p in judged if place == k), default=None) for k in range(count)],
        found=[[(f.start, f.end) for f in report.findings if places[f.track_id] == k] for k in range(count)],
        num_tracks=len(report.tracks),
    )


def _place(track: vidguard.Track, count: int) -> int:
    """Which of the pictures a track lies in, by the middle of its boxes."""
    middle = float(np.median([(o.box_xyxy_px[0] + o.box_xyxy_px[2]) / 2 for o in track.observations]))
    return min(max(int(middle // _SIDE), 0), count - 1)


def figures(seen: Seq[Seen], threshold: float) -> dict[str, Any]:
    """Of videos: AUC and flags by the verdict; of faces: AUC, the right one first; of the forged faces: stretches."""
    videos = [(s.forged is not None, s.video) for s in seen if s.video is not None]
    faces = [(k == s.forged, p) for s in seen for k, p in enumerate(s.by_face) if p is not None]
    forged = [s for s in seen if s.forged is not None and s.truth is not None]
    first = [s.forged == int(np.argmax([p or 0.0 for p in s.by_face])) for s in forged]
    matches = [match_segments(s.found[s.forged], [s.truth]) for s in forged]  # type: ignore[index,list-item]
    pooled = pool_matches(matches)
    beside = [bool(found) for s in seen for k, found in enumerate(s.found) if k != s.forged]
    return {
        "videos": len(seen),
        "video_auc": round(auc(*zip(*videos)), 4),
        "genuine_flagged": sum(p >= threshold for fake, p in videos if not fake),
        "forged_flagged": sum(p >= threshold for fake, p in videos if fake),
        "face_auc": round(auc(*zip(*faces)), 4),
        "right_face_most_suspicious": round(float(np.mean(first)), 4),
        "stretches": {
            "mean_iou": round(float(np.mean([temporal_iou(s.found[s.forged], [s.truth]) for s in forged])), 4),  # type: ignore[index,list-item]
            "precision_at_iou_0.5": _r(pooled.precision),
            "recall_at_iou_0.5": _r(pooled.recall),
            "start_error_seconds": _r(pooled.boundary_error[0]),
            "end_error_seconds": _r(pooled.boundary_error[1]),
        },
        "genuine_faces_with_a_finding": round(float(np.mean(beside)), 4),
        "tracks_less_faces": sum(s.num_tracks - len(s.faces) for s in seen),
    }


def _r(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


if __name__ == "__main__":
    typer.run(main)
