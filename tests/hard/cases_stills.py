"""Files of several pictures, large photos, and files whose header says more or less than is shown."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import pack

import av
import numpy as np
from case import HardCase, Rgb, portraits
from PIL import Image

from vidguard.detector.triage import Outcome, Triage
from vidguard.types import Report, Status

_SIDE = 320


def _pictures(num_genuine: int, num_forged: int) -> list[Image.Image]:
    genuine, forged = (Image.fromarray(picture).resize((_SIDE, _SIDE)) for picture in portraits())
    return [genuine] * num_genuine + [forged] * num_forged


def _jpeg(picture: Image.Image, **settings: object) -> bytes:
    file = io.BytesIO()
    picture.copy().save(file, "JPEG", quality=92, **settings)
    return file.getvalue()


def _saved(
    name: str, kind: str, pictures: Callable[[], list[Image.Image]], **settings: object
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        first, *others = pictures()
        first.save(folder / name, kind, save_all=True, append_images=others, **settings)
        return folder / name

    return make


def _cut_gif(folder: Path) -> Path:
    path = _saved("a.gif", "GIF", lambda: _pictures(8, 4), duration=200)(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def _mjpeg(folder: Path) -> Path:
    genuine, forged = _pictures(1, 1)
    path = folder / "camera.mjpeg"
    path.write_bytes(_jpeg(genuine) + _jpeg(forged) * 12)
    return path


def _motion_photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(_jpeg(_pictures(1, 0)[0]) + _mp4([np.asarray(_pictures(0, 1)[0])] * 10))
    return path


def _large_photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    Image.fromarray(portraits()[1]).resize((6500, 6500)).save(path, "JPEG", quality=80)
    return path


def _mp4(pictures: Sequence[Rgb], container: str = "mp4", key_every: int = 25, intra_refresh: bool = False) -> bytes:
    """H.264, 10 frames a second."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        refresh = {"x264-params": "intra-refresh=1:bframes=0"} if intra_refresh else {}
        options = {"preset": "ultrafast", "crf": "16", "g": str(key_every), "sc_threshold": "0", **refresh}
        stream = target.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        for picture in pictures:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        target.mux(stream.encode(None))
    return out.getvalue()


def _clip(num_genuine: int, num_forged: int) -> list[Rgb]:
    return [np.asarray(picture) for picture in _pictures(num_genuine, num_forged)]


def _patched(box: str, offset: int, value: int) -> Callable[[Path], Path]:
    """Genuine for a second, forged for five: with four bytes of the header changed."""

    def make(folder: Path) -> Path:
        data = _mp4(_clip(10, 50))
        at = data.index(box.encode()) + 4 + offset
        path = folder / "clip.mp4"
        path.write_bytes(data[:at] + pack(">I", value) + data[at + 4 :])
        return path

    return make


def _trimmed(folder: Path) -> Path:
    """Six frames of the first group are hidden by the edit list: as a cut without encoding leaves it."""
    data = _mp4(_clip(24, 0), key_every=10)
    at = data.index(b"elst") + 4 + 8
    path = folder / "trim.mp4"
    path.write_bytes(data[:at] + pack(">II", 1800, int(0.6 * 10240)) + data[at + 8 :])
    return path


def _written(name: str, data: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data())
        return path

    return make


def _damaged_without_a_face(folder: Path) -> Path:
    data = _mp4([np.full((240, 320, 3), 90 + k, np.uint8) for k in range(60)], "matroska")
    path = folder / "scenery.mkv"
    path.write_bytes(data[: len(data) * 6 // 10])
    return path


def _found_forged(report: Report) -> None:
    assert report.status is Status.OK, report.explanation
    assert report.fake_prob is not None
    assert report.fake_prob > 0.6
    assert report.source.kind == "video"
    assert report.coverage.complete


def _is_partial(what: str) -> Callable[[Report], None]:
    def check(report: Report) -> None:
        assert report.status is Status.PARTIAL
        assert what in report.explanation
        assert not report.coverage.complete
        assert report.decision is None or report.decision.label != "genuine"

    return check


def _is_squeezed(report: Report) -> None:
    """All frames within 0.06 s: one is sampled, too few to judge, and the rest is told of."""
    assert report.status in (Status.PARTIAL, Status.TOO_SHORT)
    assert "promised 6.00 s" in report.explanation
    assert not report.coverage.complete


def _is_whole(report: Report) -> None:
    assert report.status is Status.OK, report.explanation
    assert report.coverage.complete


def _large_is_judged(report: Report) -> None:
    assert (report.status, report.source.kind, report.source.width) == (Status.OK, "image", 3250)
    assert report.fake_prob is not None
    assert any("6500x6500" in note for note in report.engine.notes)


def _no_face_in_a_part(report: Report) -> None:
    assert report.status is Status.NO_FACE
    assert not report.coverage.complete
    assert "not all of the source was seen" in report.explanation


def _checked(answer: Triage) -> None:
    assert answer.outcome is Outcome.CHECK


def _checked_because(what: str) -> Callable[[Triage], None]:
    def check(answer: Triage) -> None:
        assert answer.outcome is Outcome.CHECK
        assert what in answer.why

    return check


def _not_damaged(answer: Triage) -> None:
    assert "damaged" not in answer.why


def _moving(kind: str, name: str, pillow: str, **settings: object) -> HardCase:
    make = _saved(name, pillow, lambda: _pictures(1, 3), **settings)
    return HardCase(f"{kind}, forged after the first picture", make, _found_forged, _checked)


CASES: tuple[HardCase, ...] = (
    _moving("animated WebP", "a.webp", "WEBP", duration=400, quality=90),
    _moving("animated AVIF", "a.avif", "AVIF", duration=400, quality=80),
    _moving("animated PNG", "a.png", "PNG", duration=400),
    _moving("PNG with a first picture of its own", "a.png", "PNG", duration=400, default_image=True),
    _moving("TIFF of several pages", "a.tiff", "TIFF"),
    HardCase("raw MJPEG, forged after the first picture", _mjpeg, _found_forged, _checked),
    HardCase(
        "MPO with a second picture",
        _saved("a.jpg", "MPO", lambda: _pictures(1, 1)),
        _is_partial("1 further picture(s) of the file were not looked at"),
        _checked_because("not looked at"),
    ),
    HardCase("photo with a video behind it", _motion_photo, _is_partial("comes with a video"), _checked),
    HardCase("photo of 42 megapixels", _large_photo, _large_is_judged, _not_damaged),
    HardCase(
        "MP4 whose edit list hides all but the start",
        _patched("elst", 8, 1000),
        _is_partial("10 of 60 frames were shown"),
        _checked_because("10 of 60 frames were shown"),
    ),
    HardCase("MP4 with a time scale of 100 times", _patched("mdhd", 12, 1024000), _is_squeezed, _checked),
    HardCase("MP4 trimmed without encoding", _trimmed, _is_whole, _not_damaged),
    HardCase(
        "H.264 with intra refresh",
        _written("refresh.mp4", lambda: _mp4(_clip(24, 0), intra_refresh=True, key_every=10)),
        _is_whole,
        _not_damaged,
    ),
    HardCase(
        "H.264 without a container", _written("raw.h264", lambda: _mp4(_clip(24, 0), "h264")), _is_whole, _not_damaged
    ),
    HardCase(
        "animated GIF that is cut off in the middle",
        _cut_gif,
        _is_partial("breaks off before the end"),
        _checked_because("breaks off before the end"),
    ),
    HardCase("broken off, no face in the rest", _damaged_without_a_face, _no_face_in_a_part, _checked),
)
