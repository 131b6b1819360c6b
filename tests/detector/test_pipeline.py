"""The whole pipeline with the shipped weights, on the demo clip whose truth is known and on hard sources."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut, coffee

import vidguard
from vidguard.demo import DemoClip
from vidguard.detector import load_judge
from vidguard.detector.golden import golden
from vidguard.faces.scene import LONGEST_BLEND
from vidguard.metrics import auc
from vidguard.scoring.windows import WINDOW_FRAMES
from vidguard.video import open_source
from vidguard.weights import WeightEntry, list_weights, read_tensors


def decoded(path: Path, batch_size: int) -> Iterator[tuple[torch.Tensor, float]]:
    with open_source(path) as reader:
        for batch in reader.batches(batch_size=batch_size):
            yield from zip(batch.frames, batch.pts_seconds)


def test_the_forged_stretch_of_the_demo_scores_above_the_genuine_rest(report: vidguard.Report, clip: DemoClip) -> None:
    assert report.status is vidguard.Status.OK
    (truth,) = clip.truth
    centres = [((s.start + s.end) / 2, s.fake_prob) for s in report.segments]
    is_fake = [truth.start <= t < truth.end for t, _ in centres]
    assert auc(is_fake, [p for _, p in centres]) == 1.0


def test_segments_cover_the_clip_and_the_report_round_trips(report: vidguard.Report) -> None:
    assert [(s.start, s.end) for s in report.segments] == [(float(i), float(i + 1)) for i in range(9)]
    assert report.coverage.num_frames_decoded == 225
    assert report.coverage.num_frames_analysed == 72
    assert report.coverage.seconds_judged == pytest.approx(9.0)
    assert report.thumbnails
    assert report.engine.reader == "pyav"
    assert vidguard.Report.from_json(report.to_json()) == report


def test_a_stream_gives_the_same_segments_however_it_is_handed_over(
    detector: vidguard.Detector, clip: DemoClip, report: vidguard.Report
) -> None:
    by_frame = sorted(detector.stream(decoded(clip.path, batch_size=3)), key=lambda s: (s.track_id, s.start))
    assert tuple(by_frame) == report.segments
    with open_source(clip.path) as reader:
        by_batch = list(detector.stream(reader.batches(batch_size=11)))
    assert sorted(by_batch, key=lambda s: (s.track_id, s.start)) == by_frame


def test_segments_arrive_before_the_stream_ends(detector: vidguard.Detector, clip: DemoClip) -> None:
    handed = 0

    def counted() -> Iterator[tuple[np.ndarray, float]]:
        nonlocal handed
        for start in (0.0, 9.0):
            for frame, time in decoded(clip.path, batch_size=8):
                handed += 1
                yield frame.permute(1, 2, 0).numpy(), start + time  # arrays with channels last are as good

    first = next(iter(detector.stream(counted())))
    assert (first.start, first.end) == (0.0, 1.0)
    # a window, a chunk of frames worked on at once, and what a dissolve may still reach
    assert handed <= 25 * (WINDOW_FRAMES / 8.0 + 1 + LONGEST_BLEND)


def test_path_bytes_and_file_object_give_the_same_answer(
    detector: vidguard.Detector, clip: DemoClip, report: vidguard.Report
) -> None:
    content = clip.path.read_bytes()
    for source in (content, io.BytesIO(content)):
        assert detector.analyze(source).segments == report.segments


def test_a_truncated_file_is_judged_in_part(detector: vidguard.Detector, clip: DemoClip, tmp_path: Path) -> None:
    import av

    whole = tmp_path / "whole.mkv"
    with av.open(str(clip.path)) as source, av.open(str(whole), "w", format="matroska") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    content = whole.read_bytes()
    found = detector.analyze(content[: len(content) // 2])
    assert found.status is vidguard.Status.PARTIAL
    assert found.fake_prob is not None
    assert 1.0 < found.segments[-1].end < 8.0


def still(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_still_is_one_frame_without_a_temporal_part(detector: vidguard.Detector) -> None:
    found = detector.analyze(still(astronaut()))
    assert found.status is vidguard.Status.OK
    assert found.source.kind == "image"
    assert found.fake_prob is not None
    assert "no temporal part" in found.explanation
    assert len(found.tracks) == len(found.segments) == 1


def test_no_face_is_a_status_and_never_a_number(detector: vidguard.Detector) -> None:
    found = detector.analyze(still(coffee()))
    assert found.status is vidguard.Status.NO_FACE
    assert found.fake_prob is None
    assert found.segments == ()


@pytest.mark.parametrize("content", [b"", b"just text, no picture", b"\x00" * 5000])
def test_what_is_no_video_is_refused_with_a_reason(detector: vidguard.Detector, content: bytes) -> None:
    with pytest.raises(vidguard.SourceError, match=r"."):
        detector.analyze(content)


def test_score_crops_gives_probabilities_whatever_the_batch(detector: vidguard.Detector) -> None:
    crops = torch.randint(0, 256, (5, 3, 120, 100), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = detector.score_crops(crops)
    assert found.shape == (5,)
    assert ((found >= 0) & (found <= 1)).all()
    torch.testing.assert_close(torch.cat([detector.score_crops(c[None]) for c in crops]), found, atol=1e-4, rtol=0)
    torch.testing.assert_close(detector.score_crops(crops.numpy()), found)
    assert detector.score_crops(crops[:0]).shape == (0,)
    with pytest.raises(vidguard.InputError, match="uint8"):
        detector.score_crops(crops.float())


@pytest.mark.parametrize("entry", list_weights(), ids=lambda entry: entry.name)
def test_shipped_networks_answer_their_golden_inputs(entry: WeightEntry) -> None:
    expected = read_tensors(entry, "golden.safetensors")
    found = golden(load_judge(entry)[0])
    assert expected.keys() == found.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], atol=2e-3, rtol=1e-3)


def test_unknown_weights_and_devices_are_refused_by_name() -> None:
    with pytest.raises(vidguard.WeightsError, match="installed: base-v1"):
        vidguard.load("nonesuch")
    with pytest.raises(vidguard.BackendError, match="cpu"):
        vidguard.load(device="tpu-of-tomorrow")


def test_stream_refuses_what_is_no_pair(detector: vidguard.Detector) -> None:
    with pytest.raises(vidguard.InputError, match="pairs"):
        list(detector.stream([np.zeros((8, 8, 3), np.uint8)]))  # type: ignore[list-item]


def test_a_reused_frame_buffer_changes_nothing(
    detector: vidguard.Detector, clip: DemoClip, report: vidguard.Report
) -> None:
    buffer = np.empty((512, 512, 3), np.uint8)

    def reused() -> Iterator[tuple[np.ndarray, float]]:
        for frame, time in decoded(clip.path, batch_size=8):
            buffer[:] = frame.permute(1, 2, 0).numpy()[:, :, ::-1]  # as a camera gives it: BGR, one buffer for ever
            yield buffer[:, :, ::-1], time

    found = sorted(detector.stream(reused()), key=lambda s: (s.track_id, s.start))
    assert tuple(found) == report.segments


@pytest.mark.parametrize(
    ("second", "time", "message"),
    [
        (np.zeros((64, 64, 3), np.uint8), 0.0, "increase"),
        (np.zeros((64, 64, 3), np.uint8), float("nan"), "finite"),
        ("a picture", 1.0, "arrays or torch tensors"),
    ],
)
def test_a_broken_stream_is_refused(detector: vidguard.Detector, second: object, time: float, message: str) -> None:
    frames = [(np.zeros((64, 64, 3), np.uint8), 0.5), (second, time)]
    with pytest.raises(vidguard.InputError, match=message):
        list(detector.stream(frames))  # type: ignore[arg-type]


def test_a_damaged_still_is_never_a_crash(detector: vidguard.Detector) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(astronaut()).save(buffer, "JPEG")
    content = buffer.getvalue()
    for share in (0.05, 0.5, 0.9):
        found = detector.analyze(content[: int(len(content) * share)])
        assert found.status is not vidguard.Status.OK
        assert (found.fake_prob is not None) == (found.status is vidguard.Status.PARTIAL)


def test_a_still_is_held_against_the_frame_threshold(detector: vidguard.Detector) -> None:
    found = detector.analyze(still(astronaut()))
    assert found.weights.threshold == detector.passport.calibration.frame_threshold


@pytest.mark.cuda
def test_cuda_and_cpu_agree(clip: DemoClip, report: vidguard.Report) -> None:
    found = vidguard.load(device="cuda").analyze(clip.path, backend="pyav")
    assert [(s.start, s.end) for s in found.segments] == [(s.start, s.end) for s in report.segments]
    for ours, theirs in zip(found.segments, report.segments):
        assert ours.fake_prob == pytest.approx(theirs.fake_prob, abs=0.02)
