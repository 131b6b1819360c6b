"""What happens to pictures and clips after they were made: codecs, resizing, blur, noise, light."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from vidguard.errors import BackendError, InputError
from vidguard.forge.blend import ByteImage


def jpeg(image: ByteImage, quality: int) -> ByteImage:
    """Encode and decode (H, W, 3) uint8 RGB as JPEG; quality 1..100."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise InputError(f"no JPEG could be made of an image of shape {image.shape}")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def h264(frames: Sequence[ByteImage], crf: int, *, fps: float = 25, repeatable: bool = False) -> list[ByteImage]:
    """Encode and decode a clip of equal (H, W, 3) uint8 RGB frames as H.264; even sides; crf 0 (best) to 51.

    repeatable: without x264's macroblock tree, by which it doesn't code several frames alike every time (of 40 runs on
    small noisy clips, 2 to 30 differed; without it none; a single frame never).
    """
    options = {"crf": str(crf), "preset": "veryfast"}
    if repeatable:
        options["x264-params"] = "no-mbtree=1"
    return _coded(frames, "libx264", options, fps)


def hevc(frames: Sequence[ByteImage], crf: int, *, fps: float = 25) -> list[ByteImage]:
    """Encode and decode a clip as H.265/HEVC; frames and crf as for `h264`, with sides of 16 px at least.

    Raises BackendError where PyAV was built without libx265.
    """
    if min(frames[0].shape[:2]) < 16:
        raise InputError("HEVC needs sides of 16 px at least")
    # one thread, as for H.264: what is decoded must not depend on the machine's cores
    settings = "pools=none:frame-threads=1:log-level=none"
    if len(frames) < 3:  # shorter than x265's reordering, B-frames get decoding times out of uninitialised memory
        settings += ":bframes=0"
    options = {"crf": str(crf), "preset": "veryfast", "x265-params": settings}
    return _coded(frames, "libx265", options, fps)


def _coded(frames: Sequence[ByteImage], codec: str, options: dict[str, str], fps: float) -> list[ByteImage]:
    height, width = frames[0].shape[:2]
    if height % 2 or width % 2:
        raise InputError(f"a video needs even sides, got {width}x{height}")
    if codec not in av.codecs_available:
        raise BackendError(f"this PyAV has no {codec}; install its official wheel: pip install --force-reinstall av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream: Any = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = width, height, "yuv420p", 1
        for image in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]


def rescale(image: ByteImage, factor: float) -> ByteImage:
    """Reduce by a factor below 1 and enlarge back to the same size, as a platform's rendition does."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(round(width * factor), 4), max(round(height * factor), 4)), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def noise(image: ByteImage, sigma: float, rng: np.random.Generator) -> ByteImage:
    """Add Gaussian sensor noise of sigma levels (0..255 scale)."""
    noisy = image + rng.normal(0.0, sigma, image.shape).astype(np.float32)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def light(image: ByteImage, gain: float, offset: float, gamma: float) -> ByteImage:
    """Change contrast, brightness (levels) and gamma."""
    levels = np.clip((np.arange(256, dtype=np.float32) * gain + offset) / 255.0, 0.0, 1.0) ** gamma
    return np.asarray(cv2.LUT(image, np.round(levels * 255).astype(np.uint8)), np.uint8)


def sample_degradation(rng: np.random.Generator) -> Callable[[ByteImage], ByteImage]:
    """Draw a chain of degradations; the result can be applied to several pictures alike (a real one and its fake).

    As footage meets them: light in the scene, the camera's blur and noise, then a platform's smaller rendition, encoded
    at that size (H.264 at crf 23 to 42, about FaceForensics++'s c23 and c40; or JPEG) and enlarged for the encoder.
    """
    gain, offset, gamma = rng.normal(1, 0.12), rng.normal(0, 10), float(np.exp(rng.normal(0, 0.15)))
    use = rng.random(6)
    factor, sigma, blur = rng.uniform(0.3, 0.95), rng.uniform(1, 6), rng.uniform(0.4, 1.6)
    quality, crf, noise_seed = int(rng.integers(35, 96)), int(rng.integers(23, 43)), int(rng.integers(2**31))

    def apply(image: ByteImage) -> ByteImage:
        height, width = image.shape[:2]
        if use[0] < 0.6:
            image = light(image, gain, offset, gamma)
        if use[1] < 0.15:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.uint8)
        if use[2] < 0.15:
            image = noise(image, sigma, np.random.default_rng(noise_seed))
        if use[3] < 0.5:
            size = (even_length(width * factor), even_length(height * factor))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        if use[4] < 0.55:
            image = h264([image], crf)[0]
        if use[5] < 0.35:
            image = jpeg(image, quality)
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    return apply


def even_length(length: float) -> int:
    """The nearest side that a codec takes, px."""
    return max(2 * round(length / 2), 4)
