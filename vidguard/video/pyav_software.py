"""Decoding on the CPU with PyAV: backend "pyav"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from vidguard.config import Limits
from vidguard.video.color import Matrix, to_uint8, tone_map_to_sdr
from vidguard.video.container import choose_stream, decoder_options, open_container
from vidguard.video.picture import Picture
from vidguard.video.pyav_reader import PyAvReader
from vidguard.video.source import Source

# SWS_CS_* of FFmpeg's swscale.h.
_SWSCALE_MATRIX: dict[Matrix, int] = {"bt709": 1, "bt601": 5, "bt2020": 9}
# swscale's planar RGB is stored green, blue, red. Planar, because it is both faster (0.6 against 2.5 ms for a 1080p
# frame with the reordering that packed RGB needs) and closer to the exact value (10 bit: 0.5 against 2.8 of 255).
_RGB_PLANES = (2, 0, 1)
# Without scaling, these of an even height take a path of swscale's own, which writes planar RGB in columns of 16: of
# the rest, the x86 code of swscale 9.5 never writes 1 to 8, and what lay in memory shows. Packed RGB of that path is
# complete and equal to the last bit, so the rest is taken from there: together 2.4 ms for a 1080x1920 frame, against
# 1.6 for planar alone and 3.2 for all of packed.
_WRITTEN_IN_COLUMNS: Final = frozenset(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuva420p", "yuva422p"))
_COLUMNS: Final = 16


def open_software(source: Source, device: torch.device, limits: Limits, notes: Sequence[str] = ()) -> PyAvReader:
    """Open a source for decoding on the CPU; frames are moved to device."""
    container = open_container(source, limits)
    try:
        stream, stream_notes = choose_stream(container, source.name)
        stream.thread_type = "AUTO"
        stream.codec_context.options = decoder_options(limits)
        reader = PyAvReader(
            "pyav",
            source,
            container,
            stream,
            lambda picture: SoftwareCanvas(picture, device),
            limits=limits,
            notes=(*notes, *stream_notes),
        )
    except BaseException:
        container.close()
        raise
    return reader


class SoftwareCanvas:
    """Converts with swscale: matrix and range of the stream, bilinear scaling, alpha dropped; HDR goes on in torch."""

    def __init__(self, picture: Picture, device: torch.device) -> None:
        """Prepare for frames of one stream."""
        self._picture = picture
        self._device = device
        self._reformatter = VideoReformatter()
        self._edge_reformatter = VideoReformatter()  # its own, as one that alternates between formats starts anew

    def blank(self, num_frames: int) -> Tensor:
        """Allocate (num_frames, 3, h, w) uint8 on the CPU."""
        return torch.empty((num_frames, 3, self._picture.height, self._picture.width), dtype=torch.uint8)

    def write(self, raw: VideoFrame, out: Tensor) -> None:
        """Convert one frame into (3, h, w) out."""
        left, top, right, bottom = self._picture.crop
        if left or top or right or bottom:
            width, height = self._picture.whole_size
            whole = torch.empty((3, height, width), dtype=torch.uint8)
            self._convert(raw, whole)
            out.copy_(whole[:, top : height - bottom, left : width - right])
        else:
            self._convert(raw, out)

    def _convert(self, raw: VideoFrame, out: Tensor) -> None:
        color = self._picture.color
        if color.transfer == "sdr":
            planes = self._to_rgb(raw, "gbrp", self._reformatter).planes
            target = out.numpy()  # a plain copy: torch would wake all its threads for it, and they cost more
            for channel, index in enumerate(_RGB_PLANES):
                target[channel] = _pixels(planes[index], np.uint8)
            if rest := self._num_unwritten_columns(raw):
                packed = self._to_rgb(raw, "rgb24", self._edge_reformatter).planes[0]
                target[..., -rest:] = _pixels(packed, np.uint8, channels=3)[:, -rest:].transpose(2, 0, 1)
            return
        planes = self._to_rgb(raw, "gbrp16le", self._reformatter).planes
        deep = np.stack([_pixels(planes[index], np.uint16) for index in _RGB_PLANES]).astype(np.float32)
        out.copy_(to_uint8(tone_map_to_sdr(torch.from_numpy(deep / np.float32(65535)), color.transfer)))

    def finish(self, frames: Tensor) -> Tensor:
        """Turn upright and move to the device."""
        return self._picture.orientation.apply(frames).to(self._device)

    def _num_unwritten_columns(self, frame: VideoFrame) -> int:
        is_scaled = (frame.width, frame.height) != self._picture.whole_size
        if is_scaled or frame.height % 2 or frame.format.name not in _WRITTEN_IN_COLUMNS:
            return 0
        return frame.width % _COLUMNS

    def _to_rgb(self, frame: VideoFrame, pixel_format: str, reformatter: VideoReformatter) -> VideoFrame:
        color = self._picture.color
        matrix = _SWSCALE_MATRIX[color.matrix]
        width, height = self._picture.whole_size
        return reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,  # slices on several threads are slower: 3.4 against 1.6 ms for a 1080p frame on two busy cores
        )


def _pixels(plane: VideoPlane, dtype: type[np.uint8 | np.uint16], *, channels: int = 1) -> NDArray[Any]:
    """Give (H, W), or (H, W, channels), without the padding at the end of rows."""
    buffer: Any = plane  # planes have the buffer protocol, their stubs don't say so
    rows: NDArray[Any] = np.frombuffer(buffer, dtype).reshape(plane.height, -1)[:, : plane.width * channels]
    return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)
