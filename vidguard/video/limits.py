"""The checks a header must pass before a decoder allocates anything for it."""

from __future__ import annotations

from vidguard.config import Limits
from vidguard.errors import LimitError


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
