"""The one place where what decoders raise becomes an error of vidguard's."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch

from vidguard.errors import LimitError, SourceError, VidguardError
from vidguard.text import printable
from vidguard.types import FrameBatch, SourceInfo
from vidguard.video.reader import VideoReader
from vidguard.video.source import Source

_LOG = logging.getLogger(__name__)


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Let nothing but errors of vidguard's out, and nothing in silence that was read of a source that changed.

    FFmpeg, Pillow, decord and the system raise whatever a damaged file leads them to: OSError, RuntimeError, IndexError
    and more. Raises SourceError for these, LimitError where memory doesn't suffice; each names the source.
    """
    try:
        yield
    except VidguardError:
        source.require_unchanged()  # what is wrong then is only what follows from it
        raise
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        raise LimitError(f"{source.name} needs more memory than there is; scale it down or free some") from error
    except Exception as error:
        source.require_unchanged()
        _LOG.info("%s: the decoder raised %s", printable(source.name), type(error).__name__, exc_info=True)
        what = getattr(error, "strerror", None) or str(error)
        why = f"{type(error).__name__}: {what.splitlines()[0]}" if what else type(error).__name__
        raise SourceError(f"{source.name} can't be read ({why}); it is damaged: fetch or export it again") from error
    source.require_unchanged()


class GuardedReader:
    """Any reader, doing all its reading under `reading`."""

    def __init__(self, reader: Any, source: Source) -> None:
        """Take over reader, a VideoReader or a look at key frames."""
        self._reader: VideoReader = reader
        self._source = source

    @property
    def info(self) -> SourceInfo:
        """See VideoReader."""
        return self._reader.info

    @property
    def backend(self) -> str:
        """See VideoReader."""
        return self._reader.backend

    @property
    def notes(self) -> tuple[str, ...]:
        """See VideoReader."""
        return self._reader.notes

    @property
    def num_frames_decoded(self) -> int:
        """See VideoReader."""
        return self._reader.num_frames_decoded

    @property
    def damaged(self) -> bool:
        """See VideoReader."""
        return self._reader.damaged

    def batches(self, **options: Any) -> Iterator[FrameBatch]:
        """See VideoReader; raises SourceError as well, where decoding fails as a whole."""
        with reading(self._source):
            batches = self._reader.batches(**options)
        return self._guarded(batches)

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """See VideoReader; raises SourceError as well, where decoding fails as a whole."""
        with reading(self._source):
            return self._reader.frames_at(times_seconds)

    def close(self) -> None:
        """See VideoReader."""
        self._reader.close()

    def __enter__(self) -> GuardedReader:
        """Enter a with block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of a with block."""
        self.close()

    def _guarded(self, batches: Iterator[FrameBatch]) -> Iterator[FrameBatch]:
        with reading(self._source):
            yield from batches
