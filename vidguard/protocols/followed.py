"""A clip in memory with the one face it is about: what forging a clip starts from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidguard.config import AnalysisConfig
from vidguard.errors import InputError
from vidguard.faces import BlendFilter, FaceDetector, FaceFollower
from vidguard.video import open_source


@dataclass(frozen=True)
class FollowedClip:
    """Frames (H, W, 3) uint8 RGB, their times in seconds, and the face's landmarks (5, 2) px.

    None where it is out of sight, and in dissolves: mixtures of two pictures, which no one judges."""

    frames: list[NDArray[np.uint8]]
    times: list[float]
    landmarks: list[NDArray[np.float32] | None]
    is_still: bool
    others: int
    """In how many frames the second most seen face is seen."""
    whole: bool
    """Whether all of it fit into memory."""

    @property
    def seconds(self) -> float:
        """Time between the first frame and the last."""
        return self.times[-1] - self.times[0]

    @property
    def frame_rate(self) -> float:
        """Average frames a second; 25 for a still."""
        return (len(self.times) - 1) / self.seconds if len(self.times) > 1 else 25.0


def follow_clip(path: Path, faces: FaceDetector, *, max_bytes: int) -> FollowedClip:
    """Read a video or still and follow its faces; the one seen in most frames is taken, the largest of several in one.

    Reading ends where the frames take more than max_bytes. Raises InputError where no face is found, and what
    `open_source` raises.
    """
    follower = FaceFollower(faces, AnalysisConfig().faces)
    looks = BlendFilter[tuple[int, dict[int, NDArray[np.float32]]]](follower)
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    whole = True
    with open_source(path) as reader:
        for batch in reader.batches():
            if frames and len(frames) * frames[0].nbytes > max_bytes:
                whole = False
                break
            for frame, time, followed in zip(batch.frames, batch.pts_seconds, follower.push(batch)):
                seen = {f.track_id: np.asarray(f.landmarks_px, np.float32) for f in followed}
                looks.hold(time, (len(frames), seen))
                frames.append(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()))
            times += batch.pts_seconds
        is_still = reader.info.kind == "image"
    faces_of = dict(looks.release())
    ranked = Counter(track for seen in faces_of.values() for track in seen).most_common()
    if not ranked:
        raise InputError("no face was found in it")
    (main, _), *others = ranked
    landmarks = [faces_of.get(k, {}).get(main) for k in range(len(frames))]
    return FollowedClip(frames, times, landmarks, is_still, others[0][1] if others else 0, whole)
