import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from reports import SOURCE, crowd, explained, no_face, still, two_faces

from vidguard.render.html import render_html
from vidguard.types import Report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&.mp4"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes and text; refuses a page whose tags don't nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {[e[0] for e in self.open]}"

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, text in self.open:
            text.append(data)

    def text(self, tag: str, **wanted: str) -> str:
        return next("".join(t) for name, attrs, t in self.elements if name == tag and wanted.items() <= attrs.items())

    def data(self, element_id: str):
        return json.loads(self.text("script", id=element_id))


@pytest.mark.parametrize("make", [two_faces, explained, no_face, still, lambda: crowd(32, 12.0)])
def test_page_is_well_formed_and_asks_nothing_of_the_network(make):
    page = Page(render_html(make()))
    for tag, attrs, _ in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value[:80])
        assert tag not in ("link", "iframe", "base", "object", "form")
        assert not any(name.startswith("on") or name == "style" for name in attrs), "the policy would block it"
    assert "http://" not in page.text("style")
    assert "url(" not in page.text("style")


def test_policy_allows_exactly_the_page_s_own_style_and_script():
    page = Page(render_html(two_faces()))
    policy = next(a["content"] for t, a, _ in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    scripts = ["".join(text) for tag, attrs, text in page.elements if tag == "script" and "type" not in attrs]
    assert len(scripts) == 1
    for directive, content in (("script-src", scripts[0]), ("style-src", page.text("style"))):
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_hostile_names_stay_text():
    report = replace(
        two_faces(), source=replace(SOURCE, name=HOSTILE), explanation=HOSTILE, settings={HOSTILE: HOSTILE}
    )
    html = render_html(report)
    page = Page(html)
    assert [t for t, _, _ in page.elements].count("script") == 3
    assert not any(a.get("src") == "x" for _, a, _ in page.elements)
    assert page.text("bdi") == HOSTILE
    assert page.data("report-data")["source"]["name"] == HOSTILE


@pytest.mark.parametrize("make", [two_faces, no_face, still])
def test_embedded_report_is_the_report(make):
    report = make()
    assert Report.from_json(Page(render_html(report)).text("script", id="report-data")) == report


def test_every_segment_and_picture_is_in_the_page():
    report = two_faces()
    faces = Page(render_html(report)).data("view-data")["faces"]
    shown = [(f["id"], *s[:4]) for f in faces for s in f["segments"]]
    prob = {id(s): None if s.fake_prob is None else round(s.fake_prob, 4) for s in report.segments}
    assert shown == [(s.track_id, s.start, s.end, prob[id(s)], s.num_frames) for s in report.segments]
    pictures = [(f["id"], t, b64decode(jpeg)) for f in faces for t, jpeg in f["pictures"]]
    assert sorted(pictures) == sorted((t.track_id, t.time, t.jpeg) for t in report.thumbnails)


def test_flagged_clear_and_unanswered_say_different_things():
    flagged, clear, none = (Page(render_html(r)) for r in (two_faces(), two_faces(flagged=False), no_face()))
    assert flagged.text("h1") == "Signs of manipulation"
    assert clear.text("h1") == "No signs of manipulation found"
    assert none.text("h1") == "No answer: no face was found"
    assert "93%" in flagged.text("main")
    assert "Most suspicious: face 2 from 0:08.0 to 0:13.0. Judged 2 of 3 face(s)" in flagged.text("main")
    assert "threshold 62%" in flagged.text("svg", **{"class": "gauge"})
    assert "evidence, not proof" in clear.text("main")
    assert not re.search(r"\d%", none.text("section", **{"aria-labelledby": "headline"})), (
        "no number without a judgement"
    )
    assert "50%" not in none.text("main")


def test_still_has_faces_but_no_timeline():
    html = render_html(still())
    page = Page(html)
    assert "One frame, no temporal part" in page.text("main")
    assert not any(a.get("role") == "slider" for _, a, _ in page.elements)
    assert page.text("main").count("Face 1") >= 1


def test_each_face_has_a_named_keyboard_lane():
    page = Page(render_html(two_faces()))
    lanes = [a for _, a, _ in page.elements if a.get("role") == "slider"]
    assert [a["aria-label"] for a in lanes] == [
        "Timeline of face 1, 17 segments",
        "Timeline of face 2, 16 segments",
        "Timeline of face 3, 1 segments",
    ]
    assert all(a["tabindex"] == "0" for a in lanes)


def test_evidence_shows_the_most_suspicious_finding_first():
    page = Page(render_html(crowd(4, 40.0)))
    peaks = [int(p) for p in re.findall(r"highest (\d+)%", page.text("main"))]
    assert peaks
    assert peaks == sorted(peaks, reverse=True)


def test_a_finding_says_what_it_rests_on_where_that_is_known():
    page = Page(render_html(explained(HOSTILE)))
    (reasons,) = ["".join(text) for _, a, text in page.elements if a.get("class") == "reasons"]
    assert "the frame at 0:10.2" in reasons
    assert re.sub(r"\s+", " ", reasons).count("mouth60%eyes37%") == 1
    assert "nose" not in reasons  # less than a twentieth
    assert f"Forged to: {HOSTILE}" in reasons
    assert "Genuine to: amtennet" in reasons
    assert "none" not in reasons
    assert not any(a.get("class") == "reasons" for _, a, _ in Page(render_html(two_faces())).elements)


def test_hours_of_video_draw_a_bounded_picture():
    short, long = (Page(render_html(crowd(1, seconds, fps=1.0))) for seconds in (3600.0, 10_800.0))
    drawn = [sum(len(a.get("d") or "") for t, a, _ in page.elements if t == "path") for page in (short, long)]
    assert drawn[1] < 1.5 * drawn[0], "three times the time must not draw three times the paths"
    assert len(long.data("view-data")["faces"][0]["segments"]) == 10_800
    assert len(long.data("view-data")["faces"][0]["curve"]) <= 800


def test_findings_below_the_threshold_are_not_hidden():
    report = replace(two_faces(), fake_prob=0.4)
    assert Page(render_html(report)).text("h1") == "Below the threshold, but one stretch stands out"


@pytest.mark.parametrize(("opens", "said"), [(None, "70%"), (0.83, "83%")])
def test_the_timeline_shows_where_findings_begin(opens, said):
    report = two_faces()
    page = render_html(replace(report, weights=replace(report.weights, finding_threshold=opens)))
    assert f"a finding begins at {said}" in page
