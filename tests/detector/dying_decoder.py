"""A decoder that dies in the middle of a file, for the sandbox's child."""

from __future__ import annotations

import signal

from vidguard.video import VideoReader, open_source


def open_dying(lent, **settings: object) -> VideoReader:
    """The real reader, until it has given three batches."""
    reader = open_source(lent, **settings)
    batches = reader.batches

    def some(**settings: object):
        for number, batch in enumerate(batches(**settings)):
            if number == 3:
                signal.raise_signal(signal.SIGSEGV)
            yield batch

    reader.batches = some
    return reader
