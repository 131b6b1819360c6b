"""What happens to pictures and clips after they were made: codecs, resizing, blur, noise, light."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import av
import cv2
import numpy as np

from vidguard.errors import InputError
from vidguard.forge.blend import ByteImage


def jpeg(image: ByteImage, quality: int) -> ByteImage:
    """Encode and decode (H, W, 3) uint8 RGB as JPEG; quality 1..100."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise InputError(f"no JPEG could be made of an image of shape {image.shape}")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def h264(frames: Sequence[ByteImage], crf: int, *, fps: int = 25) -> list[ByteImage]:
    """Encode and decode a clip of equal (H, W, 3) uint8 RGB frames as H.264; even sides; crf 0 (best) to 51."""
    height, width = frames[0].shape[:2]
    if height % 2 or width % 2:
        raise InputError(f"H.264 needs even sides, got {width}x{height}")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast"})
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
    """Draw a chain of degradations; the result can be applied to several pictures alike (a real one and its fake)."""
    gain, offset, gamma = rng.normal(1, 0.12), rng.normal(0, 10), float(np.exp(rng.normal(0, 0.15)))
    use = rng.random(6)
    factor, sigma, blur = rng.uniform(0.3, 0.95), rng.uniform(1, 6), rng.uniform(0.4, 1.6)
    quality, crf, noise_seed = int(rng.integers(35, 96)), int(rng.integers(22, 41)), int(rng.integers(2**31))

    def apply(image: ByteImage) -> ByteImage:
        if use[0] < 0.6:
            image = light(image, gain, offset, gamma)
        if use[1] < 0.35:
            image = rescale(image, factor)
        if use[2] < 0.15:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.uint8)
        if use[3] < 0.15:
            image = noise(image, sigma, np.random.default_rng(noise_seed))
        if use[4] < 0.3:
            image = h264([image], crf)[0]
        if use[5] < 0.4:
            image = jpeg(image, quality)
        return image

    return apply
