"""How the picture must be turned to stand upright."""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack
from typing import Final

from torch import Tensor

_DISPLAY_MATRIX_BYTES: Final = 36


@dataclass(frozen=True)
class Orientation:
    """A turn by a multiple of 90 degrees, possibly mirrored: transpose first, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn in degrees, 0 to 270; what remains of the transform then is a left-right mirror."""
        if self.transpose:
            return 270 if self.flip_y else 90
        return 180 if self.flip_y else 0

    @property
    def is_mirrored(self) -> bool:
        """Tell whether the turn also swaps left and right."""
        return self.transpose ^ self.flip_x ^ self.flip_y

    def apply(self, frames: Tensor) -> Tensor:
        """Turn the last two (height, width) dimensions of any tensor; the result is contiguous."""
        if self.transpose:
            frames = frames.transpose(-2, -1)
        flipped = [dim for dim, flip in ((-1, self.flip_x), (-2, self.flip_y)) if flip]
        return (frames.flip(flipped) if flipped else frames).contiguous()

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Give the upright (width, height)."""
        return (height, width) if self.transpose else (width, height)


def from_display_matrix(matrix: bytes) -> Orientation:
    """Read a container's display matrix: nine native-endian int32 mapping (x, y, 1) as a row vector.

    An angle between multiples of 90 degrees is rounded to the nearest; anything unreadable is upright.
    """
    if len(matrix) != _DISPLAY_MATRIX_BYTES:
        return Orientation()
    xx, xy, _, yx, yy, *_rest = unpack("=9i", matrix)
    if abs(xy) + abs(yx) > abs(xx) + abs(yy):
        return Orientation(transpose=True, flip_x=yx < 0, flip_y=xy < 0)
    return Orientation(flip_x=xx < 0, flip_y=yy < 0)
