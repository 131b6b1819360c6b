"""A picture speaks for as long as it is shown, whether a file repeats it or just lets it stay."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media import encode
from PIL import Image

import vidguard
from vidguard.demo import DemoClip
from vidguard.detector.analysis import HOLD_SECONDS, Analysis
from vidguard.types import FrameBatch
from vidguard.video import open_source

Rgb = np.ndarray
SIDE = 256


@pytest.fixture(scope="session")
def slides(clip: DemoClip) -> tuple[Rgb, Rgb]:
    """One face as photographed, and forged."""
    with open_source(clip.path) as reader:
        shown = reader.frames_at((1.0, 4.0)).frames.permute(0, 2, 3, 1).numpy()
    genuine, forged = (np.asarray(Image.fromarray(one).resize((SIDE, SIDE))) for one in shown)
    return genuine, forged


def analysed(detector: vidguard.Detector, shown: Sequence[tuple[Rgb, float]], end: float | None) -> Analysis:
    analysis = detector._start(keep_history=True)
    for picture, time in shown:
        analysis.push(FrameBatch(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None], (time,)))
    analysis.finish(end)
    return analysis


@settings(max_examples=3, deadline=None)
@given(seconds=st.lists(st.floats(0.6, 2.5), min_size=1, max_size=3), first=st.integers(0, 1))
def test_slides_that_stay_are_judged_as_slides_that_are_repeated(
    detector: vidguard.Detector, slides: tuple[Rgb, Rgb], seconds: list[float], first: int
) -> None:
    starts = [0.0, *accumulate(seconds)]
    end = starts.pop()
    pictures = [slides[(first + k) % 2] for k in range(len(starts))]
    constant = [k / 25 for k in range(round(end * 25))]
    repeated = [(pictures[sum(start <= time for start in starts) - 1], time) for time in constant]
    few = analysed(detector, list(zip(pictures, starts)), end)
    many = analysed(detector, repeated, end)
    (one,), (other,) = (list(a.records.values()) for a in (few, many))
    assert few.seconds == pytest.approx(end, abs=1e-6)
    assert [(s.start, s.end) for s in one.track().spans] == [(0.0, pytest.approx(end, abs=1e-5))]
    assert many.seconds == pytest.approx(few.seconds, abs=0.05)
    assert few.frames_analysed == len(starts)
    assert one.track().fake_prob == pytest.approx(other.track().fake_prob, abs=0.1)


def files_of(slides: tuple[Rgb, Rgb], folder: Path) -> dict[str, bytes]:
    """A forged face for 2 s, then a genuine one for 3."""
    genuine, forged = slides
    stills = [Image.fromarray(forged), Image.fromarray(genuine)]
    for suffix in ("gif", "apng"):
        format_ = "PNG" if suffix == "apng" else "GIF"
        stills[0].save(
            folder / f"a.{suffix}", format_, save_all=True, append_images=stills[1:], duration=[2000, 3000], loop=1
        )
    few: dict[str, object] = {"frames": (forged, genuine, genuine), "pts": [0, 2000, 4960], "rate": 25}
    return {
        "constant rate": encode([forged] * 50 + [genuine] * 75, rate=25),
        "MP4": encode(**few),
        "Matroska": encode(**few, container="matroska"),
        "WebM": encode(**few, container="webm", codec="libvpx-vp9"),
        "GIF": (folder / "a.gif").read_bytes(),
        "animated PNG": (folder / "a.apng").read_bytes(),
    }


def test_whatever_the_container_the_answer_is_the_same(
    detector: vidguard.Detector, slides: tuple[Rgb, Rgb], tmp_path: Path
) -> None:
    files = files_of(slides, tmp_path)
    reports = {name: detector.analyze(data) for name, data in files.items()}
    wanted = reports.pop("constant rate")
    assert wanted.fake_prob is not None
    for name, report in reports.items():
        assert report.status is vidguard.Status.OK, name
        assert report.coverage.seconds == pytest.approx(5.0, abs=0.1), name
        assert report.coverage.seconds_judged == pytest.approx(5.0, abs=0.1), name
        assert [round(s.start) for s in report.segments] == [0, 1, 2, 3, 4], name
        assert report.fake_prob == pytest.approx(wanted.fake_prob, abs=0.15), name
    # a stream can't say when its last frame ends
    streamed = sorted(detector.stream(_frames(files["GIF"])), key=lambda s: s.start)
    assert [s.fake_prob for s in streamed[:3]] == pytest.approx(
        [s.fake_prob for s in reports["GIF"].segments[:3]], abs=0.1
    )


def _frames(data: bytes) -> list[tuple[torch.Tensor, float]]:
    with open_source(data) as reader:
        return [pair for batch in reader.batches() for pair in zip(batch.frames, batch.pts_seconds)]


def test_a_picture_that_stays_is_explained_at_any_moment(detector: vidguard.Detector, slides: tuple[Rgb, Rgb]) -> None:
    data = encode([slides[1], slides[1]], pts=[0, 3000], rate=25)
    report = detector.analyze(data)
    assert report.findings
    assert detector.explain(data, report).explanations


def test_one_frame_for_a_moment_is_judged_as_a_still_and_for_long_as_a_video(
    detector: vidguard.Detector, slides: tuple[Rgb, Rgb]
) -> None:
    report = detector.analyze(encode([slides[1]], rate=25))
    assert report.status is vidguard.Status.OK
    assert report.weights.threshold != detector.weights.threshold  # that of a frame
    assert "one frame" in report.explanation
    assert [(s.start, s.end) for s in report.segments] == [(0.0, 0.04)]
    assert report.coverage.seconds == report.coverage.seconds_judged == pytest.approx(0.04)
    frame = torch.from_numpy(slides[1].copy())
    (streamed,) = detector.stream([(frame, 0.0)])
    assert streamed.fake_prob is not None
    stays = analysed(detector, [(slides[1], 0.0)], 4.0)
    assert stays.still is None
    (record,) = stays.records.values()
    assert record.judged
    assert stays.seconds == 4.0


def test_a_clock_that_leaps_is_no_picture_that_stays(detector: vidguard.Detector, slides: tuple[Rgb, Rgb]) -> None:
    analysis = analysed(detector, [(np.zeros_like(slides[0]), 0.0), (np.zeros_like(slides[0]), 1e9)], None)
    assert analysis.seconds == HOLD_SECONDS + 1.0
    assert any("600 s" in note for note in analysis.notes)
