"""The checks a header must pass before a decoder allocates anything for it.

Numbers in a header are hints by whoever wrote the file: those that can't be true count as not given.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from vidguard.config import Limits
from vidguard.errors import LimitError
from vidguard.types import MAX_SECONDS

_LATEST: Final = MAX_SECONDS / 4  # leaves room for what follows
_LONGEST: Final = 1e7  # four months
_SLOWEST: Final = Fraction(1, 1000)  # what a header that we write can say
_FASTEST: Final = 100_000
_PIXEL_BYTES: Final = 8  # of the largest kind of picture, four channels of 16 bits, not compressed
_BESIDE_BYTES: Final = 32 << 20  # metadata, previews


def moment(seconds: float | None) -> float | None:
    """A time that a report can carry; None for one that isn't finite, or lies more than 79 years from zero."""
    return seconds if seconds is not None and abs(seconds) <= _LATEST else None


def length(seconds: float | None) -> float | None:
    """A length of time up to four months; None for one that is longer, negative or not finite."""
    return seconds if seconds is not None and 0 <= seconds <= _LONGEST else None


def count(number: int | None) -> int | None:
    """A positive number below 2 to the 53rd; None for any other."""
    return number if number is not None and 0 < number < 2**53 else None


def rate(frames_per_second: Fraction | None) -> Fraction | None:
    """A frame rate from one in 1,000 s to 100,000 a second; None for any other."""
    return frames_per_second if frames_per_second and _SLOWEST <= frames_per_second <= _FASTEST else None


def still_bytes(limits: Limits, pixel_bytes: int = _PIXEL_BYTES) -> int:
    """How far a file of pictures is read at most: what follows a picture may be endless."""
    return pixel_bytes * limits.max_still_pixels + _BESIDE_BYTES


def option(limit: str) -> str:
    """Name the option of `vidguard analyze` and `triage` that raises a limit."""
    return f"--{limit.replace('_', '-')}"


def check_pixels(name: str, width: int, height: int, limits: Limits) -> None:
    """Raise LimitError for a picture of more than max_pixels."""
    if width * height > limits.max_pixels:
        raise LimitError(
            f"{name} claims {width}x{height} pixels, more than max_pixels={limits.max_pixels}; "
            f"scale it down or raise the limit ({option('max_pixels')} of vidguard analyze)"
        )


def check_still_pixels(name: str, width: int, height: int, limits: Limits) -> None:
    """Raise LimitError for a still picture of more than max_still_pixels."""
    if width * height > limits.max_still_pixels:
        raise LimitError(
            f"{name} claims {width}x{height} pixels, more than max_still_pixels={limits.max_still_pixels}; "
            f"scale it down or raise the limit ({option('max_still_pixels')} of vidguard analyze)"
        )


def check_seconds(name: str, seconds: float | None, limits: Limits) -> None:
    """Raise LimitError for a header that claims more than max_seconds."""
    if seconds is not None and seconds > limits.max_seconds:
        raise LimitError(
            f"{name} claims {seconds:.0f} s, more than max_seconds={limits.max_seconds:g}; "
            f"cut it or raise the limit ({option('max_seconds')} of vidguard analyze)"
        )


def check_streams(name: str, num_streams: int, limits: Limits) -> None:
    """Raise LimitError for a container with more than max_streams streams."""
    if num_streams > limits.max_streams:
        raise LimitError(
            f"{name} has {num_streams} streams, more than max_streams={limits.max_streams}; "
            f"keep one video stream or raise the limit ({option('max_streams')} of vidguard analyze)"
        )
