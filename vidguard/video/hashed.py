"""A file whose content is held to what was hashed: who changes it under the reader's hands is found out."""

from __future__ import annotations

import errno
import hashlib
from os import SEEK_CUR, SEEK_END, SEEK_SET
from typing import BinaryIO, Final

from vidguard.errors import SourceError

_BLOCK_BYTES: Final = 1 << 18  # FFmpeg's buffer here, so that reading in order hashes every byte once more, not twice


class HashedFile:
    """A seekable file, hashed whole at birth; every block read later is compared with what it was then.

    Its size is what it was at birth: what is appended later isn't there. After the first difference, ``changed`` is
    set, for decoders swallow what is raised while they read. Not for more than one thread.
    """

    def __init__(self, file: BinaryIO, size_bytes: int, name: str) -> None:
        """Hash the first size_bytes of file. Raises SourceError where there are fewer, or where reading fails."""
        self.file = file
        self.size_bytes = size_bytes
        self.changed = False
        self._name = name
        self._place = 0
        self._digests: list[bytes] = []
        self._cached: tuple[int, bytes] = (-1, b"")
        whole = hashlib.sha256()
        for index in range(-(-size_bytes // _BLOCK_BYTES)):
            block = self._read_block(index)
            whole.update(block)
            self._digests.append(_digest(block))
        self.sha256 = whole.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """Read size bytes, fewer at the end, all for -1. Raises SourceError where they are others than at birth."""
        end = self.size_bytes if size < 0 else min(self._place + size, self.size_bytes)
        parts = []
        while self._place < end:
            index, begin = divmod(self._place, _BLOCK_BYTES)
            part = self._block(index)[begin : begin + end - self._place]
            parts.append(part)
            self._place += len(part)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Move, as files do; before the beginning, give -EINVAL: FFmpeg's answer, where an exception would be lost."""
        place = offset + {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self.size_bytes}[whence]
        if place < 0:
            return -errno.EINVAL
        self._place = place
        return place

    def tell(self) -> int:
        """Tell the position."""
        return self._place

    def seekable(self) -> bool:
        """Say that it can seek."""
        return True

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def require_unchanged(self) -> None:
        """Raise SourceError if a difference was met."""
        if self.changed:
            raise SourceError(f"{self._name} changed while it was read; analyse it again when it is complete")

    def _block(self, index: int) -> bytes:
        if self._cached[0] != index:
            block = self._read_block(index)
            self.changed = self.changed or _digest(block) != self._digests[index]
            self.require_unchanged()
            self._cached = index, block
        return self._cached[1]

    def _read_block(self, index: int) -> bytes:
        begin = index * _BLOCK_BYTES
        wanted = min(_BLOCK_BYTES, self.size_bytes - begin)
        block = b""
        try:
            self.file.seek(begin)
            while len(block) < wanted and (more := self.file.read(wanted - len(block))):
                block += more
        except OSError as error:
            raise SourceError(f"reading {self._name} failed: {error.strerror or error}; try again") from error
        self.changed = self.changed or len(block) != wanted
        self.require_unchanged()
        return block


def _digest(block: bytes) -> bytes:
    return hashlib.sha256(block).digest()
