"""Valid files that are easily misread, and what has to be answered about each: one row of docs/hard-files.md a case."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidguard.demo import make_demo_clip
from vidguard.detector.triage import Triage
from vidguard.types import Report, Segment
from vidguard.video import open_source

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class HardCase:
    """One kind of file. The checks assert; None where that entry point isn't meant for such a file."""

    kind: str
    """A short phrase: the row's name, and the test's."""
    make: Callable[[Path], Path]
    """Writes the file into an empty folder, with the suffix it would have."""
    analyze: Callable[[Report], None]
    triage: Callable[[Triage], None] | None = None
    stream: Callable[[Sequence[Segment]], None] | None = None
    """Of `Detector.stream` fed with every frame that `open_source` gives."""


@functools.cache
def portraits() -> tuple[Rgb, Rgb]:
    """One face, (512, 512, 3) uint8 RGB: as photographed, and with the demo's forgery laid on."""
    with tempfile.TemporaryDirectory() as folder:
        clip = make_demo_clip(Path(folder) / "demo.mp4")
        with open_source(clip.path) as reader:
            shown = reader.frames_at((1.0, 4.0)).frames.permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(shown[0]), np.ascontiguousarray(shown[1])
