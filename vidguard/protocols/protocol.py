"""Protocols: how a detector is asked, so that figures can be compared. Every result names its protocol in full."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from vidguard.config import CropGeometry
from vidguard.errors import InputError


@dataclass(frozen=True)
class Protocol:
    """Which frames, which face, which crop, and how frame scores become the score of a video."""

    name: str
    description: str
    frames: Literal["pipeline", "linspace"]
    """"pipeline": as the detector analyses any video, several faces and time included; "linspace": `num_frames` spread
    over all frames that decode, the first and the last among them."""
    num_frames: int | None = None
    """None for "pipeline"."""
    crop: CropGeometry | None = None
    """None: the crop that the detector was trained on."""
    aggregation: Literal["verdict", "mean", "max"] = "mean"
    """"verdict": the detector's own answer about the whole video, only with "pipeline"; otherwise over the frames'
    probabilities, one face (the largest) in each frame."""
    threshold: float | None = 0.5
    """For accuracy and its kin; None: the weights' own threshold."""
    clip: tuple[float, float] | None = None
    """Probabilities are clipped to this range for the log loss."""

    def __post_init__(self) -> None:
        """Refuse combinations that mean nothing."""
        pipeline = self.frames == "pipeline"
        if pipeline != (self.aggregation == "verdict"):
            raise InputError('"verdict" goes with frames "pipeline", and only with it')
        if pipeline == (self.num_frames is not None) or (self.num_frames is not None and self.num_frames < 1):
            raise InputError("num_frames is needed (at least 1), except with frames 'pipeline'")
        if pipeline and self.crop is not None:
            raise InputError("the pipeline cuts its own crops")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"threshold must lie in [0, 1], got {self.threshold}")
        if self.clip is not None and not 0 <= self.clip[0] < 0.5 < self.clip[1] <= 1:
            raise InputError(f"clip must be a range around 0.5 in [0, 1], got {self.clip}")

    def frame_indices(self, num_frames: int) -> NDArray[np.int64]:
        """Indices of the frames to judge, increasing and without repeats, of a video with `num_frames` decoded frames.

        Raises InputError for "pipeline", which chooses by time.
        """
        if self.num_frames is None:
            raise InputError("the pipeline samples by time, not by index")
        if num_frames == 0:
            return np.zeros(0, np.int64)
        # whole parts of linspace, as DeepfakeBench; a shorter video gives each of its frames once
        return np.unique(np.linspace(0, num_frames - 1, self.num_frames).astype(np.int64))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the result file, JSON-ready."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


VIDGUARD: Final = Protocol(
    name="vidguard",
    description="the whole pipeline at 8 frames a second, every face, time included; the verdict is the video's score",
    frames="pipeline",
    aggregation="verdict",
    threshold=None,
)
DEEPFAKEBENCH: Final = Protocol(
    name="deepfakebench",
    description="32 frames by linspace(0, N-1), largest face, mean of frame probabilities (Yan et al., NeurIPS 2023)",
    frames="linspace",
    num_frames=32,
)
DFDC: Final = Protocol(
    name="dfdc",
    description="log loss of the video's score clipped to [0.01, 0.99] (Dolhansky et al. 2020); 32 frames, mean",
    frames="linspace",
    num_frames=32,
    clip=(0.01, 0.99),
)
PROTOCOLS: Final = {p.name: p for p in (VIDGUARD, DEEPFAKEBENCH, DFDC)}
