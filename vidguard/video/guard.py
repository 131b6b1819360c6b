"""The one place where what decoders raise becomes an error of vidguard's."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch

from vidguard.closing import Closing
from vidguard.errors import LimitError, SourceError, VidguardError
from vidguard.text import printable
from vidguard.types import FrameBatch
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


def guarded(reader: Any, source: Source) -> VideoReader:
    """Give a reader, or a look at key frames, that does all its decoding under `reading`."""
    return cast(VideoReader, _Guarded(reader, source))


class _Guarded(Closing):
    """What yields frames is guarded; everything else is the reader's own."""

    def __init__(self, reader: Any, source: Source) -> None:
        self._reader = reader
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def batches(self, **options: Any) -> Iterator[FrameBatch]:
        with reading(self._source):
            batches = self._reader.batches(**options)
        return self._each(batches)

    def _each(self, batches: Iterator[FrameBatch]) -> Iterator[FrameBatch]:
        with reading(self._source):
            yield from batches

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        with reading(self._source):
            found: FrameBatch = self._reader.frames_at(times_seconds)
        return found

    def close(self) -> None:
        self._reader.close()
