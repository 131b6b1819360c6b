"""Still images with Pillow: backend "pillow"."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from vidguard.config import Limits
from vidguard.errors import InputError, LimitError, SourceError
from vidguard.types import FrameBatch, SourceInfo
from vidguard.video.limits import check_pixels
from vidguard.video.reader import require_batch_size
from vidguard.video.source import Source

# Formats Pillow decodes itself; EPS and the like would start other programs.
_FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
_ISO_BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_EXIF_ORIENTATION: Final = 0x0112
_EXIF_ROTATION_DEGREES: Final = {3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270}


def is_still_image(source: Source) -> bool:
    """Tell by content whether Pillow is to read the source; animated GIF and PNG are videos."""
    head = source.head
    if head[:6] in (b"GIF87a", b"GIF89a") or head[:8] == b"\x89PNG\r\n\x1a\n":
        return not (source.seekable and _is_animated(source))
    return (
        head[:3] == b"\xff\xd8\xff"
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[:4] in (b"II*\x00", b"MM\x00*")
        or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0")
        or (head[4:8] == b"ftyp" and head[8:12] in _ISO_BRANDS)
    )


def open_still(source: Source, device: torch.device, limits: Limits) -> PillowReader:
    """Read a still image whole: one frame at 0.0 s.

    Raises SourceError where it can't be decoded at all, LimitError for one of more than max_pixels.
    """
    opened = _open(source)
    with opened:
        check_pixels(source.name, opened.width, opened.height, limits)
        notes = []
        if getattr(opened, "is_animated", False):
            notes.append("only the first picture of several was read")
        turn = opened.getexif().get(_EXIF_ORIENTATION, 1)
        try:
            with Image.MAX_IMAGE_PIXELS_LOCK if False else opened:
                upright = ImageOps.exif_transpose(opened)
        except (OSError, SyntaxError, ValueError) as error:
            raise SourceError(f"{source.name} is damaged: {error}") from error
    return PillowReader(source, device, upright, turn, notes)
