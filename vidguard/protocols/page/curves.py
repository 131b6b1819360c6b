"""ROC, DET, reliability and abstention: drawn from decided items only, an undecided one has no place on any axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from vidguard.metrics import det_curve, reliability, risk_coverage, roc_curve
from vidguard.protocols.page.charts import CHANCE, TEXT_PT, Chart, add_legend, new_figure, percents, quiet, short
from vidguard.protocols.page.svg import INK, LINES, inline_svg
from vidguard.protocols.page.view import decided_arrays
from vidguard.protocols.page.words import group_label, number, percent
from vidguard.protocols.result import POOLED, Figures, Result, ScoredItem, group_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_METHOD_CURVES: Final = len(LINES) - 1
_SIDE: Final = 4.6  # inches
_DASHES: Final[tuple[Any, ...]] = ("-", "-", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 2, 2)), "-", (0, (6, 2)))
_DET_TICKS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)  # far enough apart on that scale
_FALSE_POSITIVES: Final = "false positive rate (genuine called fake)"


@dataclass(frozen=True)
class _Curve:
    """What one line of the ROC and DET charts is drawn from."""

    label: str
    figures: Figures
    is_fake: NDArray[np.bool_]
    probs: NDArray[np.float64]

    @property
    def auc(self) -> float:
        assert self.figures.auc is not None
        return self.figures.auc.value


def curve_charts(result: Result, scores: Sequence[ScoredItem]) -> tuple[Chart, ...]:
    """ROC, DET, reliability and abstention."""
    curves = _curves(result, scores)
    is_fake, probs = decided_arrays(scores)
    return (
        _roc(curves),
        _det(curves),
        _reliability(is_fake, probs, result.unit),
        _abstention(is_fake, probs, len(scores), result.unit),
    )


def _curves(result: Result, scores: Sequence[ScoredItem]) -> list[_Curve]:
    """The pooled curve, then those of the methods, hardest first; with many methods only the hardest."""
    methods = sorted({s.item.method for s in scores if s.item.is_fake})
    groups = [(group_key(m), [s for s in scores if not s.item.is_fake or s.item.method == m]) for m in methods]
    curves = [
        _Curve(short(group_label(key)), result.figures[key], *decided_arrays(members))
        for key, members in ((POOLED, scores), *groups)
        if key in result.figures and result.figures[key].auc is not None
    ]
    return [*curves[:1], *sorted(curves[1:], key=lambda c: c.auc)[:MAX_METHOD_CURVES]]


def _roc(curves: Sequence[_Curve]) -> Chart:
    title = "ROC"
    if not curves:
        return Chart(title, "Not drawn: a ROC curve needs decided items of both classes.", None)
    figure = new_figure(_SIDE, _SIDE)
    axes = figure.add_subplot()
    quiet(axes, _FALSE_POSITIVES, "true positive rate (fakes found)")
    for position, curve in enumerate(curves):
        roc = roc_curve(curve.is_fake, curve.probs)
        _line(axes, position, roc.fpr, roc.tpr, f"{number(curve.auc)}  {curve.label}")
    axes.plot([0, 1], [0, 1], **CHANCE)
    axes.set(xlim=(-0.005, 1), ylim=(0, 1.005))
    add_legend(axes, "lower right")
    spoken = "; ".join(f"{curve.label} {number(curve.auc)}" for curve in curves)
    svg = inline_svg(figure, "roc", f"ROC curves with their AUC: {spoken}")
    return Chart(title, f"Numbers: AUC. {_which(curves)}Dotted: chance.", svg)


def _det(curves: Sequence[_Curve]) -> Chart:
    title = "DET"
    if not curves:
        return Chart(title, "Not drawn: a DET curve needs decided items of both classes.", None)
    figure = new_figure(_SIDE, _SIDE)
    axes = figure.add_subplot()
    quiet(axes, _FALSE_POSITIVES, "false negative rate (fakes missed)")
    rates = [0.5]
    for position, curve in enumerate(curves):
        det = det_curve(curve.is_fake, curve.probs)
        inside = (det.fpr > 0) & (det.fpr < 1) & (det.fnr > 0) & (det.fnr < 1)  # 0 and 1 lie at infinity
        rates += [*det.fpr[inside], *det.fnr[inside]]
        x, y = _deviates(det.fpr[inside]), _deviates(det.fnr[inside])
        _line(axes, position, x, y, f"{number(curve.figures.eer)}  {curve.label}")
    low, high = max(min(rates), _DET_TICKS[0]) * 0.8, min(max(rates), _DET_TICKS[-1])
    ticks = [tick for tick in _DET_TICKS if low <= tick <= high]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(_deviates(ticks), labels=percents(ticks))
    low_end, high_end = _deviates([low, high])
    axes.plot([low_end, high_end], [low_end, high_end], **CHANCE)
    axes.set(xlim=(low_end, high_end), ylim=(low_end, high_end))
    axes.grid(color=INK["line"], lw=0.6)
    add_legend(axes, "upper right")
    spoken = "; ".join(f"{curve.label} {number(curve.figures.eer)}" for curve in curves)
    caption = f"Normal-deviate axes; lower left is better. Numbers: EER. {_which(curves)}Dotted: equal error rates."
    return Chart(title, caption, inline_svg(figure, "det", f"DET curves with their EER: {spoken}"))


def _reliability(is_fake: NDArray[np.bool_], probs: NDArray[np.float64], unit: str) -> Chart:
    title = "Reliability"
    bins = reliability(is_fake, probs)
    if not bins:
        return Chart(title, f"Not drawn: no {unit} was decided.", None)
    figure = new_figure(_SIDE, _SIDE)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    quiet(above, "", "observed share of fakes")
    quiet(below, "stated probability of fake", f"{unit}s")
    above.plot([0, 1], [0, 1], **CHANCE)
    stated = [b.mean_stated for b in bins]
    above.vlines(stated, [b.interval[0] for b in bins], [b.interval[1] for b in bins], color=LINES["c1"], lw=1.3)
    above.plot(stated, [b.observed for b in bins], color=LINES["c1"], marker="o", ms=4.5, lw=1)
    below.hist(probs, bins=20, range=(0, 1), color=INK["soft"], alpha=0.7)
    above.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    sizes = sorted({min(b.count for b in bins), max(b.count for b in bins)})
    caption = (
        f"Bins of {' to '.join(map(str, sizes))} {unit}s with 95 % Wilson intervals; below, how many {unit}s were "
        "given which probability. Dotted: stated is observed; points below it mean that too much is called fake. The "
        "share of fakes in the data set bears on it."
    )
    spoken = "; ".join(f"stated {b.mean_stated:.2f}, observed {b.observed:.2f} of {b.count}" for b in bins)
    return Chart(title, caption, inline_svg(figure, "reliability", f"Reliability diagram: {spoken}"))


def _abstention(is_fake: NDArray[np.bool_], probs: NDArray[np.float64], asked: int, unit: str) -> Chart:
    title = "Abstention"
    curve = risk_coverage(is_fake, probs)
    if not len(curve.coverage):
        return Chart(title, f"Not drawn: no {unit} was decided.", None)
    decided, error = len(probs) / asked, float(curve.error[-1])
    coverage = curve.coverage * decided
    figure = new_figure(_SIDE, _SIDE)
    axes = figure.add_subplot()
    quiet(axes, f"share of all {unit}s answered, surest first", "wrong answers among them, cut at 0.5")
    axes.plot(coverage, curve.error, color=LINES["c1"], lw=1.6)
    axes.plot([decided], [error], color=LINES["c1"], marker="o", ms=5)
    offset: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "size": TEXT_PT}
    answered = f"{percent(error)} wrong where all are answered"
    axes.annotate(answered, (decided, error), (-4, 8), color=INK["ink"], **offset)
    if decided < 1:
        axes.axvspan(decided, 1, color=INK["line"], lw=0)
        foot = axes.get_xaxis_transform()
        axes.annotate("no decision", (decided, 0.02), (-4, 0), xycoords=foot, color=INK["soft"], **offset)
    settled = curve.error[curve.coverage >= 0.05]  # the first few items are a noise that needn't fit
    axes.set(xlim=(0, 1), ylim=(0, max(0.1, float(settled.max()) * 1.25)))
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, percents(ticks))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.3g} %")
    axes.grid(axis="y", color=INK["line"], lw=0.6)
    caption = (
        "What is gained by leaving the unsure ones to people: errors among those that are still answered. "
        f"Grey: {unit}s without a decision, which are never answered."
    )
    shares = sorted({decided, *(share for share in (0.25, 0.5, 0.75) if share < decided)})
    errors = curve.error[np.searchsorted(coverage, shares)]
    spoken = "; ".join(f"{percent(e)} wrong where {percent(share)} are answered" for share, e in zip(shares, errors))
    return Chart(title, caption, inline_svg(figure, "abstention", f"Error rate against share answered: {spoken}"))


def _line(axes: Axes, position: int, x: NDArray[np.float64], y: NDArray[np.float64], label: str) -> None:
    """One curve; the first, which is the pooled one, lies on top and is the heaviest."""
    colour = list(LINES.values())[position]
    width, order = (2.2, 3.0) if position == 0 else (1.4, 2.0)
    axes.plot(x, y, color=colour, ls=_DASHES[position], lw=width, zorder=order, label=label)


def _deviates(rates: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([NormalDist().inv_cdf(float(rate)) for rate in rates])


def _which(curves: Sequence[_Curve]) -> str:
    if len(curves) == 1:
        return ""
    shown = f"; the {MAX_METHOD_CURVES} hardest are shown" if len(curves) > MAX_METHOD_CURVES else ""
    return f"The fakes of each method against all genuine items{shown}. "
