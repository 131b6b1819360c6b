from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from reports import SOURCE, still, two_faces
from skimage import data

from vidguard.errors import InputError, SourceError
from vidguard.render.overlay import Painter, save_overlay
from vidguard.render.scale import UNJUDGED_RGB, rgb
from vidguard.types import PictureSize

WIDTH, HEIGHT = 1280, 720


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds around second 8 of the report: 10 frames/s with one frame missing, so the rate isn't constant."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    times = [t / 10 for t in range(75, 91) if t != 78]
    picture = cv2.resize(data.astronaut(), (WIDTH, HEIGHT))
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def decoded(path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def close(pixel, colour, tolerance=40) -> bool:
    return bool(np.abs(pixel.astype(int) - np.array(colour)).max() <= tolerance)


def test_overlay_keeps_times_and_colours_boxes_by_segment(clip, tmp_path):
    target = tmp_path / "marked.mp4"
    calls = []
    save_overlay(clip, two_faces(), target, progress=lambda done, total: calls.append((done, total)))
    before, after = decoded(clip), decoded(target)
    origin = before[0][0]
    assert [t + origin for t, _ in after] == pytest.approx([t for t, _ in before], abs=1e-3)
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.colorspace == 1, "BT.709, said so"
    assert calls
    assert [d for d, _ in calls] == sorted(d for d, _ in calls)
    for time, picture in ((t + origin, picture) for t, picture in after):
        assert picture.shape[1] == WIDTH
        assert picture.shape[0] > HEIGHT, "the strip is added, it covers nothing"
        # The box of face 2 spans x 700+5t .. 820+5t, y 80 .. 230; look at the middle of its left edge.
        prob = 0.9 if time >= 8 else 0.22
        assert close(picture[155, round(700 + 5 * time)], rgb(prob)), time
    assert not list(tmp_path.glob("*.partial"))


def test_box_is_interpolated_between_observations_and_absent_out_of_sight():
    painter = Painter(two_faces())
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    # Observations stand every 0.125 s; 4.0625 s lies in the middle of two, 20.3 px into the drift of 5 px a second.
    assert close(painter.paint(frame, 4.0625)[155, 720], rgb(0.22), 0)
    # Face 1 is away from 7.4 to 11 s.
    assert not painter.paint(frame, 9.0)[155, 140:150].any()
    assert painter.paint(frame, 12.0)[155, 158:162].any()
    assert close(painter.paint(frame, 5.5)[155, round(727.5)], UNJUDGED_RGB, 0)


def test_strip_has_a_coloured_row_per_face_and_a_moving_cursor():
    painter = Painter(two_faces())
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    early, late = (painter.paint(frame, t)[HEIGHT:].astype(int) for t in (1.0, 19.0))
    assert any((early == rgb(0.9)).all(axis=2).sum(axis=1) > WIDTH / 5)
    moved = np.flatnonzero((early != late).any(axis=2)[-6])
    assert moved.min() < 0.15 * WIDTH
    assert moved.max() > 0.9 * WIDTH


def test_still_is_written_as_png(tmp_path):
    source, target = tmp_path / "portrait.png", tmp_path / "marked.png"
    cv2.imwrite(str(source), np.zeros((512, 512, 3), np.uint8))
    save_overlay(source, still(0.88), target)
    picture = cv2.imread(str(target))[:, :, ::-1]
    assert picture.shape == (512, 512, 3), "no time strip on a still"
    assert close(picture[155, 60], rgb(0.88), 0)


@pytest.mark.parametrize(("report", "name", "wanted"), [(still(), "x.mp4", ".png"), (two_faces(), "x.png", ".mp4")])
def test_wrong_suffix_is_refused_with_the_right_one(report, name, wanted, tmp_path):
    with pytest.raises(InputError, match=rf"ending in \{wanted}"):
        save_overlay("unused", report, tmp_path / name)


def test_a_failure_leaves_nothing_behind(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 4000)
    target = tmp_path / "marked.mp4"
    with pytest.raises(SourceError):
        save_overlay(broken, replace(two_faces(), source=SOURCE), target)
    assert {p.name for p in tmp_path.iterdir()} == {"broken.mp4"}


def test_a_failure_half_way_leaves_nothing_behind(clip, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_overlay(clip, two_faces(), tmp_path / "marked.mp4", progress=stop)
    assert not list(tmp_path.iterdir())


def test_overlay_fits_every_size_into_the_largest_and_counts_from_the_start(tmp_path):
    """A report of a clip that starts at an hour, 640x360 first and 360x640 after."""
    report = two_faces()
    start = 3600.0 + report.source.start_seconds
    sizes = (PictureSize(start, 640, 360), PictureSize(start + 5.0, 360, 640))
    source = replace(report.source, width=640, height=360, sizes=sizes, start_seconds=start, origin_seconds=start)
    painter = Painter(replace(report, source=source))
    wide = painter.paint(np.full((360, 640, 3), 90, np.uint8), start)
    tall = painter.paint(np.full((640, 360, 3), 90, np.uint8), start + 5.0)
    assert wide.shape == tall.shape
    assert wide.shape[1] == 640
    assert wide[:640].any((1, 2)).tolist() == [False] * 140 + [True] * 360 + [False] * 140
    assert tall[:640].any((0, 2)).tolist() == [False] * 140 + [True] * 360 + [False] * 140
