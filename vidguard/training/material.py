"""From listed pictures and clips to a store of face crops with landmarks, cut by vidguard's own cropper.

A store is a folder: crops.npy (N, 224, 224, 3) uint8 RGB, landmarks.npy (N, 5, 2) float32 in crop pixels (NaN where no
face was found), rows.csv with N rows: path, label, kind, dataset, split, group, track, time; once complete, made_from.
"""

from __future__ import annotations

import csv
import io
import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress

from vidguard.cells import as_written, inert
from vidguard.config import AnalysisConfig, FaceConfig
from vidguard.encoders import CROP
from vidguard.errors import InputError, SourceError
from vidguard.faces import BlendFilter, FaceDetector, FaceFollower, align_crops, crop_transforms
from vidguard.files import write_whole
from vidguard.forge import Face
from vidguard.processes import end_with_parent
from vidguard.text import printable
from vidguard.training.checkpoint import Say
from vidguard.training.listing import Row, is_video
from vidguard.training.recipe import MaterialRecipe
from vidguard.types import FrameBatch
from vidguard.video import open_source

# These come as crops: one in which no face is found is taken whole. The others are cut again like any picture, so that
# a face has one size for the encoders, whoever cropped it (eyes 115 px apart in DFDC's crops, 73 px in MesoNet's).
_ALREADY_CROPPED: Final = frozenset({"dfdc", "mesonet"})
MADE_FROM: Final = "made_from"  # in a store: digest of the listed files and of how they were to be cut
_LOG = logging.getLogger(__name__)
_COLUMNS: Final = ("path", "label", "kind", "dataset", "split", "group", "track", "time")
_MISSING: Final = "are missing"
_UNREADABLE: Final = "couldn't be read"
_NO_FACE: Final = "gave no face"
_FAILED: Final = "found a defect of vidguard"

Cut: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float32], Row]
"""Crop (S, S, 3), landmarks (5, 2) in crop pixels, and where they come from."""


@dataclass(frozen=True)
class Store:
    """Crops with landmarks and rows, memory-mapped; meshes (N, 468, 2) px where they were looked for."""

    crops: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    rows: tuple[Row, ...]
    meshes: NDArray[np.float32] | None = None
    made_from: str | None = None
    """Digest of the listed files and of how they were cut; None for stores from before it was kept."""

    def where(self, *, split: str, datasets: Iterable[str] | None = None) -> NDArray[np.int64]:
        """Positions of a split's rows, optionally of some data sets only."""
        wanted = None if datasets is None else set(datasets)
        chosen = (i for i, r in enumerate(self.rows) if r.split == split and (wanted is None or r.dataset in wanted))
        return np.fromiter(chosen, np.int64)

    def labelled(self, *, split: str) -> tuple[str, ...]:
        """Data sets that have both genuine and fake faces in a split."""
        seen = {(r.dataset, r.is_fake) for r in self.rows if r.split == split}
        return tuple(sorted(dataset for dataset, is_fake in seen if is_fake and (dataset, False) in seen))

    def face(self, index: int) -> Face:
        """One crop as the forge takes it; landmarks must be known."""
        mesh = None if self.meshes is None else np.asarray(self.meshes[index])
        known = mesh is not None and bool(np.isfinite(mesh).all())
        return Face(np.asarray(self.crops[index]), self.landmarks[index], mesh if known else None)

    def tracks(self, *, split: str, minimum: int, is_fake: bool = False) -> list[NDArray[np.int64]]:
        """Positions of every track of at least `minimum` frames in genuine (or fake) videos, in time order."""
        by_track: dict[tuple[str, str, int], list[int]] = {}
        for index, row in enumerate(self.rows):
            if row.split == split and is_video(row.path) and row.is_fake == is_fake:
                by_track.setdefault((row.dataset, row.path, row.track), []).append(index)
        return [np.asarray(v, np.int64) for v in by_track.values() if len(v) >= minimum]


def build_store(
    listed: Sequence[tuple[Path, Row]], folder: Path, recipe: MaterialRecipe, *, workers: int, say: Say
) -> Store:
    """Cut every face of the listed files into a store, in their order; videos come as tracks. Says what gave none.

    Works on `workers` files at a time and holds none but their crops in memory. rows.csv is written last: where it is,
    the crops are complete. Raises InputError when there is no face at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    landmarks: list[NDArray[np.float32]] = []
    rows: list[Row] = []
    without: Counter[str] = Counter()
    spawned = multiprocessing.get_context("spawn")  # torch and OpenCV don't survive a fork once they have threads
    with (
        NpyWriter(folder / "crops.npy", (CROP.size, CROP.size, 3)) as crops,
        ProcessPoolExecutor(workers, spawned, initializer=_start_worker) as pool,
    ):
        found = pool.map(partial(_faces_of, recipe), listed, chunksize=8)
        for faces in progress(found, description="cutting faces", total=len(listed)):
            if isinstance(faces, str):
                without[faces] += 1
                continue
            for crop, points, row in faces:
                crops.append(crop)
                landmarks.append(points)
                rows.append(row)
    counts = ", ".join(
        f"{without[why]} {why}" for why in (_MISSING, _UNREADABLE, _NO_FACE, _FAILED) if without[why] or why != _FAILED
    )
    say(f"prepare: of {len(listed)} listed files {counts}")
    if not rows:
        raise InputError(f"no face in any of {len(listed)} files of split train or val; add material")
    np.save(folder / "landmarks.npy", np.stack(landmarks))
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    writer.writerows([inert(getattr(r, c)) for c in _COLUMNS] for r in rows)
    write_whole(folder / "rows.csv", table.getvalue().encode(errors="surrogateescape"))
    return open_store(folder)


class NpyWriter:
    """An .npy file of uint8 items of one shape whose number is known only at the end."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.file, self.shape, self.count = path.open("wb"), shape, 0
        self._write_header()

    def __enter__(self) -> NpyWriter:
        """Start writing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Put the final count into the header."""
        self._write_header()
        self.file.close()

    def append(self, item: NDArray[np.uint8]) -> None:
        """Write one more item."""
        if item.shape != self.shape or item.dtype != np.uint8:
            raise InputError(f"items must be {self.shape} uint8, got {item.shape} {item.dtype}")
        self.file.write(np.ascontiguousarray(item).data)
        self.count += 1

    def _write_header(self) -> None:
        # numpy leaves room in the header for a first axis of up to 21 digits, so that it can be rewritten in place
        self.file.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)


def _start_worker() -> None:
    end_with_parent()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@cache
def _detector() -> FaceDetector:
    return FaceDetector(FaceConfig())


def _faces_of(recipe: MaterialRecipe, item: tuple[Path, Row]) -> list[Cut] | str:
    """A file's faces, or why it gives none."""
    path, row = item
    if not path.is_file():
        return _MISSING
    try:
        video = is_video(row.path)
        faces = _video_faces(path, row, _detector(), recipe) if video else _still_face(path, row, _detector())
        return list(faces) or _NO_FACE
    except SourceError:
        return _UNREADABLE  # a few files of any web collection are broken; what is in the store is what was readable
    except Exception:  # noqa: BLE001 -- one file must not cost hours of work
        _LOG.exception("%s: it found a defect", printable(str(path)))
        return _FAILED


def open_store(folder: Path) -> Store:
    """Open what `build_store` wrote."""
    with (folder / "rows.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = tuple(_row(r) for r in csv.DictReader(file))
    found = folder / "meshes.npy"
    meshes = np.load(found, mmap_mode="r") if found.is_file() else None
    made_from = (folder / MADE_FROM).read_text() if (folder / MADE_FROM).is_file() else None
    crops, landmarks = np.load(folder / "crops.npy", mmap_mode="r"), np.load(folder / "landmarks.npy")
    return Store(crops, landmarks, rows, meshes, made_from)


def _row(fields: dict[str, str]) -> Row:
    path, label, kind, dataset, split, group, track, time = (as_written(fields[c]) for c in _COLUMNS)
    return Row(path, label, kind, dataset, split, group, int(track), float(time))


def _still_face(path: Path, row: Row, detector: FaceDetector) -> Iterator[Cut]:
    with open_source(path) as reader:
        frame = next((batch.frames for batch in reader.batches()), None)
    if frame is None:
        raise SourceError(f"{path} can't be decoded")
    found = detector.detect(frame)[0]
    if len(found.probs):
        largest = int((found.boxes_xyxy_px[:, 2] - found.boxes_xyxy_px[:, 0]).argmax())
        yield from _cut(frame, torch.zeros(1, dtype=torch.long), found.landmarks_px[largest : largest + 1], [row])
    elif row.dataset in _ALREADY_CROPPED:
        image = frame[0].permute(1, 2, 0).numpy()
        flag = cv2.INTER_AREA if image.shape[0] > CROP.size else cv2.INTER_CUBIC
        resized = cv2.resize(image, (CROP.size, CROP.size), interpolation=flag)
        yield np.asarray(resized, np.uint8), np.full((5, 2), np.nan, np.float32), row


def _video_faces(path: Path, row: Row, detector: FaceDetector, recipe: MaterialRecipe) -> Iterator[Cut]:
    """The faces that are followed; none of dissolves, which an analysis doesn't judge."""
    follower = FaceFollower(detector, AnalysisConfig().faces)
    looks = BlendFilter[Cut](follower)
    taken: Counter[int] = Counter()

    def wanted(cuts: Iterable[Cut]) -> Iterator[Cut]:
        for cut in cuts:
            track = cut[2].track
            taken[track] += 1
            if taken[track] <= recipe.max_frames_per_track:
                yield cut

    with open_source(path) as reader:
        for batch in reader.batches(frames_per_second=recipe.video_frames_per_second):
            if recipe.seconds_per_video is not None and batch.pts_seconds[0] >= recipe.seconds_per_video:
                break
            for cut in _batch_faces(batch, row, follower):
                looks.hold(cut[2].time, cut)
            yield from wanted(looks.release(batch.pts_seconds[-1]))
    yield from wanted(looks.release())


def _batch_faces(batch: FrameBatch, row: Row, follower: FaceFollower) -> Iterator[Cut]:
    faces = [(i, face) for i, frame in enumerate(follower.push(batch)) for face in frame]
    if faces:
        index = torch.tensor([i for i, _ in faces])
        points = torch.stack([torch.as_tensor(face.landmarks_px, dtype=torch.float32) for _, face in faces])
        yield from _cut(batch.frames, index, points, [replace(row, track=f.track_id, time=f.time) for _, f in faces])


def _cut(frames: torch.Tensor, index: torch.Tensor, points: torch.Tensor, rows: list[Row]) -> Iterator[Cut]:
    crops = align_crops(frames, index, points, CROP).permute(0, 2, 3, 1).numpy()
    transforms = crop_transforms(points, CROP)
    moved = torch.einsum("kij,knj->kni", transforms[:, :, :2], points) + transforms[:, None, :, 2]
    yield from zip(crops, moved.numpy(), rows)
