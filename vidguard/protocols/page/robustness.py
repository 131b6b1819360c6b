"""Charts and table of a robustness benchmark."""

from __future__ import annotations

from typing import Final

from vidguard.protocols.page.charts import TEXT_PT, Chart, new_figure, quiet
from vidguard.protocols.page.svg import INK, LINES, inline_svg
from vidguard.protocols.page.tables import Table
from vidguard.protocols.page.words import interval, number
from vidguard.protocols.result import Robustness, RobustnessRow

_COLUMNS: Final = 4
_PANEL: Final = (2.35, 2.1)  # inches


def robustness_chart(table: Robustness) -> Chart:
    """One small panel for every corruption: AUC at each level, from the items as they are to the strongest."""
    clean, *others = table.rows
    title = "AUC under corruption"
    known = [row for row in others if row.figures.auc is not None]
    if clean.figures.auc is None or not known:
        return Chart(title, "Not drawn: there are no decided items of both classes.", None)
    names = list(dict.fromkeys(row.corruption for row in known))
    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(_PANEL[0] * columns, _PANEL[1] * lines)
    lowest = min(row.figures.auc.low or row.figures.auc.value for row in [clean, *known] if row.figures.auc)
    described = []
    for number_of_panel, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, number_of_panel + 1)
        part = [clean, *(row for row in known if row.corruption == name)]
        estimates = [row.figures.auc for row in part if row.figures.auc is not None]
        x = range(len(estimates))
        axes.plot(x, [e.value for e in estimates], color=LINES["c1"], marker="o", ms=4, lw=1.6)
        low = [e.value if e.low is None else e.low for e in estimates]
        high = [e.value if e.high is None else e.high for e in estimates]
        axes.fill_between(x, low, high, color=LINES["c1"], alpha=0.15, lw=0)
        axes.axhline(0.5, color=INK["soft"], lw=0.8)
        axes.set_ylim(min(lowest, 0.48), 1)
        axes.set_xticks(list(x), ["as is", *(row.level for row in part[1:])])
        quiet(axes, part[1].unit)
        axes.set_title(name, size=TEXT_PT, color=INK["ink"], loc="left")
        described.append(f"{name} {', '.join(number(e.value) for e in estimates)}")
    caption = (
        "The first point is the items as they are; bands are 95 % intervals (bootstrap over sources); 0.5 is chance."
    )
    return Chart(title, caption, inline_svg(figure, "robustness", f"AUC by level: {'; '.join(described)}"))


def robustness_table(table: Robustness) -> Table:
    """Every level in a row."""
    headings = ("corruption", "level", "AUC", "95 %", "EER", "accuracy", "undecided")
    return Table("By corruption and level", headings, tuple(_row(row) for row in table.rows))


def _row(row: RobustnessRow) -> tuple[str, ...]:
    figures = row.figures
    level = f"{row.level} ({row.unit})" if row.level else "as they are"
    area = number(None if figures.auc is None else figures.auc.value)
    return (
        row.corruption,
        level,
        area,
        interval(figures.auc),
        number(figures.eer),
        number(figures.accuracy),
        f"{figures.no_decision:,} of {figures.items:,}",
    )
