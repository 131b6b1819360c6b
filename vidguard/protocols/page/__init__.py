"""Pages about benchmark results, for people: Markdown and self-contained HTML."""

from __future__ import annotations

from vidguard.protocols.page.render import (
    render_comparison_html,
    render_comparison_markdown,
    render_html,
    render_markdown,
    render_robustness_html,
    render_robustness_markdown,
)
from vidguard.protocols.page.view import Mistakes, worst_mistakes

__all__ = [
    "Mistakes",
    "render_comparison_html",
    "render_comparison_markdown",
    "render_html",
    "render_markdown",
    "render_robustness_html",
    "render_robustness_markdown",
    "worst_mistakes",
]
