"""A matplotlib figure as SVG inside a page: no style attributes (the page's policy forbids them), the page's colours.

Charts are drawn in the colours of `INK` and `LINES`, which become the page's CSS variables, so that one drawing serves
light, dark and print.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK: Final = {"ink": "#14181f", "soft": "#59626f", "line": "#dfe3e8", "bad": "#b93510"}
# Okabe & Ito, "Color Universal Design", 2008; the yellow is left out, which a white page swallows.
LINES: Final = {"c0": "#14181e", "c1": "#0072b2", "c2": "#d55e00", "c3": "#009e73", "c4": "#cc79a7", "c5": "#e69f00",
                "c6": "#56b4e9"}  # fmt: skip
_VARIABLES: Final = {value: f"var(--{name})" for name, value in {**INK, **LINES}.items()}
_DROPPED: Final = frozenset({"metadata", "style"})
_ATTRIBUTES: Final = frozenset(
    {"fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-dashoffset",
     "stroke-linecap", "stroke-linejoin", "opacity", "text-anchor", "font-size"}
)  # fmt: skip
_FONT_SHORTHAND: Final = re.compile(r"\b([\d.]+px)")


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """Draw a figure as one `<svg>` element.

    name: a word that no other chart of the page has, because ids inside it must be the page's own. description: what
    the chart shows, for those who can't see it. Text stays text. The same figure gives the same markup.
    """
    from matplotlib import rc_context

    drawing = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's browser has the fonts; matplotlib only measures with its own.
        warnings.filterwarnings("ignore", message=r"(Glyph|Matplotlib currently does not support)")
        figure.savefig(drawing, format="svg", transparent=True)
    root = ElementTree.fromstring(drawing.getvalue())  # noqa: S314 -- written by the line above
    _clean(root, name)
    title = ElementTree.Element("title")
    title.text = description
    root.insert(0, title)
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "chart", "role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 -- ElementTree escapes text and attributes


def _clean(element: ElementTree.Element, name: str) -> None:
    element.tag = _local(element.tag)
    for child in [c for c in element if _local(c.tag) in _DROPPED]:
        element.remove(child)
    attributes = {_local(key): value for key, value in element.attrib.items()}
    attributes.update(_presentation(attributes.pop("style", "")))
    element.attrib = {key: _own(key, value, name) for key, value in attributes.items()}
    for child in element:
        _clean(child, name)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _presentation(style: str) -> dict[str, str]:
    """The declarations of a style attribute as attributes; the font's family is left to the page."""
    declared = (part.partition(":") for part in style.split(";") if part.strip())
    pairs = {key.strip(): value.strip() for key, _, value in declared}
    if "font" in pairs and (size := _FONT_SHORTHAND.search(pairs["font"])):  # matplotlib before 3.9
        pairs["font-size"] = size[1]
    return {key: _VARIABLES.get(value, value) for key, value in pairs.items() if key in _ATTRIBUTES}


def _own(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return f"#{name}-{value[1:]}"
    return value.replace("url(#", f"url(#{name}-") if key == "clip-path" else value
