import io
import re
from dataclasses import replace

import pytest
from reports import crowd, decided, no_face, still, two_faces
from rich.console import Console

from vidguard.render.html import render_html
from vidguard.render.table import report_table, timeline_text
from vidguard.types import Interval


def shown(renderable) -> str:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def row(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(label))[16:76]


def test_table_says_what_where_and_how_sure():
    text = shown(report_table(two_faces()))
    assert "interview.mp4  Signs of manipulation  P(fake) 93%  threshold 62%" in text
    assert "0:08.0–0:13.0" in text
    assert "hardly seen" in text
    assert "note: NVDEC has no decoder" in text


@pytest.mark.parametrize(
    ("label", "headline"),
    [
        ("manipulated", "Signs of manipulation"),
        ("undecided", "Undecided"),
        ("genuine", "No signs of manipulation found"),
    ],
)
def test_a_decision_is_shown_with_the_rate_it_was_made_for(label, headline):
    words = f"{label} at an error rate of 0.05 (genuine below 0.123, manipulated from 0.620)"
    text = shown(report_table(decided(label)))
    assert f"interview.mp4  {headline}  P(fake)" in text
    assert f"decision: {words}" in text
    assert re.search(rf"^ +1 .*{label}", text, re.MULTILINE)
    page = render_html(decided(label))
    assert f"<b>Decision:</b> {words}." in page
    assert f"<td>{label}</td>" in page
    assert f">{headline}</h1>" in page
    assert (
        f"verdict {'flagged' if label == 'manipulated' else 'undecided' if label == 'undecided' else 'clear'}" in page
    )
    assert "decision" not in shown(report_table(two_faces()))
    assert "Decision:" not in render_html(two_faces())


def test_a_score_that_is_not_calibrated_says_so():
    report = two_faces()
    assert "not calibrated" not in shown(report_table(report))
    raw = replace(report, weights=replace(report.weights, calibrated=False))
    assert "not calibrated" in shown(report_table(raw))
    page = render_html(raw)
    assert "<b>not calibrated</b>" in page
    assert "It is the calibrated probability" not in page


def test_strip_shows_height_gap_and_unjudged():
    text = shown(timeline_text(two_faces()))
    one, two, three = (row(text, f"face {i}") for i in (1, 2, 3))
    assert one[23:32].strip() == "", "out of sight from 7.4 to 11 s: three cells a second"
    assert set(two[24:39]) == {"█"}
    assert set(two[15:18]) == {"?"}
    assert set(three.strip()) == {"?"}
    assert "█" not in one


def test_truth_row_stands_above_the_faces():
    text = shown(timeline_text(two_faces(), [Interval(8, 13)]))
    assert text.splitlines()[0].startswith("truth")
    assert row(text, "truth").index("█") == 24
    assert row(text, "truth").count("█") == 15


def test_status_instead_of_a_number():
    text = shown(report_table(no_face()))
    assert "No answer: no face was found" in text
    assert "%" not in text


def test_still_has_no_timeline():
    assert "▁" not in shown(report_table(still(prob=0.05)))


def test_names_are_neither_markup_nor_control_codes():
    text = shown(report_table(two_faces(name="[red]\x1b]0;owned\x07x.mp4")))
    assert "[red]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_many_faces_have_a_row_each():
    text = shown(timeline_text(crowd(32, 12.0)))
    assert sum(line.startswith("face ") for line in text.splitlines()) == 32
