"""From a manifest of pictures and clips to a store of face crops with landmarks, cut by vidguard's own cropper.

A store is a folder: crops.npy (N, 224, 224, 3) uint8 RGB, landmarks.npy (N, 5, 2) float32 in crop pixels (NaN where no
face was found), rows.csv with N rows: path, label, kind, dataset, split, group, track, time.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress

from vidguard.config import AnalysisConfig, FaceConfig
from vidguard.encoders import CROP_MARGIN, CROP_SIZE
from vidguard.errors import InputError, SourceError
from vidguard.faces import FaceDetector, FaceFollower, align_crops, crop_transforms
from vidguard.training.recipe import MaterialRecipe
from vidguard.types import FrameBatch
from vidguard.video import open_source

# These come as tight crops with their own margins: they are taken whole, as users of published crops will hand them in.
_ALREADY_CROPPED: Final = frozenset({"dfdc", "mesonet"})
_VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mov", ".mpg", ".avi", ".mkv", ".webm"})
_COLUMNS: Final = ("path", "label", "kind", "dataset", "split", "group", "track", "time")


@dataclass(frozen=True)
class Row:
    """One face crop's provenance. label: "real" or "fake"; group: source that must not be split; time: seconds."""

    path: str
    label: str
    kind: str
    dataset: str
    split: str
    group: str
    track: int = 0
    time: float = 0.0

    @property
    def is_fake(self) -> bool:
        """Whether the face is synthetic or manipulated."""
        return self.label == "fake"


@dataclass(frozen=True)
class Store:
    """Crops with landmarks and rows, memory-mapped."""

    crops: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    rows: tuple[Row, ...]

    def where(self, *, split: str, datasets: Iterable[str] | None = None) -> NDArray[np.int64]:
        """Positions of a split's rows, optionally of some data sets only."""
        wanted = None if datasets is None else set(datasets)
        chosen = (i for i, r in enumerate(self.rows) if r.split == split and (wanted is None or r.dataset in wanted))
        return np.fromiter(chosen, np.int64)

    def tracks(self, *, split: str, minimum: int) -> list[NDArray[np.int64]]:
        """Positions of every genuine track of at least `minimum` frames, in time order."""
        by_track: dict[tuple[str, int], list[int]] = {}
        for index, row in enumerate(self.rows):
            if row.split == split and _is_video(row.path) and not row.is_fake:
                by_track.setdefault((row.path, row.track), []).append(index)
        return [np.asarray(v, np.int64) for v in by_track.values() if len(v) >= minimum]


def read_manifest(index: Path, *, validation_groups: Collection[str]) -> list[Row]:
    """Read the training and validation rows of a manifest; those of `validation_groups` are validation rows."""
    with index.open(newline="") as file:
        rows = [_row(r) for r in csv.DictReader(file)]
    rows = [replace(r, split="val") if r.group in validation_groups else r for r in rows if r.split in ("train", "val")]
    return rows


def require_disjoint(rows: Iterable[Row], validation_groups: Collection[str]) -> None:
    """Raise InputError when a group stands in two splits, or when a validation group is missing.

    Rows without a group (unknown source) are taken as they are.
    """
    splits: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.group and splits.setdefault((row.dataset, row.group), row.split) != row.split:
            raise InputError(f"group {row.group} of {row.dataset} stands in two splits")
    missing = set(validation_groups) - {group for _, group in splits}
    if missing:
        raise InputError(f"no manifest has the recipe's validation groups {', '.join(sorted(missing))}")


def build_store(manifests: Sequence[Path], folder: Path, recipe: MaterialRecipe) -> Store:
    """Cut every face of the manifests' training and validation material into a store; videos come as tracks."""
    detector = FaceDetector(FaceConfig())
    crops: list[NDArray[np.uint8]] = []
    landmarks: list[NDArray[np.float32]] = []
    rows: list[Row] = []
    listed = [
        (m.parent / r.path, r) for m in manifests for r in read_manifest(m, validation_groups=recipe.validation_groups)
    ]
    require_disjoint((row for _, row in listed), recipe.validation_groups)
    for path, row in progress(listed, description="cutting faces"):
        try:
            found = (
                _video_faces(path, row, detector, recipe) if _is_video(row.path) else _still_face(path, row, detector)
            )
            for crop, points, cut in found:
                crops.append(crop)
                landmarks.append(points)
                rows.append(cut)
        except SourceError:
            continue  # a few files of any web collection are broken; what is in the store is what was readable
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "crops.npy", np.stack(crops))
    np.save(folder / "landmarks.npy", np.stack(landmarks))
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows([getattr(r, c) for c in _COLUMNS] for r in rows)
    return open_store(folder)


def open_store(folder: Path) -> Store:
    """Open what `build_store` wrote."""
    with (folder / "rows.csv").open(newline="") as file:
        rows = tuple(replace(_row(r), track=int(r["track"]), time=float(r["time"])) for r in csv.DictReader(file))
    return Store(np.load(folder / "crops.npy", mmap_mode="r"), np.load(folder / "landmarks.npy"), rows)


def _row(fields: dict[str, str]) -> Row:
    path, label, kind, dataset, split, group = (fields[c] for c in _COLUMNS[:6])
    return Row(path, label, kind, dataset, split, group)


def _is_video(path: str) -> bool:
    return Path(path).suffix.lower() in _VIDEO_SUFFIXES


def _still_face(
    path: Path, row: Row, detector: FaceDetector
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], Row]]:
    with open_source(path) as reader:
        frame = next((batch.frames for batch in reader.batches()), None)
    if frame is None:
        raise SourceError(f"{path} can't be decoded")
    found = detector.detect(frame)[0]
    largest = int((found.boxes_xyxy_px[:, 2] - found.boxes_xyxy_px[:, 0]).argmax()) if len(found.probs) else None
    if row.dataset in _ALREADY_CROPPED:
        image = frame[0].permute(1, 2, 0).numpy()
        scale = np.array([CROP_SIZE / image.shape[1], CROP_SIZE / image.shape[0]], np.float32)
        points = np.full((5, 2), np.nan, np.float32)
        if largest is not None:
            points = found.landmarks_px[largest].numpy() * scale
        flag = cv2.INTER_AREA if image.shape[0] > CROP_SIZE else cv2.INTER_CUBIC
        resized = cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=flag)
        yield np.asarray(resized, np.uint8), points, row
    elif largest is not None:
        yield from _cut(frame, torch.zeros(1, dtype=torch.long), found.landmarks_px[largest : largest + 1], [row])


def _video_faces(
    path: Path, row: Row, detector: FaceDetector, recipe: MaterialRecipe
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], Row]]:
    follower = FaceFollower(detector, AnalysisConfig().faces)
    taken: dict[int, int] = {}
    with open_source(path) as reader:
        for batch in reader.batches(frames_per_second=recipe.video_frames_per_second):
            for crop, points, cut in _batch_faces(batch, row, follower):
                taken[cut.track] = taken.get(cut.track, 0) + 1
                if taken[cut.track] <= recipe.max_frames_per_track:
                    yield crop, points, cut


def _batch_faces(
    batch: FrameBatch, row: Row, follower: FaceFollower
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], Row]]:
    faces = [(i, face) for i, frame in enumerate(follower.push(batch)) for face in frame]
    if faces:
        index = torch.tensor([i for i, _ in faces])
        points = torch.stack([torch.as_tensor(face.landmarks_px, dtype=torch.float32) for _, face in faces])
        yield from _cut(batch.frames, index, points, [replace(row, track=f.track_id, time=f.time) for _, f in faces])


def _cut(
    frames: torch.Tensor, index: torch.Tensor, points: torch.Tensor, rows: list[Row]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], Row]]:
    crops = align_crops(frames, index, points, size=CROP_SIZE, margin=CROP_MARGIN).permute(0, 2, 3, 1).numpy()
    transforms = crop_transforms(points, CROP_SIZE, CROP_MARGIN)
    moved = torch.einsum("kij,knj->kni", transforms[:, :, :2], points) + transforms[:, None, :, 2]
    yield from zip(crops, moved.numpy(), rows)
