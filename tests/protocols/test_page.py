import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vidguard import metrics
from vidguard.errors import InputError, ReportFormatError
from vidguard.protocols.items import Item
from vidguard.protocols.page import (
    render_comparison_html,
    render_comparison_markdown,
    render_html,
    render_markdown,
    worst_mistakes,
)
from vidguard.protocols.page.bars import coverage_bars
from vidguard.protocols.page.curves import curve_charts
from vidguard.protocols.page.render import escape_markdown
from vidguard.protocols.protocol import DEEPFAKEBENCH
from vidguard.protocols.result import (
    Comparison,
    Coverage,
    DetectorInfo,
    Estimate,
    Figures,
    Result,
    ScoredItem,
    SegmentFigures,
    group_key,
)
from vidguard.protocols.scores import Score

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(2)>\"'&|`*_[x](y)$\\frac{$\x00\n\udcff"
VOID = {"meta", "img", "br", "link", "input", "hr"}
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
STRENGTH = {"Deepfakes": 2.4, "Face2Face": 1.9, "FaceSwap": 1.6, "NeuralTextures": 0.9}


def scored(id, is_fake, method, prob, *, status=None, detail="", compression=None):
    item = Item(id, Path("/nowhere") / id.replace("\x00", ""), is_fake, method, id, compression=compression)
    return ScoredItem(item, Score(id, prob, status or "ok", 1.0, detail))


def made_up(count=140, methods=METHODS, seed=0, undecided=3):
    """Scores of a detector that is better at some methods than at others."""
    rng = np.random.default_rng(seed)
    made = []
    for method in (None, *methods):
        logits = rng.normal(-1.2 if method is None else STRENGTH.get(method, 1.2) - 1.2, 1.3, count)
        for number, prob in enumerate(1 / (1 + np.exp(-logits))):
            folder = f"manipulated_sequences/{method}/c23" if method else "original_sequences/youtube/c23"
            gone = number < undecided
            made.append(
                scored(
                    f"{folder}/videos/{number:03d}.mp4",
                    method is not None,
                    method or "youtube",
                    None if gone else float(prob),
                    status=("no_face", "too_short", "error")[number % 3] if gone else "ok",
                    detail="demuxing failed" if gone and number % 3 == 2 else "",
                    compression="c23",
                )
            )
    return made


def measured(scores, threshold=0.5):
    """Figures that the page must repeat; the intervals are made up."""
    decided = [(s.item.is_fake, s.score.fake_prob) for s in scores if s.score.fake_prob is not None]
    truth, probs = np.array([d[0] for d in decided], bool), np.array([d[1] for d in decided], float)
    real = sum(not s.item.is_fake for s in scores)
    gone = {c: sum(s.item.is_fake is c and s.score.fake_prob is None for s in scores) for c in (False, True)}
    counts = dict(items=len(scores), real=real, fake=len(scores) - real, threshold=threshold)
    counts |= dict(no_decision_real=gone[False], no_decision_fake=gone[True])
    if len(set(truth.tolist())) < 2:
        return Figures(**counts)
    auc = metrics.auc(truth, probs)
    return Figures(
        **counts,
        auc=Estimate(auc, auc - 0.031, min(auc + 0.027, 1.0)),
        auc_by_identity=Estimate(auc, auc - 0.052, min(auc + 0.049, 1.0)),
        auc_bounds=metrics.auc_bounds(truth, probs, gone[False], gone[True]),
        accuracy=metrics.accuracy(truth, probs, threshold),
        balanced_accuracy=metrics.balanced_accuracy(truth, probs, threshold),
        eer=metrics.eer(truth, probs),
        average_precision=metrics.average_precision(truth, probs),
        log_loss=metrics.log_loss(truth, probs),
        tpr_at_fpr_1=metrics.tpr_at_fpr(truth, probs, 0.01),
        tpr_at_fpr_5=metrics.tpr_at_fpr(truth, probs, 0.05),
        weighted_precision=metrics.weighted_precision(truth, probs, threshold),
        ece=metrics.expected_calibration_error(truth, probs),
    )


def result_of(scores, *, name="base-v1", missing=(), **changes):
    methods = sorted({s.item.method for s in scores if s.item.is_fake})
    figures = {"pooled": measured(scores)}
    for method in methods:
        figures[group_key(method)] = measured([s for s in scores if not s.item.is_fake or s.item.method == method])
    by_method = {m: sum(s.item.method == m for s in scores) for m in {s.item.method for s in scores}}
    values = dict(
        dataset="FaceForensics++",
        split="test",
        unit="video",
        protocol=DEEPFAKEBENCH.as_dict(),
        detector=DetectorInfo(name, "0123abcd" * 8, {"device": "cpu"}),
        coverage=Coverage(
            len(scores),
            tuple(missing),
            ("no split file for actors",) if missing else (),
            by_method,
            {m: n + (len(missing) if m == "FaceSwap" else 0) for m, n in by_method.items()},
        ),
        environment={"commit": "abc123", "versions": {"torch": "2.9"}, "machine": "x86_64", "seed": 0},
        item_seconds=1234.5,
        figures=figures,
        scores_file="scores.csv",
    )
    return Result(**values | changes)


@pytest.fixture(scope="module")
def scores():
    return made_up()


@pytest.fixture(scope="module")
def result(scores):
    missing = [f"manipulated_sequences/FaceSwap/c23/videos/{n}_{n + 1}.mp4" for n in range(900, 912)]
    return result_of(
        scores,
        missing=missing,
        frame_figures={"pooled": measured(scores)},
        segment_figures=SegmentFigures(40, 0.5, 0.61, 0.52, 0.561, 0.433, Estimate(0.911), 0.27, 0.35),
    )


@pytest.fixture(scope="module")
def html(result, scores):
    return render_html(result, scores, {})


class Page(HTMLParser):
    """Elements with attributes and text; refuses a page whose tags don't nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, text in self.open:
            text.append(data)

    def texts(self, tag):
        return ["".join(text) for name, _, text in self.elements if name == tag]

    @property
    def tags(self):
        return {tag for tag, _, _ in self.elements}


def markdown_table(text, title):
    """Rows of the first table after a heading, as {first cell: {heading: cell}}."""
    block = re.search(r"\n\|.*?(?=\n\n)", text[text.index(title) :], re.DOTALL)[0].strip().splitlines()
    heads, _, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in block)
    return {row[0]: dict(zip(heads[1:], row[1:])) for row in rows}


def test_json_round_trip(result):
    assert Result.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(surprise=1),
        lambda d: d.pop("protocol"),
        lambda d: d.update(schema_version=2),
        lambda d: d["figures"].pop("pooled"),
        lambda d: d["figures"]["pooled"].update(accuracy=1.2),
        lambda d: d["coverage"].update(found=d["coverage"]["found"] + 1),
    ],
)
def test_foreign_files_raise_a_typed_error(result, spoil):
    plain = json.loads(result.to_json())
    spoil(plain)
    with pytest.raises(ReportFormatError, match=r"result\.json"):
        Result.from_json(json.dumps(plain))


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00", '{"status": "ok"}'])
def test_texts_that_are_no_result_raise_a_typed_error(text):
    with pytest.raises(ReportFormatError):
        Result.from_json(text)


def test_nouns_refuse_what_makes_no_sense():
    counts = dict(items=3, real=1, fake=2, threshold=0.5)
    with pytest.raises(ValueError, match="both classes"):
        Figures(**counts, no_decision_real=1, no_decision_fake=0, auc=Estimate(0.9))
    with pytest.raises(ValueError, match="3 items"):
        Figures(**counts | {"fake": 3}, no_decision_real=0, no_decision_fake=0)
    with pytest.raises(ValueError, match="above its high"):
        Estimate(0.5, 0.6, 0.4)
    with pytest.raises(InputError, match="paired"):
        ScoredItem(scored("a", True, "m", 0.5).item, Score("b", 0.5, "ok", 1.0))


def test_scores_of_another_run_are_refused(result, scores):
    with pytest.raises(InputError, match="same run"):
        render_markdown(result, scores[1:])


def test_every_number_of_the_markdown_tables_is_the_results(result, scores):
    text = render_markdown(result, scores)
    ranking, decisions = (markdown_table(text, f"## {t}, by video") for t in ("Ranking", "Decisions and probabilities"))
    labels = {"pooled": "all", **{group_key(m): m for m in METHODS}}
    assert set(ranking) == set(decisions) == set(labels.values())
    for key, label in labels.items():
        f = result.figures[key]
        assert ranking[label] == {
            "Genuine": str(f.real),
            "Fake": str(f.fake),
            "No decision": str(f.no_decision_real + f.no_decision_fake),
            "AUC": f"{f.auc.value:.3f}",
            "95 % by source": f"{f.auc.low:.3f}–{f.auc.high:.3f}",
            "95 % by identity": f"{f.auc_by_identity.low:.3f}–{f.auc_by_identity.high:.3f}",
            "AUC bounds": f"{f.auc_bounds[0]:.3f}–{f.auc_bounds[1]:.3f}",
            "EER": f"{f.eer:.3f}",
            "AP": f"{f.average_precision:.3f}",
            "TPR at 1 % FPR": f"{f.tpr_at_fpr_1:.3f}",
            "TPR at 5 % FPR": f"{f.tpr_at_fpr_5:.3f}",
        }
        assert decisions[label] == {
            "Threshold": f"{f.threshold:.3f}",
            "Accuracy": f"{f.accuracy:.3f}",
            "Balanced accuracy": f"{f.balanced_accuracy:.3f}",
            "Weighted precision": f"{f.weighted_precision:.4f}",
            "Log loss": f"{f.log_loss:.4f}",
            "ECE": f"{f.ece:.3f}",
        }
    segments = markdown_table(text, "## Forged stretches")["all"]
    assert list(segments.values()) == ["40", "0.911", "0.610", "0.520", "0.561", "0.433", "0.270", "0.350"]


def test_frame_figures_stand_in_tables_of_their_own(scores):
    text = render_markdown(result_of(scores), scores)
    assert "by frame" not in text
    frames = replace(measured(scores), auc=Estimate(0.612))
    text = render_markdown(result_of(scores, frame_figures={"pooled": frames}), scores)
    assert markdown_table(text, "## Ranking, by frame")["all"]["AUC"] == "0.612"
    assert markdown_table(text, "## Ranking, by video")["all"]["AUC"] != "0.612"


def test_html_shows_the_same_tables_as_the_markdown(result, scores, html):
    page = Page(html)
    cells = page.texts("td")
    for label, row in markdown_table(render_markdown(result, scores), "## Ranking, by video").items():
        assert label in page.texts("th")
        at = next(i for i in range(len(cells)) if cells[i : i + len(row)] == list(row.values()))
        assert at >= 0


def test_page_starts_with_the_answer_and_what_it_rests_on(result, scores, html):
    for text in (render_markdown(result, scores), " ".join(Page(html).texts("main"))):
        head = text[: text.index("Ranking, by video")]
        assert f"{result.pooled.auc.value:.3f}" in head
        assert f"{result.pooled.auc.low:.3f}–{result.pooled.auc.high:.3f}" in head
        assert "by the protocol deepfakebench" in head
        assert "685 of 700 videos decided: 137 of 140 genuine, 548 of 560 fake" in head
        assert "12 of the 712 videos that the split names are missing (98.3 % there)" in head
        assert "FaceSwap/c23/videos/911" in text.replace("\\", "")


def test_html_is_self_contained_and_obeys_its_own_policy(result, scores):
    mistakes = worst_mistakes(scores, 0.5)
    thumbnails = {s.item.id: b"\xff\xd8jpeg" for s in (*mistakes.false_alarms, *mistakes.missed[1:])}
    html = render_html(result, scores, thumbnails)
    page = Page(html)
    assert not page.tags & {"script", "link", "iframe", "base", "object", "form", "metadata"}
    assert html.count("<style") == 1
    assert not re.search(r"\son\w+=|javascript:|@import|url\((?!#)", html)
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs, _ in page.elements:
        assert "style" not in attrs, tag
        assert attrs.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert attrs.get("href", f"#{ids[0]}")[1:] in ids
        clip = attrs.get("clip-path", f"url(#{ids[0]})")
        assert clip[5:-1] in ids
    assert sum(tag == "img" for tag, _, _ in page.elements) == len(thumbnails)
    assert html.count("no picture<") == 1


def test_every_chart_speaks_and_takes_the_colours_of_the_page(result, scores, html):
    page = Page(html)
    charts = [attrs for tag, attrs, _ in page.elements if tag == "svg" and attrs.get("role") == "img"]
    assert len(charts) == 6
    assert all(len(attrs["aria-label"]) > 30 for attrs in charts)
    assert f"Deepfakes {result.figures['method:Deepfakes'].auc.value:.3f}" in charts[0]["aria-label"]
    painted = {a[k] for _, a, _ in page.elements for k in ("fill", "stroke") if k in a}
    assert painted <= {"none"} | {p for p in painted if p.startswith("var(--")}
    assert render_html(result, scores, {}) == html


@pytest.fixture(scope="module")
def hostile():
    made = [
        scored(
            f"{HOSTILE}/{n}",
            n % 2 == 0,
            f"$x\\frac{{{HOSTILE}" if n % 2 == 0 else "_real",
            None if n < 2 else 0.1 * n,
            status="error" if n < 2 else "ok",
            detail=HOSTILE,
        )
        for n in range(10)
    ]
    return result_of(made, name=HOSTILE), made


def test_hostile_names_stay_text_in_html(hostile):
    html = render_html(*hostile, {})
    page = Page(html)
    assert not page.tags & {"script", "img"}
    assert any("<script>alert(1)</script>" in text for text in page.texts("span"))
    assert "\x00" not in html
    html.encode()


def test_hostile_names_stay_text_in_markdown(hostile):
    text = render_markdown(*hostile)
    text.encode()
    assert not re.search(r"<|(?<!\\)\$|\x00", text)
    ranking = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) >= 4 for line in ranking)
    assert "\n\n# " not in text.replace("\n\n# FaceForensics", "")


def test_escaping_markdown():
    assert escape_markdown("a|b`*_[]~$\\<&>\n") == "a\\|b\\`\\*\\_\\[\\]\\~\\$\\\\&lt;&amp;&gt;\\\\n"
    assert escape_markdown(-0.25) == "-0.25"


def one_class(is_fake):
    return [s for s in made_up(20) if s.item.is_fake is is_fake]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ([], "nothing was found to judge"),
        (one_class(False), "there is no fake item"),
        (one_class(True), "there is no genuine item"),
        (made_up(3), "nothing was decided"),
        ([*made_up(2, methods=()), *one_class(True)], "no genuine item was decided"),
        ([*made_up(2, methods=("Face",)), *one_class(False)], "no fake item was decided"),
    ],
    ids=["no scores", "no fakes", "no genuine", "none decided", "no genuine decided", "no fake decided"],
)
def test_a_page_without_an_auc_says_why(made, why):
    result = result_of(made)
    text, html = render_markdown(result, made), render_html(result, made, {})
    assert f"**No AUC**: {why}" in text
    assert f"Not defined: {why}" in html
    assert "Not drawn: a ROC curve needs decided items of both classes." in html
    assert markdown_table(text, "## Ranking, by video")["all"]["AUC"] == "–"
    assert "nan" not in text.lower()
    Page(html)


def test_undecided_items_are_listed_and_never_drawn(scores):
    decided = [s for s in scores if s.score.fake_prob is not None]
    result = result_of(scores)
    text = render_markdown(result, scores).replace("\\", "")
    for s in scores:
        if s.score.fake_prob is None:
            assert f"{s.item.id}: " in text
    assert "- fake manipulated_sequences/Deepfakes/c23/videos/002.mp4: the detector failed: demuxing failed" in text
    reasons = markdown_table(text, "## No decision")
    assert reasons["no face was found"] == {"Genuine": "1", "Fake": "4"}
    with_them, without = (curve_charts(result, made)[:3] for made in (scores, decided))
    assert [c.svg for c in with_them] == [c.svg for c in without]
    halves = [replace(s, score=Score(s.item.id, s.score.fake_prob or 0.5, "ok", 1.0)) for s in scores]
    assert all(a.svg != b.svg for a, b in zip(with_them, curve_charts(result, halves)))


def test_the_undecided_are_never_answered_on_the_abstention_chart():
    made = [scored(f"s{n}", True, "m", 0.99) for n in range(2)] + [scored(f"u{n}", True, "m", 0.4) for n in range(2)]
    made += [scored(f"n{n}", False, "youtube", None, status="no_face") for n in range(4)]
    chart = curve_charts(result_of(made), made)[3]
    label = re.search(r'aria-label="[^:]*: ([^"]*)"', chart.svg)[1]
    assert label == "0.0 % wrong where 25.0 % are answered; 50.0 % wrong where 50.0 % are answered"


def test_worst_mistakes_are_the_most_confident_errors_only():
    made = [scored(f"r{n}", False, "youtube", p) for n, p in enumerate([0.1, 0.5, 0.99, 0.7])]
    made += [scored(f"f{n}", True, "m", p) for n, p in enumerate([0.5, 0.49, 0.02, 0.9])]
    made += [scored("u", True, "m", None, status="no_face")]
    mistakes = worst_mistakes(made, 0.5)
    assert [s.item.id for s in mistakes.false_alarms] == ["r2", "r3", "r1"]
    assert [s.item.id for s in mistakes.missed] == ["f2", "f1"]
    many = [scored(f"r{n}", False, "youtube", 0.9) for n in range(20)]
    assert len(worst_mistakes(many, 0.5).false_alarms) == 8


def test_coverage_by_method(result):
    chart = coverage_bars(result.coverage)
    assert "FaceSwap 140 of 152" in chart.svg
    assert coverage_bars(Coverage(3)) is None


def test_curves_of_many_methods_are_those_of_the_hardest():
    made = made_up(12, methods=tuple(f"m{n}" for n in range(9)), undecided=0)
    result = result_of(made)
    label = re.search(r'aria-label="([^"]*)"', curve_charts(result, made)[0].svg)[1]
    methods = sorted((group_key(f"m{n}") for n in range(9)), key=lambda key: result.figures[key].auc.value)
    assert re.findall(r"\bm\d", label) == [key.removeprefix("method:") for key in methods[:6]]


def compared(a, b, low, high, by_source=None):
    value = a.pooled.auc.value - b.pooled.auc.value
    return Comparison(
        137, 548, 3, 1, 2, a.pooled.auc.value, b.pooled.auc.value, Estimate(value, low, high), 0.0004, by_source
    )


def test_comparison_pages(result):
    other = result_of(made_up(seed=4), name=f"x{HOSTILE}")
    comparison = compared(result, other, -0.05, -0.001)
    text, html = (
        render_comparison_markdown(result, other, comparison),
        render_comparison_html(result, other, comparison),
    )
    page = Page(html)
    assert not page.tags & {"script", "img"}
    assert "−0.050 to −0.001, p &lt; 0.001" in text.replace("\\", "")
    figures = markdown_table(text, "## Figures of each")
    assert figures["EER"] == {"A": f"{result.pooled.eer:.3f}", "B": f"{other.pooled.eer:.3f}"}
    shown = " ".join(page.texts("main"))
    assert "B (x<" in shown
    assert "ranks better than A (base-v1)." in shown
    assert "3 decided by A (base-v1) alone" in shown
    assert "differ" not in shown.replace("difference", "").replace("Difference", "")


def test_a_comparison_trusts_the_interval_over_sources(result):
    unsure = compared(result, result, 0.001, 0.02, Estimate(0.01, -0.01, 0.03))
    assert "within what chance alone gives" in render_comparison_markdown(result, result, unsure)
    unknown = compared(result, result, None, None)
    assert "Too few items" in render_comparison_markdown(result, result, unknown)


def test_a_comparison_of_unlike_runs_says_so(result):
    other = replace(result, split="val", protocol={**result.protocol, "num_frames": 8})
    text = render_comparison_markdown(result, other, compared(result, other, -0.01, 0.01))
    assert "the splits differ" in text
    assert "the protocols differ" in text
    assert "the data sets differ" not in text
