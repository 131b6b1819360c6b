"""Reading video and still images as timed, upright RGB frames on the device of your choice.

    with open_source("clip.mp4") as reader:
        for batch in reader.batches(frames_per_second=8):
            batch.frames, batch.pts_seconds

Colours follow the stream's own matrix and range; a stream that names no matrix is read as BT.709 from 720 rows up and
as BT.601 below. BT.2020 in SDR keeps its primaries, HDR is tone mapped (see color.py). Alpha is dropped in videos and
composited on black in stills.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO, Final

import torch

from vidguard.config import Limits
from vidguard.errors import BackendError, InputError
from vidguard.sandbox import Sandbox
from vidguard.text import printable
from vidguard.video.guard import guarded, reading
from vidguard.video.isolated import open_sandboxed
from vidguard.video.letterbox import Letterbox
from vidguard.video.reader import VideoReader
from vidguard.video.sampler import FrameSampler
from vidguard.video.source import Source
from vidguard.video.writer import TimedImage, write_picture, write_video

__all__ = [
    "BACKENDS",
    "FrameSampler",
    "Letterbox",
    "TimedImage",
    "VideoReader",
    "open_source",
    "write_picture",
    "write_video",
]

BACKENDS: Final = ("pyav", "pyav-nvdec", "decord", "pillow")
_LOG = logging.getLogger(__name__)
_DEFAULT_LIMITS: Final = Limits()


def open_source(
    source: str | Path | bytes | BinaryIO,
    *,
    device: torch.device | str = "cpu",
    backend: str | None = None,
    limits: Limits = _DEFAULT_LIMITS,
    sandbox: Sandbox | None = None,
) -> VideoReader:
    """Open a path, bytes or binary file object for reading once; in a child process, where a sandbox is given.

    The rule, where backend is None: pictures, told by content, go to "pillow": one is a still, several (animated WebP
    and AVIF, pages of a TIFF or HEIF) are a video. A video (or an animated GIF or PNG, raw MJPEG, an image sequence of
    HEIF) goes to "pyav-nvdec" where device is a GPU and to "pyav" otherwise. What the GPU can't decode falls back to
    "pyav", with a note that says why. Naming a backend forces it. A sandbox decodes on the CPU.

    Raises SourceError (missing, empty, not a video or image, no video stream), LimitError (larger than limits allow),
    DecoderCrash (the sandbox's child died of it), BackendError (device or backend isn't available, or can't read this
    source) and InputError (not a source at all).
    """
    wanted = torch.device(device)
    if backend is not None and backend not in BACKENDS:
        raise InputError(f"no backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise BackendError(f"device {wanted} was asked for, but torch finds no CUDA device; use device='cpu'")
    if sandbox is not None and sandbox.available:
        if backend == "pyav-nvdec":
            raise BackendError("pyav-nvdec decodes on the GPU, in this process; use it without a sandbox")
        return open_sandboxed("vidguard.video:open_source", source, sandbox, limits, wanted, backend=backend)
    opened = Source(source, limits)
    try:
        with reading(opened):
            reader = guarded(_open(opened, wanted, backend, limits), opened)
        info = reader.info
        _LOG.debug(
            "%s: opened by %s, %s %s, %sx%s",
            *(printable(info.name), reader.backend, info.container, info.codec, info.width, info.height),
        )
        return reader
    except BaseException:
        opened.close()
        raise


def _open(source: Source, device: torch.device, backend: str | None, limits: Limits) -> VideoReader:
    from vidguard.video.pillow_reader import is_for_pillow, open_picture
    from vidguard.video.pyav_software import open_software

    if backend == "pillow" or (backend is None and is_for_pillow(source, limits)):
        return open_picture(source, device, limits)
    if backend == "decord":
        from vidguard.video.decord_reader import open_decord

        return open_decord(source, device, limits)
    if backend == "pyav" or (backend is None and device.type != "cuda"):
        return open_software(source, device, limits)

    from vidguard.video.pyav_nvdec import open_nvdec

    try:
        return open_nvdec(source, device, limits)
    except BackendError as why:
        if backend is not None:
            raise
        _LOG.info("%s: decoded in software: %s", printable(source.name), printable(str(why)))
        return open_software(source, device, limits, notes=(f"decoded in software: {why}",))
