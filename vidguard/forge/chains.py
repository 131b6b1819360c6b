"""Ways of a clip to its viewer: what platforms, messengers and a phone held to a screen do to a whole clip.

Named stand-ins with round figures, in the order in which such services work (reduce, encode, encode again), not
measurements of any one of them. They act on clips, because codecs spend their bits from frame to frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import cv2
import numpy as np

from vidguard.errors import InputError
from vidguard.forge.blend import ByteImage
from vidguard.forge.degrade import even_length, h264, hevc, light, noise

Step = Callable[[Sequence[ByteImage], float, np.random.Generator], list[ByteImage]]
"""(equal frames, frames a second, rng) -> as many frames, of another size perhaps."""


def send(chain: str, frames: Sequence[ByteImage], *, fps: float, rng: np.random.Generator) -> list[ByteImage]:
    """Send a clip through one of the `CHAINS`.

    frames: equal (H, W, 3) uint8 RGB; fps: frames a second, kept. Gives as many frames, alike in content and order but
    as large as the chain leaves them. A still is a clip of one frame. Raises InputError for an unknown chain.
    """
    if chain not in CHAINS:
        raise InputError(f"chain must be one of {', '.join(CHAINS)}; got {chain!r}")
    sent = list(frames)
    for step in CHAINS[chain] if sent else ():
        sent = step(sent, fps, rng)
    return sent


def _reduced(short_side: int) -> Step:
    """To a rendition: the shorter side at most so many px, both sides even."""

    def step(frames: Sequence[ByteImage], fps: float, rng: np.random.Generator) -> list[ByteImage]:
        height, width = frames[0].shape[:2]
        factor = min(1.0, short_side / min(height, width))
        return _resized(frames, even_length(width * factor), even_length(height * factor))

    return step


def _encoded(codec: Callable[..., list[ByteImage]], crf: int) -> Step:
    def step(frames: Sequence[ByteImage], fps: float, rng: np.random.Generator) -> list[ByteImage]:
        return codec(frames, crf, fps=fps)

    return step


_H264: Final = partial(h264, repeatable=True)


def _on_a_screen(frames: Sequence[ByteImage], fps: float, rng: np.random.Generator) -> list[ByteImage]:
    """A display's light: another gamma and contrast, and the beat of its pixels with the camera's as faint stripes."""
    gain, gamma = float(rng.uniform(0.88, 1.0)), float(np.exp(rng.normal(0, 0.15)))
    height, width = frames[0].shape[:2]
    ys, xs = np.mgrid[:height, :width].astype(np.float32) / min(height, width)
    turn, waves = rng.uniform(0, np.pi), rng.uniform(12, 40)
    along = xs * np.cos(turn) + ys * np.sin(turn)
    # neither screen nor lens is flat, so that stripes bend; red, green and blue pixels lie side by side
    bent = along + rng.uniform(0.02, 0.08) * (xs**2 + ys**2)
    phases = rng.uniform(0, 2 * np.pi) + np.arange(3) * (2 * np.pi / 3)
    stripes = 1 + rng.uniform(0.015, 0.04) * np.cos(2 * np.pi * waves * bent[..., None] + phases)
    lit = (light(frame, gain, 12.0, gamma) * stripes for frame in frames)
    return [np.clip(np.round(frame), 0, 255).astype(np.uint8) for frame in lit]


def _by_a_camera(frames: Sequence[ByteImage], fps: float, rng: np.random.Generator) -> list[ByteImage]:
    """Filmed from slightly aside and a little too near, out of a hand, with a small sensor's blur and noise."""
    height, width = frames[0].shape[:2]
    whole = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], np.float32) * min(height, width)
    corners = whole + inward * rng.uniform(0.015, 0.05, (4, 2)).astype(np.float32)
    blur, sigma, pace = float(rng.uniform(0.6, 1.1)), float(rng.uniform(1.5, 3.5)), rng.uniform(0.5, 1.5, 2)
    taken = []
    for index, frame in enumerate(frames):
        sway = 0.004 * min(height, width) * np.sin(2 * np.pi * pace * index / fps)
        matrix = cv2.getPerspectiveTransform((corners + sway).astype(np.float32), whole)
        seen = cv2.warpPerspective(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        taken.append(noise(np.asarray(cv2.GaussianBlur(seen, (0, 0), blur), np.uint8), sigma, rng))
    return taken


CHAINS: Final[dict[str, tuple[Step, ...]]] = {
    "messenger": (_reduced(480), _encoded(_H264, 31)),
    "social-480p": (_reduced(1080), _encoded(_H264, 23), _reduced(480), _encoded(_H264, 28)),
    "social-hevc": (_reduced(1080), _encoded(_H264, 23), _reduced(720), _encoded(hevc, 30)),
    "re-recorded": (_on_a_screen, _by_a_camera, _reduced(1080), _encoded(_H264, 26)),
}


def _resized(frames: Sequence[ByteImage], width: int, height: int) -> list[ByteImage]:
    if frames[0].shape[:2] == (height, width):
        return list(frames)
    return [np.asarray(cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA), np.uint8) for f in frames]
