"""Following: identities through motion, crossings, occlusions and cuts, and independence of how frames are batched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
import torch
import torch.nn.functional as F
from conftest import paste, portrait, room
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from vidguard.config import FaceConfig
from vidguard.errors import InputError
from vidguard.faces import Detections, FaceDetector, FaceFollower, FollowedFace
from vidguard.types import FrameBatch

WIDTH, HEIGHT, RATE = 400, 240, 8.0
Scene = Sequence[tuple[int, int, int, int]]
"""Who (person, size) is where (x, y), from back to front."""


def film(scenes: Sequence[Scene], background: Tensor | None = None) -> Tensor:
    base = room(WIDTH, HEIGHT) if background is None else background
    frames = base[None].repeat(len(scenes), 1, 1, 1)
    for frame, scene in zip(frames, scenes):
        for person, px, x, y in scene:
            paste(frame, portrait(person, px), x, y)
    return frames


def follow(
    detector: FaceDetector,
    frames: Tensor,
    config: FaceConfig | None = None,
    chunks: Sequence[int] = (),
    times: Sequence[float] | None = None,
) -> list[list[FollowedFace]]:
    follower = FaceFollower(detector, FaceConfig() if config is None else config)
    times = [n / RATE for n in range(len(frames))] if times is None else times
    bounds = sorted({0, *(c for c in chunks if c < len(frames)), len(frames)})
    followed: list[list[FollowedFace]] = []
    for start, stop in pairwise(bounds):
        followed += follower.push(FrameBatch(frames[start:stop], tuple(times[start:stop])))
    return followed


def ids_at(faces: list[FollowedFace], x: float, y: float) -> list[int]:
    point = torch.tensor([x, y])
    return [f.track_id for f in faces if ((f.box_xyxy_px[:2] < point) & (point < f.box_xyxy_px[2:])).all()]


def walk(num_frames: int) -> list[Scene]:
    return [[(1, 90, 20 + 6 * n, 40), (5, 110, 270 - 3 * n, 100 + 2 * n)] for n in range(num_frames)]


def test_moving_faces_keep_their_ids(detector: FaceDetector) -> None:
    followed = follow(detector, film(walk(20)))
    for n, faces in enumerate(followed):
        assert ids_at(faces, 65 + 6 * n, 85) == ids_at(followed[0], 65, 85)
        assert ids_at(faces, 325 - 3 * n, 155 + 2 * n) == ids_at(followed[0], 325, 155)
        assert [face.time for face in faces] == [n / RATE] * len(faces)
        assert all(0.7 < face.detection_prob <= 1 and face.landmarks_px.shape == (5, 2) for face in faces)
    assert len({face.track_id for faces in followed for face in faces}) == 2


WALK = film(walk(18) + [[(8, 120, 60 + 5 * n, 60)] for n in range(6)])


@settings(max_examples=5, deadline=None)
@given(
    st.lists(st.integers(1, 23), max_size=8),
    st.just([1 / RATE] * 24) | st.lists(st.sampled_from([0.125, 0.4, 0.7, 2.5]), min_size=24, max_size=24),
)
def test_batching_does_not_change_the_answer(detector: FaceDetector, chunks: list[int], steps: list[float]) -> None:
    times = list(accumulate(steps))
    whole, parts = follow(detector, WALK, times=times), follow(detector, WALK, chunks=chunks, times=times)
    assert sum(len(faces) for faces in whole) > 30
    for left, right in zip(whole, parts):
        assert [face.track_id for face in left] == [face.track_id for face in right]
        for a, b in zip(left, right):
            torch.testing.assert_close(a.box_xyxy_px, b.box_xyxy_px, atol=1e-2, rtol=0)
            torch.testing.assert_close(a.landmarks_px, b.landmarks_px, atol=1e-2, rtol=0)


@pytest.mark.parametrize(("back", "front"), [(1, 5), (5, 1), (2, 13), (9, 16), (60, 44)])
def test_people_who_cross_keep_their_ids(detector: FaceDetector, back: int, front: int) -> None:
    scenes = [[(back, 90, 10 + 14 * n, 70), (front, 90, 290 - 14 * n, 80)] for n in range(21)]
    followed = follow(detector, film(scenes))
    before = ids_at(followed[3], 10 + 14 * 3 + 45, 115), ids_at(followed[3], 290 - 14 * 3 + 45, 125)
    after = ids_at(followed[19], 10 + 14 * 19 + 45, 115), ids_at(followed[19], 290 - 14 * 19 + 45, 125)
    assert len(before[0]) == len(before[1]) == 1
    assert after == before


def test_a_short_occlusion_keeps_the_id_and_a_long_one_ends_the_track(detector: FaceDetector) -> None:
    for hidden, same in ((5, True), (12, False)):
        shown: Scene = [(1, 100, 150, 60)]
        scenes: list[Scene] = [shown] * 7 + [[]] * hidden + [shown] * 10
        followed = follow(detector, film(scenes))
        assert [len(faces) for faces in followed[:7]] == [1] * 7
        assert not any(followed[7 : 7 + hidden])
        assert len(followed[-1]) == 1
        assert (followed[-1][0].track_id == followed[0][0].track_id) is same
        if same:
            assert len(followed[7 + hidden]) == 1  # found at once, not at the next planned search


@pytest.mark.parametrize("step", [0.5, 1.001, 2.0])
def test_a_face_in_every_frame_of_a_slow_stream_is_one_track(detector: FaceDetector, step: float) -> None:
    frames = film([[(1, 100, 150 + 4 * n, 60)] for n in range(6)])
    followed = follow(detector, frames, times=[step * n for n in range(6)])
    assert [[face.track_id for face in faces] for faces in followed] == [[0]] * 6


def test_in_a_slow_stream_a_face_gone_for_two_steps_ends_its_track(detector: FaceDetector) -> None:
    shown: Scene = [(1, 100, 150, 60)]
    followed = follow(detector, film([shown] * 3 + [[]] + [shown] * 2), times=[2.0 * n for n in range(6)])
    assert [[face.track_id for face in faces] for faces in followed] == [[0], [0], [0], [], [1], [1]]


@pytest.mark.parametrize("before", [[], [(1, 100, 150, 60)]])
def test_faces_are_there_at_once_after_a_hole(detector: FaceDetector, before: Scene) -> None:
    shown: Scene = [(1, 100, 150, 60)]
    times = [n / RATE + (3.75 if n >= 6 else 0.0) for n in range(10)]
    followed = follow(detector, film([before] * 6 + [shown] * 4), times=times)
    assert [[face.track_id for face in faces] for faces in followed[6:]] == [[0]] * 4


def test_a_new_face_is_found_within_a_second_at_any_rate(detector: FaceDetector) -> None:
    shown: Scene = [(1, 100, 150, 60)]
    followed = follow(detector, film([[]] + [shown] * 6), times=[0.25 * n for n in range(7)])
    assert [len(faces) for faces in followed] == [0, 0, 0, 0, 1, 1, 1]


class CountingDetector(FaceDetector):
    """The real one; it remembers how many frames it was given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[int] = []

    def detect(self, frames: Tensor) -> list[Detections]:
        self.looks.append(len(frames))
        return super().detect(frames)


def test_whole_frames_are_searched_seldom_and_together() -> None:
    counting = CountingDetector()
    follow(counting, film([[]] * 32), chunks=[16])
    turned = [1, 1, 1]  # after one second and after two; then after four
    assert counting.looks == [2, *turned, 2, *turned]


def test_alive_tracks_are_those_that_can_come_back(detector: FaceDetector) -> None:
    follower = FaceFollower(detector, FaceConfig(max_gap_seconds=0.5))
    frames = film([[(1, 100, 150, 60)]] * 3 + [[]] * 6)
    times = tuple(n / RATE for n in range(9))
    follower.push(FrameBatch(frames[:7], times[:7]))
    assert follower.alive_track_ids == {0}
    follower.push(FrameBatch(frames[7:], times[7:]))
    assert follower.alive_track_ids == frozenset()


def test_identity_does_not_jump_at_a_cut(detector: FaceDetector) -> None:
    # The same person at the same place, but everything around changes: what was followed has ended.
    dark = 255 - room(WIDTH, HEIGHT).flip(2)
    shown: Scene = [(1, 100, 150, 60)]
    frames = torch.cat([film([shown] * 5), film([shown] * 5, background=dark)])
    followed = follow(detector, frames, chunks=[2, 8])
    assert {face.track_id for faces in followed[:5] for face in faces} == {0}
    assert {face.track_id for faces in followed[5:] for face in faces} == {1}
    assert [len(faces) for faces in followed] == [1] * 10


def test_another_face_at_the_same_place_is_another_track(detector: FaceDetector) -> None:
    # The picture around stays, so no cut is found; the looks alone must tell.
    frames = film([[(1, 100, 150, 60)]] * 17)
    astronaut = torch.from_numpy(data.astronaut()[40:220:2, 140:320:2].copy()).permute(2, 0, 1)
    for frame in frames[5:]:
        paste(frame, astronaut, 150, 60)
    followed = follow(detector, frames)
    early = {face.track_id for faces in followed[:5] for face in faces}
    late = {face.track_id for faces in followed[5:] for face in faces}
    assert len(followed[-1]) == 1
    assert early.isdisjoint(late)


def test_the_largest_faces_are_kept(detector: FaceDetector) -> None:
    followed = follow(detector, film(walk(10)), FaceConfig(max_faces=1))
    assert [len(faces) for faces in followed] == [1] * 10
    assert all(ids_at(faces, 325 - 3 * n, 155 + 2 * n) for n, faces in enumerate(followed))


def test_irregular_times_and_empty_batches(detector: FaceDetector) -> None:
    follower = FaceFollower(detector, FaceConfig())
    frames = film(walk(4))
    assert follower.push(FrameBatch(frames[:0], ())) == []
    first = follower.push(FrameBatch(frames[:2], (0.0, 1e-4)))
    second = follower.push(FrameBatch(frames[2:], (0.9, 1.7)))
    assert [[face.track_id for face in faces] for faces in first + second] == [[0, 1]] * 4
    with pytest.raises(InputError, match="can't follow"):
        follower.push(FrameBatch(frames[:1], (1.7,)))


def test_no_faces(detector: FaceDetector) -> None:
    assert follow(detector, film([[]] * 9)) == [[]] * 9


def cross(px: int, speed: float, num_frames: int = 14) -> list[Scene]:
    """A face that goes to and fro at so many pixels a second."""
    free = WIDTH - px
    ways = [speed * n / RATE % (2 * free) for n in range(num_frames)]
    return [[(1, px, round(min(way, 2 * free - way)), 70)] for way in ways]


@pytest.mark.parametrize(("px", "speed"), [(100, 200), (100, 350), (100, 600)])
def test_a_fast_face_is_seen_all_the_time(detector: FaceDetector, px: int, speed: float) -> None:
    followed = follow(detector, film(cross(px, speed)))
    assert [len(faces) for faces in followed] == [1] * len(followed)
    assert len({faces[0].track_id for faces in followed}) <= 1 + speed // 300  # it may be lost where it turns back


@pytest.mark.parametrize("speed", [500.0, 600.0])
def test_a_fast_face_that_turns_back_keeps_its_id(detector: FaceDetector, speed: float) -> None:
    """A head of 180 px, a face of 90, goes to and fro over 780 px."""
    shown = torch.from_numpy(data.astronaut()[40:400, 100:460].copy()).permute(2, 0, 1)[None].float()
    head = F.interpolate(shown, size=[180, 180], mode="area")[0].round().to(torch.uint8)
    frames = room(960, 260)[None].repeat(32, 1, 1, 1)
    for n, frame in enumerate(frames):
        way = speed * n / RATE % 1560
        paste(frame, head, round(min(way, 1560 - way)), 30)
    followed = follow(detector, frames)
    assert {face.track_id for faces in followed for face in faces} == {0}
    assert sum(len(faces) for faces in followed) >= 31


def test_a_face_in_other_light_is_still_the_same(detector: FaceDetector) -> None:
    frames = film([[(1, 100, 150, 60)]] * 12).float()
    frames[4:7] *= 0.25
    frames[7:9] = frames[7:9] * 1.5 + 60
    frames[9:] *= torch.tensor([0.3, 0.5, 1.0])[:, None, None]
    followed = follow(detector, frames.clamp(0, 255).to(torch.uint8))
    assert [[face.track_id for face in faces] for faces in followed] == [[0]] * 12


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_face_on_its_side_is_found_after_a_second_in_pixels_of_the_picture_as_it_is(
    detector: FaceDetector, turn: int
) -> None:
    upright = film([[(1, 130, 150, 60)]] * 20)
    frames = torch.rot90(upright, -turn, (2, 3)).contiguous()
    followed = follow(detector, frames)
    assert all(face.detection_prob < 0.97 for faces in followed[:9] for face in faces)  # no clear one
    assert [len(faces) for faces in followed[9:]] == [1] * 11
    where = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    where[90:170, 180:260] = True
    there = torch.rot90(where, -turn, (0, 1))
    x, y = ((followed[-1][0].box_xyxy_px[:2] + followed[-1][0].box_xyxy_px[2:]) / 2).round().int().tolist()
    assert there[y, x]
    parts = follow(detector, frames, chunks=[3, 9, 10, 17])
    assert [[face.track_id for face in faces] for faces in parts] == [
        [face.track_id for face in faces] for faces in followed
    ]


def test_pictures_are_not_turned_once_a_face_stood_upright() -> None:
    counting = CountingDetector()
    follow(counting, film([[(1, 100, 150, 60)]] + [[]] * 31))
    assert sum(counting.looks) <= 5 + 8  # as planned, and while the face is missing
