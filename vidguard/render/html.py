"""A Report as one self-contained HTML page.

The page opens by double click, asks nothing of any network, and carries a content security policy that allows only
its own style and script (by hash) and data: pictures. Names in a report are hostile input: Jinja2's autoescaping
covers the markup, `_script_safe` the embedded JSON.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vidguard.render.scale import STEPS, step_index
from vidguard.render.start import from_start
from vidguard.render.timeline import HEIGHT, WIDTH, level
from vidguard.render.view import build_view
from vidguard.render.words import clock, decision_words, kind_words, percent, track_words, verdict
from vidguard.types import Report

_TEMPLATES: Final = Path(__file__).parent / "templates"


def render_html(report: Report) -> str:
    """Render one page with everything in it: verdict, timelines, evidence, facts and the JSON report itself."""
    view, shown = build_view(report), from_start(report)
    style, script = _asset("report.css"), _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=shown,
            view=view,
            verdict=verdict(shown),
            decision=decision_words(report),
            told=any(track.kind for track in report.tracks),
            steps=STEPS,
            lane={"width": WIDTH, "height": HEIGHT},
            style=Markup(style),  # noqa: S704 -- the package's own file
            script=Markup(script),  # noqa: S704 -- the package's own file
            policy=_policy(style, script),
            view_json=_script_safe(json.dumps(view.data, separators=(",", ":"))),
            report_json=_script_safe(report.to_json(indent=None)),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=clock, percent=percent, step=step_index, level=level, kind=kind_words, seen=track_words
    )
    return environment


@cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _script_safe(json_text: str) -> Markup:
    """JSON that means the same and can't end its script element or start a comment in it."""
    for char in "<>&":
        json_text = json_text.replace(char, f"\\u{ord(char):04x}")
    return Markup(json_text)  # noqa: S704 -- no character that HTML gives a meaning is left
