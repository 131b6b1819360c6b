"""How many of the things that MTCNN follows in genuine videos are no faces, and what counting only clear ones leaves.

    python benchmarks/accuracy/false_faces.py --material INDEX.csv --material MORE.csv --out RESULT.json

The first 15 s of the manifests' genuine videos of split "train" are followed as the analysis follows them, as they are
and reduced and compressed. Whether a track is a face is told by MediaPipe's face mesh (pip install 'vidguard[train]'
and, for its model file, pip install --no-deps mediapipe==0.10.21), which has no part in finding it: what gets a mesh in
half of its frames or more, in the picture as it was, is a face. `AnalysisConfig.clear_detection_prob` was chosen so.

    python benchmarks/accuracy/false_faces.py --turned --material INDEX.csv --material MORE.csv --out RESULT.json

measures looks at turned pictures instead, one a video, none of which lies on its side. Where there is no face, for
what looks like one upright is painted over: how often a look finds something without a mesh. Where there are upright
faces: how often a turned look finds anything. And how often the next frame confirms it, as `TurnFinder` asks for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track as progress
from surroundings import environment

from vidguard.config import AnalysisConfig
from vidguard.errors import SourceError
from vidguard.faces import FaceDetector, FaceFollower
from vidguard.faces.mesh import FaceMesh
from vidguard.forge import jpeg
from vidguard.training.listing import is_video, read_manifest
from vidguard.types import FrameBatch
from vidguard.video import open_source

_SECONDS: Final = 15.0
_REDUCED: Final = 0.4
_QUALITY: Final = 40
_CLEAR: Final = (0.0, 0.9, 0.95, 0.97, 0.98, 0.99)
_LARGE_PX: Final = 40.0
_LOOK_SECONDS: Final = 1.0
_CLEARER: Final = (0.995, 0.999)

Seen = list[tuple[float, bool, float]]
"""By frame of a track: detection_prob, whether a mesh was found, side of the box in px."""


def main(
    material: Annotated[list[Path], typer.Option(help="Manifest; paths are relative to it.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    turned: Annotated[bool, typer.Option("--turned", help="Measure looks at turned pictures instead.")] = False,
) -> None:
    """Look for faces in every genuine training video and count."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = AnalysisConfig()
    detector, mesh = FaceDetector(config.faces), FaceMesh()
    videos = [
        index.parent / row.path
        for index in material
        for row in read_manifest(index)
        if row.split == "train" and not row.is_fake and is_video(row.path) and (index.parent / row.path).is_file()
    ]
    result = _turned(videos, detector, mesh) if turned else _tracks(videos, detector, mesh, config)
    result = {"environment": environment("torch", "av"), **result}
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _tracks(videos: list[Path], detector: FaceDetector, mesh: FaceMesh, config: AnalysisConfig) -> dict[str, Any]:
    tracks: dict[str, list[Seen]] = {"as they are": [], "reduced": []}
    read = 0
    for path in progress(videos, description="videos"):
        try:
            both = [
                _follow(path, FaceFollower(detector, config.faces), mesh, config, reduced=reduced)
                for reduced in (False, True)
            ]
        except SourceError:
            continue  # of any web collection a few files are broken
        read += 1
        for name, found in zip(tracks, both):
            tracks[name] += found
    return {
        "what": f"tracks of {config.min_track_frames} frames and more in genuine videos, and how many have as many "
        f"clear ones; reduced: to {_REDUCED:g} of the size, JPEG quality {_QUALITY}; large: from {_LARGE_PX:g} px on",
        "videos": read,
        "frames_per_second": config.frames_per_second,
        "by_clear_detection_prob": {
            name: {f"{clear:g}": _counts(found, clear, config.min_track_frames) for clear in _CLEAR}
            for name, found in tracks.items()
        },
    }


def _turned(videos: list[Path], detector: FaceDetector, mesh: FaceMesh) -> dict[str, Any]:
    """Each look: detection probability of the clearest thing that is no face, in this frame and in the next."""
    names = ("no face, upright", "no face, turned", "upright faces, turned")
    looks: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for path in progress(videos, description="videos"):
        try:
            shown = _two_frames(path)
        except SourceError:
            continue
        if len(shown) < 2:
            continue
        painted = [_without_faces(frame, detector) for frame in shown]
        for name, frames, turns in zip(looks, (painted, painted, shown), ((0,), (1, 2, 3), (1, 2, 3))):
            ignored = None if frames is shown else mesh
            prob, turn = max((_clearest(detector, ignored, frames[0], turn), turn) for turn in turns)
            again = _clearest(detector, ignored, frames[1], turn) if prob >= _CLEAR[1] else 0.0
            looks[name].append((prob, again))
    return {
        "what": f"looks at genuine videos {_LOOK_SECONDS:g} s in, upright and at the clearest of three turns: how many "
        "find something without a mesh where what looks like a face upright is painted over, and anything where it "
        "isn't; confirmed: the next frame, too, at the same turn",
        "looks": len(looks[names[0]]),
        "by_detection_prob": {
            name: {
                f"{clear:g}": {
                    "false": sum(prob >= clear for prob, _ in found),
                    "confirmed": sum(min(pair) >= clear for pair in found),
                }
                for clear in (*_CLEAR[1:], *_CLEARER)
            }
            for name, found in looks.items()
        },
    }


def _two_frames(path: Path) -> list[torch.Tensor]:
    """Two frames (1, 3, H, W) in a row of the analysis's rate; fewer of a shorter video."""
    with open_source(path) as reader:
        start = reader.info.start_seconds + _LOOK_SECONDS
        return [f[None] for f in reader.frames_at([start, start + 1 / AnalysisConfig().frames_per_second]).frames]


def _without_faces(frame: torch.Tensor, detector: FaceDetector) -> torch.Tensor:
    """Whatever MTCNN takes for an upright face, and as much around it, in the picture's mean colour."""
    painted = frame.clone()
    for x0, y0, x1, y1 in detector.detect(frame)[0].boxes_xyxy_px.tolist():
        left, top = max(0, int(x0 - (x1 - x0) / 2)), max(0, int(y0 - (y1 - y0) / 2))
        right, bottom = int(x1 + (x1 - x0) / 2), int(y1 + (y1 - y0) / 2)
        painted[:, :, top:bottom, left:right] = frame.float().mean((2, 3), keepdim=True).to(torch.uint8)
    return painted


def _clearest(detector: FaceDetector, ignored: FaceMesh | None, frame: torch.Tensor, turn: int) -> float:
    """Detection probability of the clearest thing in a turned frame; ignored: what has such a mesh doesn't count."""
    turned = torch.rot90(frame, turn, (2, 3))
    found, picture = detector.detect(turned)[0], _picture(turned[0])
    clear = found.probs >= _CLEAR[1]
    return max(
        (
            prob
            for prob, points in zip(found.probs[clear].tolist(), found.landmarks_px[clear])
            if ignored is None or ignored.find(picture, np.asarray(points, np.float32)) is None
        ),
        default=0.0,
    )


def _follow(path: Path, follower: FaceFollower, mesh: FaceMesh, config: AnalysisConfig, *, reduced: bool) -> list[Seen]:
    tracks: dict[int, Seen] = defaultdict(list)
    scale = _REDUCED if reduced else 1.0
    with open_source(path) as reader:
        for batch in reader.batches(frames_per_second=config.frames_per_second):
            if batch.pts_seconds and batch.pts_seconds[0] > _SECONDS:
                break
            shown = FrameBatch(_reduce(batch.frames), batch.pts_seconds) if reduced else batch
            for frame, faces in zip(batch.frames, follower.push(shown)):
                for face in faces:
                    x0, y0, x1, y1 = face.box_xyxy_px.tolist()
                    points = np.asarray(face.landmarks_px, np.float32) / np.float32(scale)
                    is_face = mesh.find(_picture(frame), points) is not None
                    tracks[face.track_id].append((face.detection_prob, is_face, float(np.sqrt((x1 - x0) * (y1 - y0)))))
    return list(tracks.values())


def _picture(frame: torch.Tensor) -> NDArray[np.uint8]:
    return frame.permute(1, 2, 0).contiguous().numpy()


def _reduce(frames: torch.Tensor) -> torch.Tensor:
    pictures = [_rescaled(_picture(frame)) for frame in frames]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) if pictures else frames


def _rescaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = cv2.resize(picture, None, fx=_REDUCED, fy=_REDUCED, interpolation=cv2.INTER_AREA)
    return jpeg(np.asarray(small, np.uint8), _QUALITY)


def _counts(tracks: list[Seen], clear: float, least: int) -> dict[str, Any]:
    found = {"faces": [0, 0], "large_faces": [0, 0], "false_faces": [0, 0]}
    for track in tracks:
        if len(track) < least:
            continue
        kept = sum(prob >= clear for prob, _, _ in track) >= least
        is_face = np.mean([face for _, face, _ in track]) >= 0.5
        names = ["faces" if is_face else "false_faces"]
        if is_face and np.median([side for _, _, side in track]) >= _LARGE_PX:
            names.append("large_faces")
        for name in names:
            found[name][0] += kept
            found[name][1] += 1
    return {name: {"judged": judged, "followed": followed} for name, (judged, followed) in found.items()}


if __name__ == "__main__":
    typer.run(main)
