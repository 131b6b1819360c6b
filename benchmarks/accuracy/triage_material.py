"""Validation clips for triage: genuine footage and forgeries of it, of whole clips and of parts, encoded alike.

Triage sees key frames alone, so how often a file has one matters: every clip gets one every second or every other, as
phones and platforms write them, the same in all its copies.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress

from vidguard.config import FaceConfig
from vidguard.faces import FaceDetector, FaceFollower
from vidguard.faces.mesh import FaceMesh
from vidguard.files import write_whole
from vidguard.forge import Face, forge_track, sample_recipe
from vidguard.training.listing import is_video
from vidguard.training.material import open_store
from vidguard.types import FrameBatch
from vidguard.video import open_source

Picture = NDArray[np.uint8]
_SECONDS: Final = 5.0
_FRAMES_PER_SECOND: Final = 15.0
_LONG_SIDE: Final = 640  # px; with the two above a size that two cores forge and judge in minutes
# (kind, share of the clip that is forged)
_COPIES: Final = (("self-blend", 1.0), ("mesh-swap", 1.0), ("self-blend", 0.4), ("mesh-swap", 0.4))
_NATIVE_ROWS: Final = 720
_NATIVE_TIMES: Final = [k / 25 for k in range(75)]
_CRF: Final = (20, 33)
_KEY_SECONDS: Final = (1.0, 2.0)
_FIELDS: Final = ("file", "source", "kind", "share", "key_seconds")


@dataclass(frozen=True)
class Copy:
    """One written file. share: how much of it is forged; 0 for genuine footage."""

    path: Path
    source: str
    kind: str
    share: float
    key_seconds: float

    @property
    def is_fake(self) -> bool:
        """Whether any of it is forged."""
        return self.share > 0


@dataclass(frozen=True)
class _Clip:
    """Frames (H, W, 3) uint8 RGB and the face in each, None where it isn't seen."""

    frames: list[Picture]
    faces: list[Face | None]
    rate: float


def make_copies(store: Path, material: Sequence[Path], out: Path, *, seed: int) -> list[Copy]:
    """Write the copies of every validation clip into out; those of clips that an earlier run finished are kept."""
    out.mkdir(parents=True, exist_ok=True)
    clips = list(_clips(store, material))
    missing = {number for number in range(len(clips)) if not _table(out, number).is_file()}
    if missing:
        _forge(clips, missing, out, seed)
    copies = []
    for number in range(len(clips)):
        with _table(out, number).open(newline="") as file:
            for row in csv.DictReader(file):
                name, source, kind, share, keys = (row[field] for field in _FIELDS)
                copies.append(Copy(out / name, source, kind, float(share), float(keys)))
    return copies


def native_clips(store: Path, material: Sequence[Path], out: Path) -> list[Path]:
    """A genuine clip of each size from 720 rows up as it is, but for a key frame every second: to measure costs on."""
    chosen: dict[tuple[int, int], Path] = {}
    for path, _ in _clips(store, material):
        with av.open(str(path)) as clip:
            size = (clip.streams.video[0].width, clip.streams.video[0].height)
        if min(size) >= _NATIVE_ROWS:
            chosen.setdefault(size, path)
    written = []
    for (width, height), path in chosen.items():
        target = out / f"native.{width}x{height}.mp4"
        if not target.is_file():
            with open_source(path) as reader:
                frames = [f.permute(1, 2, 0).numpy() for f in reader.frames_at(_NATIVE_TIMES).frames]
            _encode(target, frames, 25.0, _CRF[0], 1.0)
        written.append(target)
    return written


def _clips(store: Path, material: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """One genuine clip of every source of the split "val", which nothing was trained on, with the source's name.

    More clips of one person would only look like more evidence.
    """
    rows = open_store(store).rows
    found = sorted({(r.source, r.path) for r in rows if r.split == "val" and is_video(r.path) and not r.is_fake})
    for source, name in dict(reversed(found)).items():
        path = next((folder / name for folder in material if (folder / name).is_file()), None)
        if path is not None:
            yield path, source


def _table(out: Path, number: int) -> Path:
    """Lists the copies of one clip, once all are written."""
    return out / f"{number:02d}.csv"


def _forge(clips: list[tuple[Path, str]], missing: set[int], out: Path, seed: int) -> None:
    detector, mesh = FaceDetector(FaceConfig()), FaceMesh()
    lenders = [(source, _lender(path, detector, mesh)) for path, source in clips]
    for number, (path, source) in enumerate(progress(clips, description="forging")):
        if number not in missing:
            continue
        # the next other person's face
        turned = lenders[number:] + lenders[:number]
        donors = [face for other, face in turned if other != source and face is not None][:1]
        rng = np.random.default_rng([seed, number])
        copies = list(_copies(_read(path, detector, mesh), source, f"{number:02d}", out, donors, rng))
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(_FIELDS)
        writer.writerows((c.path.name, c.source, c.kind, c.share, c.key_seconds) for c in copies)
        write_whole(_table(out, number), table.getvalue().encode())


def _lender(path: Path, detector: FaceDetector, mesh: FaceMesh) -> Face | None:
    return next((face for face in _read(path, detector, mesh, seconds=0.0).faces if face is not None), None)


def _read(path: Path, detector: FaceDetector, mesh: FaceMesh, seconds: float = _SECONDS) -> _Clip:
    """The first seconds of a clip, and the face that is largest in it."""
    follower = FaceFollower(detector, FaceConfig())
    frames: list[Picture] = []
    faces: list[Face | None] = []
    times: list[float] = []
    with open_source(path) as reader:
        for batch in reader.batches(frames_per_second=_FRAMES_PER_SECOND):
            if times and times[-1] - times[0] >= seconds:
                break
            small = _reduced(batch)
            for frame, seen in zip(small.frames, follower.push(small)):
                picture = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
                frames.append(picture)
                faces.append(_face(picture, seen[0].landmarks_px.numpy(), mesh) if seen else None)
            times += batch.pts_seconds
    return _Clip(frames, faces, (len(times) - 1) / (times[-1] - times[0]))


def _face(picture: Picture, landmarks: NDArray[np.float32], mesh: FaceMesh) -> Face | None:
    points = mesh.find(picture, landmarks)
    return None if points is None else Face(picture, landmarks, points)


def _reduced(batch: FrameBatch) -> FrameBatch:
    height, width = batch.frames.shape[2:]
    factor = min(1.0, _LONG_SIDE / max(height, width))
    size = (2 * round(width * factor / 2), 2 * round(height * factor / 2))
    pictures = [cv2.resize(f.permute(1, 2, 0).numpy(), size, interpolation=cv2.INTER_AREA) for f in batch.frames]
    return FrameBatch(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), batch.pts_seconds)


def _copies(
    clip: _Clip, source: str, stem: str, out: Path, donors: list[Face], rng: np.random.Generator
) -> Iterator[Copy]:
    crf, key_seconds = int(rng.integers(*_CRF)), float(rng.choice(_KEY_SECONDS))
    genuine = Copy(out / f"{stem}.genuine.mp4", source, "genuine", 0.0, key_seconds)
    _encode(genuine.path, clip.frames, clip.rate, crf, key_seconds)
    yield genuine
    for kind, share in _COPIES:
        length = round(share * len(clip.frames))
        first = int(rng.integers(0, len(clip.frames) - length + 1))
        faces = [face if first <= k < first + length else None for k, face in enumerate(clip.faces)]
        recipe, jitter = sample_recipe(rng), float(rng.choice([0.0, 0.01, 0.03]))
        if 2 * sum(face is not None for face in faces) < length:
            continue  # hardly a forgery
        forged = forge_track(kind, faces, recipe, jitter=jitter, rng=rng, donors=donors)
        pictures = [frame if made is None else made[0] for frame, made in zip(clip.frames, forged)]
        path = out / f"{stem}.{kind}.{'whole' if share == 1 else 'part'}.mp4"
        _encode(path, pictures, clip.rate, crf, key_seconds)
        yield Copy(path, source, kind, share, key_seconds)


def _encode(path: Path, pictures: Sequence[Picture], rate: float, crf: int, key_seconds: float) -> None:
    """H.264 with a key frame every key_seconds, which the library's writer leaves to the encoder."""
    with av.open(str(path), "w") as target:
        options = {"crf": str(crf), "preset": "veryfast", "g": str(round(key_seconds * rate))}
        stream: Any = target.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for picture in pictures:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        target.mux(stream.encode())
