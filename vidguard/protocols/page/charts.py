"""What every chart of a page has in common: its words, its axes, its legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from markupsafe import Markup

from vidguard.protocols.page.svg import INK
from vidguard.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT_PT: Final = 9
CHANCE: Final[dict[str, Any]] = {"color": INK["soft"], "lw": 0.8, "ls": (0, (2, 3))}
"""Style of the lines that mark chance or agreement."""
_MAX_LABEL: Final = 28


@dataclass(frozen=True)
class Chart:
    """One chart with the words that belong to it."""

    title: str
    caption: str
    svg: Markup | None
    """None where there is nothing to draw; the caption says why."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def quiet(axes: Axes, x: str, y: str = "") -> None:
    """Two spines, small ticks, labelled axes, marks over the grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK["soft"])
    axes.tick_params(colors=INK["soft"], labelcolor=INK["ink"], labelsize=TEXT_PT, length=3)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, size=TEXT_PT, color=INK["ink"])
    axes.set_ylabel(y, size=TEXT_PT, color=INK["ink"])


def add_legend(axes: Axes, place: Literal["lower right", "upper right", "best"]) -> None:
    """Names of the lines, in the order in which they were drawn.

    Labels must not start with a name from outside: matplotlib leaves those out that start with an underscore.
    """
    legend = axes.legend(loc=place, frameon=False, fontsize=TEXT_PT, labelcolor=INK["ink"], handlelength=2.4)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a "$" in the name of a folder is a dollar sign


def short(label: str) -> str:
    """A name that fits beside an axis, safe to draw."""
    text = printable(label)
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1] + "…"


def percents(values: list[float]) -> list[str]:
    """Tick labels of shares."""
    return [f"{value * 100:g} %" for value in values]
