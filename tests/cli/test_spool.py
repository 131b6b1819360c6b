"""Standard input is copied within bounds of size and time."""

from __future__ import annotations

import io
import os
import time

import pytest

from vidguard.cli.spool import Spool, spooled
from vidguard.errors import InputError, LimitError


class Endless(io.RawIOBase):
    given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return bytes(size)


def test_an_endless_stream_is_given_up_as_soon_as_it_is_too_long() -> None:
    stream = Endless()
    with pytest.raises(LimitError, match="longer than 5,000,000 bytes"), spooled(stream, Spool(5_000_000)):
        pass
    assert stream.given <= 6 << 20


@pytest.mark.skipif(os.name == "nt", reason="the system can't wait for a pipe")
def test_a_silent_pipe_is_not_waited_for_without_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a little")
    began = time.monotonic()
    with (
        os.fdopen(reading, "rb") as stream,
        pytest.raises(LimitError, match=r"hasn't ended within 0\.2 s"),
        spooled(stream, Spool(1000, 0.2)),
    ):
        pass
    assert time.monotonic() - began < 5
    os.close(writing)


def test_what_ends_in_time_is_copied_whole_and_can_seek() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"all of it")
    os.close(writing)
    with os.fdopen(reading, "rb") as stream, spooled(stream, Spool(9)) as copy:
        assert copy.read() == b"all of it"
        copy.seek(4)
        assert copy.read() == b"of it"


@pytest.mark.parametrize("bounds", [(0, 1.0), (9, 0.0), (9, float("nan")), (9, float("inf"))])
def test_bounds_that_bound_nothing_are_refused(bounds: tuple[int, float]) -> None:
    with pytest.raises(InputError, match="positive and finite"):
        Spool(*bounds)
