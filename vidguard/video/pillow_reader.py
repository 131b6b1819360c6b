"""Pictures with Pillow: backend "pillow". One is a still; several are a video of their own."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from math import ceil, sqrt
from typing import IO, Any, Final, cast

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import InputError, LimitError, SourceError
from vidguard.types import FrameBatch, SourceInfo
from vidguard.video.ending import breaks_off
from vidguard.video.limits import check_still_pixels, still_bytes
from vidguard.video.pictures import behind_jpeg, is_picture_sequence, looks_like_a_picture
from vidguard.video.promise import iso_boxes
from vidguard.video.reader import pick_shown, require_batch_size, require_increasing
from vidguard.video.sampler import FrameSampler
from vidguard.video.source import Source

# Formats Pillow decodes itself; EPS and the like would start other programs.
_FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
# What Pillow's decoders raise for damaged data.
_DAMAGE: Final = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, RuntimeError, EOFError, ArithmeticError, struct.error),
)
_PACKED_PIXEL_BYTES: Final = 2  # of WebP, AVIF and HEIF, compressed always, whose decoders take the file as a whole
_JPEG_END: Final = b"\xff\xd9"
_EXIF_ORIENTATION: Final = 0x0112
_EXIF_ROTATION_DEGREES: Final = {3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270}
_EXIF_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PAGE_SECONDS: Final = 1.0
"""How long a picture without a time of its own, such as a page of a TIFF, is shown: there is no right value."""
# Browsers show pictures of an animation that are to last no longer than the first for as long as the second.
_TOO_FAST_SECONDS, _FAST_SECONDS = 0.0101, 0.1
_MAX_FURTHER: Final = 64  # pictures behind the first of a photo that are looked up
_TIFF_SUB_IFDS: Final = 330
_GAIN_MAP: Final = b"hdrgm:Version="


def is_for_pillow(source: Source, limits: Limits) -> bool:
    """Tell by content whether Pillow is to read the source: pictures that FFmpeg doesn't read as a video.

    A pipe that brings pictures is read to its end first. Animated GIF and PNG are FFmpeg's (unless a PNG's first
    picture is no part of its animation), and so are raw MJPEG and image sequences of HEIF.
    """
    if not looks_like_a_picture(source):
        return False
    source.hold(still_bytes(limits))
    if source.head[:3] == b"GIF" or source.head[:4] == b"\x89PNG":
        return not _is_animation(source, limits)
    return not is_picture_sequence(source)


def open_picture(
    source: Source, device: torch.device, limits: Limits, *, max_pictures: int | None = None
) -> PillowReader | PicturesReader:
    """Read a still image, or pictures one after the other as a video.

    Each is turned upright by its EXIF orientation, alpha composited on black. One of more than max_pixels is decoded
    smaller; those beyond max_pictures aren't. Of a still that breaks off, the part that could be decoded is given, the
    rest black or of one colour. Raises SourceError for what Pillow can't identify, LimitError for a picture of more
    than max_still_pixels.
    """
    source.hold(still_bytes(limits))
    picture = _identify(source, limits)
    check_still_pixels(source.name, *picture.size, limits)
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        return PicturesReader(source, picture, device, limits, max_pictures)
    return _open_still(source, picture, device, limits)


def _open_still(source: Source, picture: ImageFile.ImageFile, device: torch.device, limits: Limits) -> PillowReader:
    troubles = [*_pipe_troubles(source, limits), *_not_looked_at(source, picture)]
    notes: list[str] = []
    found = _decode(picture, limits)
    if found.error is not None:
        found = _decode(_salvage(source, limits), limits, salvaged=found.error)
        fate = "can't be decoded" if found.frame is None else "is damaged, a part of it was decoded"
        troubles.append(f"the image {fate}: {found.error}")
    if found.note:
        notes.append(found.note)
    info = _info(source, picture, found, kind="image", num_frames_header=1)
    source.close()
    return PillowReader(info, found.frame, device, tuple(notes), tuple(troubles))


@dataclass(frozen=True)
class _Decoded:
    """One picture: (3, H, W) uint8 RGB, upright, or None where nothing of it could be decoded, and why."""

    frame: Tensor | None
    width: int
    height: int
    degrees: int = 0
    note: str = ""
    error: Exception | None = None


def _decode(picture: ImageFile.ImageFile, limits: Limits, *, salvaged: Exception | None = None) -> _Decoded:
    """Decode the picture at hand. salvaged: what was wrong with it, where it is given as far as it could be decoded."""
    width, height = picture.size
    turn = 1
    try:
        factor = ceil(sqrt(width * height / limits.max_pixels)) if width * height > limits.max_pixels else 1
        if factor > 1 and salvaged is None:
            picture.draft(None, (ceil(width / factor), ceil(height / factor)))  # JPEG alone can decode smaller
        if salvaged is None:
            picture.load()
        turn = picture.getexif().get(_EXIF_ORIENTATION, 1)
        frame = _upright_rgb(picture, turn, limits)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(str(error)) from error
    except _DAMAGE as error:  # some formats give nothing, not even an orientation, of a damaged picture
        salvaged, frame = salvaged or error, None
    if salvaged is not None and frame is not None and _is_blank(frame):
        frame = None
    degrees = _EXIF_ROTATION_DEGREES.get(turn, 0)
    if degrees in (90, 270):
        width, height = height, width
    note = ""
    if frame is not None and frame.shape[1:] != (height, width):
        height, width, full = frame.shape[1], frame.shape[2], f"{width}x{height}"
        note = f"the picture of {full} px is larger than max_pixels and was decoded at {width}x{height} px"
    return _Decoded(frame, width, height, degrees, note, salvaged)


def _info(source: Source, picture: ImageFile.ImageFile, first: _Decoded, **more: Any) -> SourceInfo:
    return SourceInfo(
        name=source.name,
        container=(picture.format or "").lower(),
        codec=(picture.format or "").lower(),
        pixel_format=picture.mode,
        width=first.width,
        height=first.height,
        rotation_degrees=first.degrees,
        size_bytes=source.size_bytes,
        sha256=source.sha256,
        **more,
    )


def _pipe_troubles(source: Source, limits: Limits) -> list[str]:
    return [f"the pipe was cut after max_bytes={limits.max_bytes}"] if source.was_cut else []


def _not_looked_at(source: Source, picture: ImageFile.ImageFile) -> Iterator[str]:
    """Say what else a file of one picture holds. Maps of depth or light beside a photo are no pictures of their own."""
    further = 0
    if picture.format == "MPO":
        further = _further_pictures(picture)
    elif picture.format == "JPEG":
        behind = behind_jpeg(source)
        if behind == "pictures" or (behind == "listed pictures" and _GAIN_MAP not in source.read_at(0, 1 << 18)):
            further = 1
    elif picture.format == "TIFF":
        below = getattr(picture, "tag_v2", {}).get(_TIFF_SUB_IFDS, ())
        further = len(below) if isinstance(below, tuple) else 1
    elif picture.format == "GIF" and breaks_off(source, "gif"):
        yield "the file breaks off before the end of its pictures"
    if further:
        yield f"{further} further picture(s) of the file were not looked at"
    if (picture.format in ("JPEG", "MPO") and behind_jpeg(source) == "video") or (
        picture.format in ("HEIF", "AVIF") and iso_boxes(source) & {"mpvd", "moov"}
    ):
        yield "the photo comes with a video, which was not looked at"


def _further_pictures(picture: ImageFile.ImageFile) -> int:
    """Pictures in colour behind the first; a grey one beside it is a map of depth or light."""
    further, colour = 0, picture.mode
    for number in range(1, min(getattr(picture, "n_frames", 1), _MAX_FURTHER)):
        try:
            picture.seek(number)
            further += picture.mode == colour
        except (EOFError, *_DAMAGE):
            further += 1
    picture.seek(0)
    return further


class _Head(io.BufferedIOBase):
    """The first bytes of a source that can seek, and a tail after them, as a file that is read when asked for."""

    def __init__(self, source: Source, most: int, tail: bytes = b"") -> None:
        self._file = source.stream()
        self._size = min(most, self._file.seek(0, io.SEEK_END))
        self._tail = tail
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = self._size + len(self._tail)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: end}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        wanted = max(0, self._size + len(self._tail) - self._position)
        if size is not None and size >= 0:
            wanted = min(size, wanted)
        self._file.seek(min(self._position, self._size))
        data = self._file.read(min(wanted, max(0, self._size - self._position)))
        beyond = max(0, self._position - self._size)
        data += self._tail[beyond : beyond + wanted - len(data)]
        self._position += len(data)
        return data


class PillowReader(Closing):
    """A still image as a stream of one frame."""

    backend = "pillow"
    end_seconds: float | None = None

    def __init__(
        self,
        info: SourceInfo,
        frame: Tensor | None,
        device: torch.device,
        notes: tuple[str, ...],
        troubles: tuple[str, ...] = (),
    ) -> None:
        """Hold frame, (3, H, W) uint8 RGB, or None where nothing of it could be decoded."""
        self.info = info
        self.notes = (*notes, *troubles)
        self.troubles = troubles
        self.damaged = bool(troubles)
        self.num_frames_decoded = 0
        self._frame = frame
        self._device = device
        self._taken = False

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Yield the one frame; see VideoReader."""
        require_batch_size(batch_size)
        FrameSampler[Tensor](frames_per_second)  # refuses a bad rate here as everywhere
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

    def _take(self) -> FrameBatch:
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken = True
        if self._frame is None:
            blank = (0, 3, self.info.height or 0, self.info.width or 0)
            return FrameBatch(torch.empty(blank, dtype=torch.uint8, device=self._device), ())
        self.num_frames_decoded = 1
        return FrameBatch(self._frame[None].to(self._device), (0.0,))


class PicturesReader(Closing):
    """Several pictures of one file as a video: an animation with its own times, pages for a second each.

    One picture is held at a time. Batches end where the pictures' size changes.
    """

    backend = "pillow"

    def __init__(
        self,
        source: Source,
        picture: ImageFile.ImageFile,
        device: torch.device,
        limits: Limits,
        max_pictures: int | None = None,
    ) -> None:
        """Take over the source, closed by `close`; decodes the first picture. None: all of them are wanted."""
        self.num_frames_decoded = 0
        self.end_seconds: float | None = None
        self._source, self._picture, self._device, self._limits = source, picture, device, limits
        self._max_pictures = max_pictures
        self._notes: list[str] = []
        self._troubles = _pipe_troubles(source, limits)
        self._taken = False
        self._first = self._read(0)
        first = self._first or _Decoded(None, *picture.size)
        self.info = _info(source, picture, first, kind="video", num_frames_header=_count(picture))
        if _seconds_shown(picture) is None:
            self._notes.append(f"pictures without a time of their own are shown for {_PAGE_SECONDS:g} s each")

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences; grows while pictures are read."""
        return (*self._notes, *self._troubles)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why not all pictures were seen, so far."""
        return tuple(self._troubles)

    @property
    def damaged(self) -> bool:
        """Whether there are troubles."""
        return bool(self._troubles)

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Decode every picture and yield the sampled ones; see VideoReader."""
        require_batch_size(batch_size)
        sampler = FrameSampler[Tensor](frames_per_second)
        return self._batched(sampler.sample(self._take_pictures(), lambda: self.end_seconds), batch_size)

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Give the pictures shown at increasing times, as far as they have one size; see VideoReader."""
        require_increasing(times_seconds)
        shown = pick_shown(self._take_pictures(), times_seconds)
        for batch in self._batched(shown, max(len(times_seconds), 1)):
            return batch
        blank = torch.empty((0, 3, self.info.height or 1, self.info.width or 1), dtype=torch.uint8)
        return FrameBatch(blank.to(self._device), ())

    def close(self) -> None:
        """Release the pictures; the caller's file object stays open."""
        self._first = None
        self._source.close()

    def _take_pictures(self) -> Iterator[tuple[Tensor, float]]:
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken = True
        return self._timed_pictures()

    def _timed_pictures(self) -> Iterator[tuple[Tensor, float]]:
        decoded, self._first = self._first, None
        pts = 0.0
        for number in count(1):
            if decoded is None:
                return
            if pts > self._limits.max_seconds:
                self._troubles.append(f"cut after max_seconds={self._limits.max_seconds:g}")
                return
            self.end_seconds = pts + (_seconds_shown(self._picture) or _PAGE_SECONDS)
            if decoded.frame is not None:
                self.num_frames_decoded += 1
                yield decoded.frame, pts
            pts = self.end_seconds
            decoded = self._read(number)
            if decoded is not None and number == self._max_pictures:
                left = (self.info.num_frames_header or number + 1) - number
                self._troubles.append(f"{left} further picture(s) of the file were not looked at")
                return

    def _read(self, number: int) -> _Decoded | None:
        """Decode one picture; None after the last."""
        try:
            self._picture.seek(number)
            check_still_pixels(self._source.name, *self._picture.size, self._limits)
        except EOFError:
            return None
        except (LimitError, Image.DecompressionBombError) as error:
            self._troubles.append(f"picture {number + 1} and what follows were left out: {error}")
            return None
        except _DAMAGE as error:
            self._troubles.append(f"picture {number + 1} and what follows can't be decoded: {error}")
            return None
        decoded = _decode(self._picture, self._limits)
        if decoded.error is not None:
            self._troubles.append(f"picture {number + 1} can't be decoded: {decoded.error}")
        if decoded.note and decoded.note not in self._notes:
            self._notes.append(decoded.note)
        return decoded

    def _batched(self, timed: Iterator[tuple[Tensor, float]], batch_size: int) -> Iterator[FrameBatch]:
        frames: list[Tensor] = []
        times: list[float] = []
        for frame, pts in timed:
            if frames and (len(frames) == batch_size or frame.shape != frames[0].shape):
                yield FrameBatch(torch.stack(frames).to(self._device), tuple(times))
                frames, times = [], []
            frames.append(frame)
            times.append(pts)
        if frames:
            yield FrameBatch(torch.stack(frames).to(self._device), tuple(times))


def _count(picture: ImageFile.ImageFile) -> int | None:
    """How many pictures there are; None where the file breaks off on the way to the last."""
    at = picture.tell()
    try:
        return int(getattr(picture, "n_frames", 1))
    except _DAMAGE:
        picture.seek(at)
        return None


def _seconds_shown(picture: ImageFile.ImageFile) -> float | None:
    """How long the picture at hand is shown by the file; None where it has no time of its own."""
    milliseconds = picture.info.get("duration")
    if not isinstance(milliseconds, (int, float)):
        return None
    seconds = milliseconds / 1000
    return _FAST_SECONDS if seconds < _TOO_FAST_SECONDS else seconds


def _identify(source: Source, limits: Limits, tail: bytes = b"") -> ImageFile.ImageFile:
    """Find the format and read the headers, as Image.open does, but under our own limits instead of Pillow's one."""
    packed = source.head[:4] == b"RIFF" or source.head[4:8] == b"ftyp"
    most = still_bytes(limits, _PACKED_PIXEL_BYTES) if packed else still_bytes(limits)
    file = cast(IO[bytes], _Head(source, most, tail))
    names = _registered_formats()
    for name in names:
        factory, accepts = Image.OPEN[name]
        if accepts is not None and accepts(source.head[:16]) is not True:
            continue
        file.seek(0)
        with suppress(*_DAMAGE):
            return factory(file, "")
    is_heic = source.head[4:8] == b"ftyp" and source.head[8:12] not in (b"avif", b"avis")
    hint = "; install HEIC support with: pip install 'vidguard[heif]'" if is_heic and "HEIF" not in names else ""
    raise SourceError(f"{source.name} is not an image Pillow can read{hint}")


def _registered_formats() -> tuple[str, ...]:
    with suppress(ImportError):  # optional: vidguard[heif]
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _salvage(source: Source, limits: Limits) -> ImageFile.ImageFile:
    """Load what there is of a damaged picture; the rest stays as empty as the decoder left it.

    Pillow's own switch for this, LOAD_TRUNCATED_IMAGES, is one for the whole process, so also for the caller's threads.
    With an end marker added and the unread tiles dropped, the same pixels come out without it.
    """
    # Without an end marker libjpeg draws nothing of a progressive picture; other decoders never get to it.
    picture = _identify(source, limits, tail=_JPEG_END)
    with suppress(*_DAMAGE):
        picture.load()
    picture.tile = []
    return picture


def _is_blank(frame: Tensor) -> bool:
    """Whether (3, H, W) has one colour only, as an empty canvas has; which one depends on the format."""
    return bool((frame == frame[:, :1, :1]).all())


def _upright_rgb(picture: Image.Image, turn: int, limits: Limits) -> Tensor:
    """Flatten, shrink to max_pixels, turn: in this order, so that what is large is held once."""
    flat: Image.Image = picture
    if flat.mode.startswith("I;16"):  # Pillow would clip 16-bit grey instead of scaling it
        flat = Image.fromarray((np.asarray(flat, dtype=np.uint16) >> 8).astype(np.uint8))
    wanted = "RGBA" if flat.has_transparency_data else "RGB"
    if flat.mode != wanted:
        flat = flat.convert(wanted)
    if flat.width * flat.height > limits.max_pixels:
        flat = flat.reduce(ceil(sqrt(flat.width * flat.height / limits.max_pixels)))
    if wanted == "RGBA":
        flat = Image.alpha_composite(Image.new("RGBA", flat.size, (0, 0, 0, 255)), flat).convert("RGB")
    if turn in _EXIF_TURNS:
        flat = flat.transpose(_EXIF_TURNS[turn])
    return torch.from_numpy(np.array(flat)).permute(2, 0, 1).contiguous()


def _is_animation(source: Source, limits: Limits) -> bool:
    """Whether a GIF or PNG holds several pictures, all of which FFmpeg shows."""
    try:
        picture = _identify(source, limits)
        return bool(getattr(picture, "is_animated", False)) and not getattr(picture, "default_image", False)
    except (*_DAMAGE, SourceError, Image.DecompressionBombError):
        return False  # damaged or hostile: reading it as an image will say how
