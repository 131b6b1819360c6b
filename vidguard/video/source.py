"""A source as bytes: opened, measured and hashed before any decoder sees it."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import InputError, LimitError, SourceError, VidguardError
from vidguard.sandbox import LentFile
from vidguard.video.hashed import HashedFile
from vidguard.video.limits import option

_HEAD_BYTES: Final = 64
_CHUNK_BYTES: Final = 1 << 20
# Opening a FIFO that took the file's place would wait for ever without it.
_NOT_WAITING: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Stream:
    """The raw reading end handed to decoders.

    It has no ``name`` on purpose: FFmpeg would let the extension weigh on its guess of the format. A pipe stops
    after ``max_bytes``, and ``was_cut`` tells.
    """

    def __init__(self, file: BinaryIO, head: bytes, *, seekable: bool, max_bytes: int, name: str) -> None:
        """Wrap a file whose first bytes, in a pipe, have already been read into head."""
        self._file = file
        self._head = b"" if seekable else head
        self._seekable = seekable
        self._left = max_bytes
        self._name = name
        self.was_cut = False

    def read(self, size: int = -1) -> bytes:
        """Read up to size bytes, all that is left where size is negative; b"" at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK_BYTES), b""))
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        try:
            if self._seekable:
                return self._file.read(size)
            if self._left == 0:
                self.was_cut = self.was_cut or bool(self._file.read(1))
                return b""
            data = self._file.read(min(size, self._left))
        except OSError as error:
            raise SourceError(f"reading {self._name} failed: {error}") from error
        if len(data) > size:  # PyAV would copy them beyond the end of its buffer
            raise SourceError(f"{self._name} gave more bytes than it was asked for; pass another kind of file object")
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as files do."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Tell the position, as files do."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Tell whether seek works."""
        return self._seekable

    def readable(self) -> bool:
        """Say that it can be read."""
        return True


class Source(Closing):
    """A path, bytes or binary file object that is there, isn't empty and keeps within max_bytes.

    A file object is read from its beginning if it can seek, else from where it stands; it's never closed here.
    ``size_bytes`` and ``sha256`` are None for a pipe. What decoders get is what was hashed: see `HashedFile`.
    """

    def __init__(self, given: str | Path | bytes | BinaryIO | LentFile, limits: Limits) -> None:
        """Open, measure and hash; raises SourceError, LimitError or InputError (not a source at all)."""
        self._limits = limits
        self._owned = isinstance(given, (str, Path, bytes))
        self.path: Path | None = None
        self.size_bytes: int | None = None
        self.sha256: str | None = None
        self._stream: Stream | None = None
        self._hashed: HashedFile | None = None
        self._held_was_cut = False
        if isinstance(given, (str, Path)):
            self.path = _regular_file(given)
            self.name = _shown_name(self.path)
            self._file: BinaryIO = _open(self.path)
        elif isinstance(given, bytes):
            self.name = "<bytes>"
            self._file = io.BytesIO(given)
        elif isinstance(given, LentFile):
            self.name, self.sha256, self._file = given.name, given.sha256, given.file
        else:
            self.name = "<file object>"
            self._file = _binary(given)
        try:
            self.seekable = self._file.seekable()
            self._measure()
        except BaseException as error:
            self.close()
            if isinstance(error, VidguardError) or not isinstance(error, Exception):
                raise
            why = str(error) or type(error).__name__  # a caller's file object may raise anything
            raise SourceError(f"reading {self.name} failed: {why}; try again") from error

    def _measure(self) -> None:
        if self.seekable:
            self.size_bytes = self._file.seek(0, io.SEEK_END)
            self._file.seek(0)
            if self.size_bytes > self._limits.max_bytes:
                raise LimitError(
                    f"{self.name} has {self.size_bytes} bytes, more than max_bytes={self._limits.max_bytes}; "
                    f"raise the limit ({option('max_bytes')} of vidguard analyze) or pass a smaller file"
                )
            self._hashed = HashedFile(self._file, self.size_bytes, self.name)
            if self.sha256 not in (None, self._hashed.sha256):  # lent, and hashed by its lender before
                self._hashed.changed = True
                self._hashed.require_unchanged()
            self.sha256, self._file = self._hashed.sha256, cast(BinaryIO, self._hashed)
        self.head = _read_head(self._file)
        if not self.head:
            raise SourceError(f"{self.name} is empty (0 bytes); pass a video or an image")

    def stream(self) -> Stream:
        """Give the bytes from the beginning; a pipe can be given once."""
        if self.seekable:
            self._file.seek(0)
        self._stream = Stream(
            self._file,
            self.head,
            seekable=self.seekable,
            max_bytes=self._limits.max_bytes - (0 if self.seekable else len(self.head)),
            name=self.name,
        )
        return self._stream

    def hold(self, most: int) -> None:
        """Keep what a pipe gives, up to `most` bytes, so that it can seek: pictures are read back and forth."""
        if self.seekable:
            return
        stream = self.stream()
        kept = io.BytesIO()
        while chunk := stream.read(min(_CHUNK_BYTES, most - kept.tell())):
            kept.write(chunk)
        self._held_was_cut = stream.was_cut
        self._file, self.seekable = kept, True

    def read_at(self, offset: int, size: int) -> bytes:
        """Look at bytes in the middle, for who reads a stream unnoticed; of a pipe only its first ones are there."""
        if not self.seekable:
            return self.head[offset : offset + size]
        before = self._file.tell()
        try:
            self._file.seek(offset)
            return self._file.read(size)
        except (OSError, OverflowError) as error:
            raise SourceError(f"reading {self.name} failed: {error}") from error
        finally:
            self._file.seek(before)

    def read_tail(self, size: int) -> bytes:
        """Look at the last bytes; none of a pipe that isn't held."""
        if not self.seekable:
            return b""
        before = self._file.tell()
        end = self._file.seek(0, io.SEEK_END)
        self._file.seek(before)
        return self.read_at(max(end - size, 0), size)

    def require_unchanged(self) -> None:
        """Raise SourceError if what was read is, so far, not what was hashed."""
        if self._hashed is not None:
            self._hashed.require_unchanged()

    def lend(self) -> LentFile:
        """Give what another process reads in this one's place, by its own Source with the same limits; ends with it.

        It hashes the content itself, and holds it to this one's hash.
        """
        # a byte beyond max_bytes, by which the other one sees that a pipe goes on
        whole = Stream(
            self._file, self.head, seekable=self.seekable, max_bytes=self._limits.max_bytes + 1, name=self.name
        )
        file: Any = whole if self._hashed is None else self._hashed.file
        return LentFile(file, self.name, self.size_bytes, self.sha256, self.close)

    @property
    def was_cut(self) -> bool:
        """Tell whether a pipe went on beyond max_bytes."""
        return self._held_was_cut or (self._stream is not None and self._stream.was_cut)

    def close(self) -> None:
        """Close what was opened here; the caller's file object stays open."""
        if self._owned:
            self._file.close()


def _regular_file(given: str | Path) -> Path:
    if isinstance(given, str) and "://" in given:
        raise SourceError(f"{given} is an address; only local files are read: download it first")
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:  # no permission, name too long, a zero byte in the name
        raise SourceError(f"can't read {path}: {error}") from error
    if stat.S_ISDIR(mode):
        raise SourceError(f"{path} is a folder; pass one video or image file")
    if not stat.S_ISREG(mode):
        raise SourceError(f"{path} is not a regular file; open it and pass the binary file object to read a pipe")
    return path


def _shown_name(path: Path) -> str:
    """The file's name as text: bytes that aren't UTF-8 would go through every string, and stop at the first output."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _open(path: Path) -> BinaryIO:
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | _NOT_WAITING), "rb")
    except OSError as error:
        raise SourceError(f"can't read {path}: {error}") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise SourceError(f"{path} is no longer a regular file; pass one that stays")
    return file


def _binary(given: object) -> BinaryIO:
    if isinstance(given, io.TextIOBase):
        raise InputError("the file object is opened as text; open it with mode 'rb'")
    if not all(hasattr(given, method) for method in ("read", "seekable")):
        raise InputError(f"a source is a path, bytes or a binary file object, not {type(given).__name__}")
    return given  # type: ignore[return-value]  # structurally checked: only read, seek, tell and seekable are used


def _read_head(file: BinaryIO) -> bytes:
    head = b""
    while len(head) < _HEAD_BYTES and (more := file.read(_HEAD_BYTES - len(head))):  # a pipe may give less than asked
        head += more
    return head
