"""Still images with Pillow: backend "pillow"."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Final, cast

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from vidguard.config import Limits
from vidguard.errors import InputError, LimitError, SourceError
from vidguard.types import FrameBatch, SourceInfo
from vidguard.video.limits import check_pixels
from vidguard.video.reader import require_batch_size, require_increasing
from vidguard.video.sampler import FrameSampler
from vidguard.video.source import Source, Stream

# Formats Pillow decodes itself; EPS and the like would start other programs.
_FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
_ISO_BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What Pillow's decoders raise for damaged data.
_DAMAGE: Final = (OSError, SyntaxError, ValueError)
# A still is read as far as its decoder asks, and never further than this: what follows a picture may be endless.
_PIXEL_BYTES: Final = 8  # of the largest kind, four channels of 16 bits, not compressed
_PACKED_PIXEL_BYTES: Final = 2  # of WebP, AVIF and HEIF, compressed always, whose decoders take the file as a whole
_BESIDE_BYTES: Final = 32 << 20  # metadata, previews
_JPEG_END: Final = b"\xff\xd9"
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
    """Read a still image: one frame at 0.0 s, turned upright by its EXIF orientation, alpha composited on black.

    Of a picture that breaks off, the part that could be decoded is given, the rest black or of one colour. Raises
    SourceError for what Pillow can't identify, LimitError for a picture of more than max_pixels.
    """
    packed = source.head[:4] == b"RIFF" or source.head[4:8] == b"ftyp"
    data = _Head(source, (_PACKED_PIXEL_BYTES if packed else _PIXEL_BYTES) * limits.max_pixels + _BESIDE_BYTES)
    picture = _identify(source, data)
    check_pixels(source.name, picture.width, picture.height, limits)
    notes = ["only the first picture of several was read"] if getattr(picture, "is_animated", False) else []
    damage = _load(picture)
    if damage is not None:
        data.tail = _JPEG_END
        picture = _salvage(source, data)
    frame, turn = None, 0
    try:
        turn = _EXIF_ROTATION_DEGREES.get(picture.getexif().get(_EXIF_ORIENTATION, 1), 0)
        frame = _upright_rgb(picture)
    except _DAMAGE as error:  # some formats give nothing, not even an orientation, of a damaged picture
        damage = error if damage is None else damage
    if damage is not None:
        frame = None if frame is None or _is_blank(frame) else frame
        fate = "can't be decoded" if frame is None else "is damaged, a part of it was decoded"
        notes.append(f"the image {fate}: {damage}")
    width, height = picture.size if turn in (0, 180) else picture.size[::-1]
    info = SourceInfo(
        kind="image",
        name=source.name,
        container=(picture.format or "").lower(),
        codec=(picture.format or "").lower(),
        pixel_format=picture.mode,
        width=width,
        height=height,
        rotation_degrees=turn,
        num_frames_header=1,
        size_bytes=source.size_bytes,
        sha256=source.sha256,
    )
    source.close()
    return PillowReader(info, frame, device, tuple(notes), damaged=damage is not None)


class _Head(io.BufferedIOBase):
    """The first bytes of a source, and `tail` after them, as a file that is read when asked for."""

    def __init__(self, source: Source, most: int) -> None:
        stream = source.stream()
        if source.seekable:
            self._file: Stream | io.BytesIO = stream
            self._size = min(most, source.size_bytes or 0)
        else:
            self._file = io.BytesIO(_read_up_to(stream, most))
            self._size = len(self._file.getbuffer())
        self._position = 0
        self.tail = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size + len(self.tail)}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size + len(self.tail)
        wanted = max(0, end - self._position)
        if size is not None and size >= 0:
            wanted = min(size, wanted)
        self._file.seek(min(self._position, self._size))
        data = self._file.read(min(wanted, max(0, self._size - self._position)))
        beyond = max(0, self._position - self._size)
        data += self.tail[beyond : beyond + wanted - len(data)]
        self._position += len(data)
        return data


def _read_up_to(stream: Stream, most: int) -> bytes:
    parts = bytearray()
    while len(parts) < most and (more := stream.read(min(1 << 20, most - len(parts)))):
        parts += more
    return bytes(parts)


class PillowReader:
    """A still image as a stream of one frame."""

    backend = "pillow"

    def __init__(
        self,
        info: SourceInfo,
        frame: Tensor | None,
        device: torch.device,
        notes: tuple[str, ...],
        *,
        damaged: bool,
    ) -> None:
        """Hold frame, (3, H, W) uint8 RGB, or None where nothing of it could be decoded."""
        self.info = info
        self.notes = notes
        self.damaged = damaged
        self.num_frames_decoded = 0
        self._frame = frame
        self._device = device
        self._taken = False

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Yield the one frame; see VideoReader."""
        require_batch_size(batch_size)
        FrameSampler(frames_per_second)  # refuses a bad rate here as everywhere
        batch = self._take()
        return iter([batch] if len(batch) else [])

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Give the one frame, if any time is asked for; see VideoReader."""
        require_increasing(times_seconds)
        batch = self._take()
        return batch if times_seconds else FrameBatch(batch.frames[:0], ())

    def close(self) -> None:
        """Release the picture."""
        self._frame = None

    def __enter__(self) -> PillowReader:
        """Enter a with block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of a with block."""
        self.close()

    def _take(self) -> FrameBatch:
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken = True
        if self._frame is None:
            blank = (0, 3, self.info.height or 0, self.info.width or 0)
            return FrameBatch(torch.empty(blank, dtype=torch.uint8, device=self._device), ())
        self.num_frames_decoded = 1
        return FrameBatch(self._frame[None].to(self._device), (0.0,))


def _identify(source: Source, data: _Head) -> ImageFile.ImageFile:
    data.seek(0)
    try:
        return Image.open(cast(IO[bytes], data), formats=_registered_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(f"{source.name}: {error}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        hint = "; install HEIC support with: pip install 'vidguard[heif]'" if source.head[4:8] == b"ftyp" else ""
        raise SourceError(f"{source.name} is not an image Pillow can read{hint}") from error


def _registered_formats() -> tuple[str, ...]:
    with suppress(ImportError):  # optional: vidguard[heif]
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _load(picture: ImageFile.ImageFile) -> Exception | None:
    """Decode, and give what went wrong on the way."""
    try:
        picture.load()
    except _DAMAGE as error:
        return error
    return None


def _salvage(source: Source, data: _Head) -> ImageFile.ImageFile:
    """Load what there is of a damaged picture; the rest stays as empty as the decoder left it.

    Pillow's own switch for this, LOAD_TRUNCATED_IMAGES, is one for the whole process, so also for the caller's threads.
    With an end marker added and the unread tiles dropped, the same pixels come out without it.
    """
    # Without an end marker libjpeg draws nothing of a progressive picture; other decoders never get to it.
    picture = _identify(source, data)
    _load(picture)
    picture.tile = []
    return picture


def _is_blank(frame: Tensor) -> bool:
    """Whether (3, H, W) has one colour only, as an empty canvas has; which one depends on the format."""
    return bool((frame == frame[:, :1, :1]).all())


def _upright_rgb(picture: Image.Image) -> Tensor:
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    elif upright.mode.startswith("I;16"):  # Pillow would clip 16-bit grey instead of scaling it
        upright = Image.fromarray((np.asarray(upright, dtype=np.uint16) >> 8).astype(np.uint8))
    return torch.from_numpy(np.array(upright.convert("RGB"))).permute(2, 0, 1).contiguous()


def _is_animated(source: Source) -> bool:
    try:
        with Image.open(cast(IO[bytes], _Head(source, source.size_bytes or 0)), formats=("GIF", "PNG")) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False  # damaged or hostile: reading it as an image will say how
