"""Results and comparisons as Markdown and as one self-contained HTML page.

The HTML asks nothing of any network, runs no script, and its content security policy allows only its own style (by
hash) and data: pictures. Ids, paths, methods and messages come from other people's folders: Jinja2's autoescaping
covers the HTML, and every expression of a Markdown template passes `escape_markdown`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vidguard.protocols.page.bars import auc_bars, comparison_points, coverage_bars
from vidguard.protocols.page.curves import curve_charts
from vidguard.protocols.page.robustness import robustness_chart, robustness_table
from vidguard.protocols.page.tables import side_by_side
from vidguard.protocols.page.view import MAX_LISTED, build_view, message
from vidguard.protocols.page.words import (
    compared_facts,
    comparison_answer,
    counted,
    interval,
    number,
    p_value,
    signed,
    undefined_auc,
)
from vidguard.protocols.result import Comparison, Result, Robustness, ScoredItem
from vidguard.text import printable, printable_value

_TEMPLATES: Final = Path(__file__).parent / "templates"
_MARKDOWN_SIGNS: Final = re.compile(r"([\\`*_\[\]|~$])")


def render_markdown(result: Result, scores: Sequence[ScoredItem]) -> str:
    """Tables and lists about a result; its charts and pictures are on the HTML page."""
    return _markdown("result.md.j2", result=result, view=build_view(result, scores))


def render_html(result: Result, scores: Sequence[ScoredItem], thumbnails: Mapping[str, bytes]) -> str:
    """One page with everything in it.

    thumbnails: JPEG bytes by item id, for those of `worst_mistakes`; a mistake without one is shown without.
    """
    return _html(
        "result.html.j2",
        result=result,
        view=build_view(result, scores),
        bars=auc_bars(result),
        curves=curve_charts(result, scores),
        coverage_chart=coverage_bars(result.coverage),
        pictures={name: f"data:image/jpeg;base64,{b64encode(jpeg).decode()}" for name, jpeg in thumbnails.items()},
    )


def render_comparison_markdown(a: Result, b: Result, comparison: Comparison) -> str:
    """Tables about two detectors on the same items."""
    return _markdown("comparison.md.j2", **_compared(a, b, comparison))


def render_comparison_html(a: Result, b: Result, comparison: Comparison) -> str:
    """One page about two detectors on the same items."""
    return _html("comparison.html.j2", chart=comparison_points(a, b), **_compared(a, b, comparison))


def render_robustness_markdown(table: Robustness) -> str:
    """A table of every corruption and level."""
    return _markdown("robustness.md.j2", table=table, rows=robustness_table(table))


def render_robustness_html(table: Robustness) -> str:
    """One page with a curve for every corruption."""
    return _html("robustness.html.j2", table=table, rows=robustness_table(table), chart=robustness_chart(table))


def escape_markdown(value: object) -> str:
    """Text that stays text in Markdown, on one line, in a table cell too; what is Markup stays as it is."""
    if isinstance(value, Markup):
        return value
    text = printable(str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SIGNS.sub(r"\\\1", text)


def _table_row(cells: Sequence[object]) -> Markup:
    return Markup(f"| {' | '.join(escape_markdown(cell) for cell in cells)} |")  # noqa: S704 -- escaped for Markdown


def _compared(a: Result, b: Result, comparison: Comparison) -> dict[str, Any]:
    return {
        "results": (("A", a), ("B", b)),
        "comparison": comparison,
        "answer": comparison_answer(a, b, comparison),
        "table": side_by_side(a, b),
        "facts": compared_facts(a, b),
    }


def _html(template: str, **values: Any) -> str:
    style = _style()
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    # The style is the package's own file.
    return _html_environment().get_template(template).render(style=Markup(style), policy=policy, **values)  # noqa: S704


def _markdown(template: str, **values: Any) -> str:
    return _markdown_environment().get_template(template).render(**values)


@cache
def _style() -> str:
    return (_TEMPLATES / "page.css").read_text(encoding="utf-8")


@cache
def _html_environment() -> Environment:
    return _with_words(Environment(autoescape=True, finalize=printable_value, **_OPTIONS))


@cache
def _markdown_environment() -> Environment:
    environment = _with_words(Environment(autoescape=False, finalize=escape_markdown, **_OPTIONS))  # noqa: S701 -- not HTML
    environment.filters["table_row"] = _table_row
    return environment


_OPTIONS: Final[dict[str, Any]] = {
    "loader": FileSystemLoader(_TEMPLATES),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
}


def _with_words(environment: Environment) -> Environment:
    words = (counted, interval, message, number, p_value, signed, undefined_auc)
    environment.filters.update({word.__name__: word for word in words})
    environment.globals.update(MAX_LISTED=MAX_LISTED)
    return environment
