"""The with block of whatever has to be closed."""

from __future__ import annotations

from typing import TypeVar

_Self = TypeVar("_Self")


class Closing:
    """Base of what is closed at the end of a with block, however it ends."""

    def close(self) -> None:
        """Release what is held."""
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        """Enter a with block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of a with block."""
        self.close()
