"""Charts with one row for each group: AUC, coverage, two detectors side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vidguard.protocols.page.charts import TEXT_PT, Chart, add_legend, new_figure, percents, quiet, short
from vidguard.protocols.page.svg import INK, LINES, inline_svg
from vidguard.protocols.page.words import group_label, interval, number
from vidguard.protocols.result import Coverage, Estimate, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH: Final = 9.4  # inches; 9 pt text comes out at about 13 px where the chart spans the page
_HALF_BAR: Final = 0.29


def auc_bars(result: Result) -> Chart:
    """AUC of each group with its interval, as bars from chance (0.5)."""
    title = "AUC by group"
    rows = [(short(group_label(key)), figures.auc) for key, figures in result.figures.items()]
    known = [(label, auc) for label, auc in rows if auc is not None]
    if not known:
        return Chart(title, "Not drawn: no group has decided items of both classes.", None)
    figure, axes = _rows([label for label, _ in rows], "AUC (0.5 is chance)")
    for y, (_, auc) in enumerate(rows):
        if auc is None:
            axes.text(0.503, y, "not defined", va="center", size=TEXT_PT, color=INK["soft"])
            continue
        axes.barh(y, auc.value - 0.5, left=0.5, height=2 * _HALF_BAR, color=LINES["c1"], alpha=1 if y == 0 else 0.55)
        _whisker(axes, auc, y, INK["ink"])
        _beside(axes, y, f"{number(auc.value)} ({interval(auc)})", INK["ink"])
    lowest = min(auc.value if auc.low is None else min(auc.low, auc.value) for _, auc in known)
    axes.set_xlim(0.5 if lowest >= 0.5 else lowest - 0.02, 1)
    axes.spines["left"].set_visible(False)
    axes.axvline(0.5, color=INK["soft"], lw=0.8)
    described = "; ".join(f"{label} {number(auc.value)} ({interval(auc)})" for label, auc in known)
    caption = (
        "Bars start at chance; whiskers and the range beside them are 95 % intervals (bootstrap over sources). "
        "The fakes of a method are ranked against all genuine items."
    )
    return Chart(title, caption, inline_svg(figure, "auc", f"AUC by group with 95 % intervals: {described}"))


def coverage_bars(coverage: Coverage) -> Chart | None:
    """Found and missing items of each method; None where no complete list says what there should be."""
    if not coverage.expected_by_method:
        return None
    methods = sorted(set(coverage.expected_by_method) | set(coverage.found_by_method))
    figure, axes = _rows([short(method) for method in methods], "share of the split that is there")
    described = []
    for y, method in enumerate(methods):
        found = coverage.found_by_method.get(method, 0)
        expected = max(coverage.expected_by_method.get(method, 0), found)
        axes.barh(y, 1, height=2 * _HALF_BAR, facecolor=INK["line"])
        axes.barh(y, found / expected if expected else 0, height=2 * _HALF_BAR, color=LINES["c1"], alpha=0.8)
        _beside(axes, y, f"{found:,} of {expected:,}", INK["ink"])
        described.append(f"{short(method)} {found} of {expected}")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xlim(0, 1)
    axes.set_xticks(ticks, percents(ticks))
    svg = inline_svg(figure, "coverage", f"Found of what the split names: {'; '.join(described)}")
    return Chart("What is there, by method", "Blue: found. Grey: named by the split and missing.", svg)


def comparison_points(a: Result, b: Result) -> Chart:
    """AUC of two results in every group that both have, as pairs of points with intervals."""
    title = "AUC by group"
    keys = [key for key, auc in _aucs(a).items() if key in _aucs(b)]
    if not keys:
        return Chart(title, "Not drawn: the two results share no group that has an AUC in both.", None)
    figure, axes = _rows([short(group_label(key)) for key in keys], "AUC with 95 % interval (bootstrap over sources)")
    described = []
    for letter, result, colour, marker, shift in (("A", a, LINES["c1"], "o", -0.17), ("B", b, LINES["c2"], "s", 0.17)):
        name = f"{letter}  {short(result.detector.name)}"
        values = [_aucs(result)[key] for key in keys]
        axes.plot(
            [auc.value for auc in values],
            [y + shift for y in range(len(keys))],
            color=colour, marker=marker, ms=5, lw=0, label=name,
        )  # fmt: skip
        for y, auc in enumerate(values):
            _whisker(axes, auc, y + shift, colour)
            _beside(axes, y + shift, f"{letter} {number(auc.value)}", colour)
        described += [f"{name} {short(group_label(key))} {number(auc.value)}" for key, auc in zip(keys, values)]
    axes.grid(axis="x", color=INK["line"], lw=0.8)
    add_legend(axes, "best")
    caption = "Each detector on the items that it decided itself."
    return Chart(title, caption, inline_svg(figure, "groups", "AUC by group: " + "; ".join(described)))


def _aucs(result: Result) -> dict[str, Estimate]:
    return {key: figures.auc for key, figures in result.figures.items() if figures.auc is not None}


def _rows(labels: Sequence[str], x: str) -> tuple[Figure, Axes]:
    """Axes with one labelled row for each group, the first on top."""
    figure = new_figure(_WIDTH, 0.75 + 0.36 * len(labels))
    axes = figure.add_subplot()
    quiet(axes, x)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _whisker(axes: Axes, auc: Estimate, y: float, colour: str) -> None:
    if auc.low is not None and auc.high is not None:
        axes.plot([auc.low, auc.high], [y, y], color=colour, lw=1.3, marker="|", ms=6, mew=1.3)


def _beside(axes: Axes, y: float, text: str, colour: str) -> None:
    """Text at the right of a row."""
    axes.text(1.012, y, text, va="center", size=TEXT_PT, color=colour, transform=axes.get_yaxis_transform())
