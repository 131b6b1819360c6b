"""One colour scale for probabilities, shared by the page, the overlay and the terminal.

Blue to vermilion over a neutral middle: the two ends stay apart under protanopia, deuteranopia and tritanopia
(the hues are Okabe & Ito's, "Color Universal Design", 2008, with mid steps), and every view says the number or
draws a height as well, so that colour never stands alone. The scale is absolute, not relative to a threshold:
the same colour means the same probability in every report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Step:
    """One fifth of the scale: probabilities in ``[lower, upper)``, the last one including 1."""

    lower: float
    upper: float
    rgb: tuple[int, int, int]

    @property
    def hex(self) -> str:
        """Colour as ``#rrggbb``."""
        return "#{:02x}{:02x}{:02x}".format(*self.rgb)


STEPS: Final = (
    Step(0.0, 0.2, (31, 111, 180)),
    Step(0.2, 0.4, (104, 174, 217)),
    Step(0.4, 0.6, (181, 172, 153)),
    Step(0.6, 0.8, (236, 152, 46)),
    Step(0.8, 1.0, (205, 62, 20)),
)
UNJUDGED_RGB: Final = (128, 128, 128)


def step_index(fake_prob: float) -> int:
    """Index into STEPS of a probability in [0, 1]."""
    return min(int(fake_prob * len(STEPS)), len(STEPS) - 1)


def rgb(fake_prob: float | None) -> tuple[int, int, int]:
    """Colour of a probability in [0, 1], or the grey of "not judged" for None."""
    return UNJUDGED_RGB if fake_prob is None else STEPS[step_index(fake_prob)].rgb
