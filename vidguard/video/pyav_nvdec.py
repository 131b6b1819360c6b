"""Decoding on an NVIDIA GPU with PyAV: backend "pyav-nvdec". Frames never leave the GPU's memory."""

from __future__ import annotations

from typing import Final

import torch
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.dlpack import from_dlpack

from vidguard.config import Limits
from vidguard.errors import BackendError, SourceError
from vidguard.video.color import nv12_to_rgb, to_uint8, tone_map_to_sdr
from vidguard.video.container import choose_stream, decoder_options, open_container
from vidguard.video.picture import Picture, pixel_format
from vidguard.video.pyav_reader import PyAvReader
from vidguard.video.source import Source

# What NVDEC gives for 4:2:0: the significant bits of a sample. P016 carries 12 bits, scaled to 16.
_BIT_DEPTHS: Final = {"nv12": 8, "p010le": 10, "p016le": 16}


def open_nvdec(source: Source, device: torch.device, limits: Limits) -> PyAvReader:
    """Open a source for decoding on device, an NVIDIA GPU.

    Raises BackendError, with the reason, for what this machine's hardware can't decode or this backend can't show right
    (interlaced material: bwdif runs on the CPU only).
    """
    if not torch.cuda.is_available():
        raise BackendError(f"no CUDA device for {device}; use device='cpu'")
    if not source.seekable:
        raise BackendError("a pipe can't be read again should the hardware refuse it; pass a file")
    index = torch.cuda.current_device() if device.index is None else device.index
    # PyAV shares torch's primary CUDA context when frames stay on the device.
    hwaccel = HWAccel("cuda", device=str(index), allow_software_fallback=False, is_hw_owned=True)
    with open_container(source, limits) as plain:
        choose_stream(plain, source.name)  # what is wrong with the source itself is said before the hardware is blamed
    try:
        container = open_container(source, limits, hwaccel=hwaccel)
    except (RuntimeError, SourceError) as error:  # no hardware decoder for any stream; no driver
        raise BackendError(f"NVDEC refused {source.name}: {error.__cause__ or error}") from error
    try:
        stream, notes = choose_stream(container, source.name)
        stream.codec_context.options = decoder_options(limits)
        reader = PyAvReader(
            "pyav-nvdec",
            source,
            container,
            stream,
            lambda picture: NvdecCanvas(picture, torch.device("cuda", index)),
            limits=limits,
            notes=notes,
            deinterlace=False,
        )
        _require_usable(reader.first, stream.codec_context.name)
    except BaseException:
        container.close()
        raise
    return reader


def _require_usable(first: VideoFrame | None, codec: str) -> None:
    if first is None:
        raise BackendError(f"NVDEC decoded no frame of this {codec} stream")
    if first.format.name != "cuda":
        raise BackendError(f"NVDEC doesn't decode {codec} {first.format.name}")
    if pixel_format(first) not in _BIT_DEPTHS:
        raise BackendError(f"NVDEC frames of format {pixel_format(first)} can't be read")
    if first.interlaced_frame:
        raise BackendError("interlaced material is deinterlaced on the CPU only")


class NvdecCanvas:
    """Converts NV12 and P010 in torch on the GPU: the stream's matrix and range, chroma replicated, HDR tone mapped."""

    def __init__(self, picture: Picture, device: torch.device) -> None:
        """Prepare for frames of one stream."""
        self._picture = picture
        self._device = device

    def blank(self, num_frames: int) -> Tensor:
        """Allocate (num_frames, 3, h, w) uint8 on the GPU."""
        size = (num_frames, 3, self._picture.height, self._picture.width)
        return torch.empty(size, dtype=torch.uint8, device=self._device)

    def write(self, raw: VideoFrame, out: Tensor) -> None:
        """Convert one frame into (3, h, w) out."""
        ours = torch.cuda.current_stream(self._device)
        # FFmpeg copies into the frame on the default stream; working there orders us after it.
        decoders = torch.cuda.default_stream(self._device)
        decoders.wait_stream(ours)
        with torch.cuda.stream(decoders):
            # PyAV's planes refuse the stream argument torch.from_dlpack passes, hence the bare capsule.
            luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in raw.planes)
            rgb = nv12_to_rgb(luma, chroma, self._picture.color, bit_depth=_BIT_DEPTHS[pixel_format(raw)])
            rgb = tone_map_to_sdr(rgb, self._picture.color.transfer)
            width, height = self._picture.whole_size
            if rgb.shape[1:] != (height, width):
                rgb = interpolate(rgb[None], size=(height, width), mode="bilinear", antialias=True)[0]
            left, top, right, bottom = self._picture.crop
            out.copy_(to_uint8(rgb[:, top : height - bottom, left : width - right]))
        # The decoder may reuse the surface as soon as the planes are gone: wait until they have been read.
        decoders.synchronize()

    def finish(self, frames: Tensor) -> Tensor:
        """Turn upright."""
        return self._picture.orientation.apply(frames)
