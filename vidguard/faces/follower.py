"""Follows faces through sampled frames: who is where, and when a track is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.config import CropGeometry, FaceConfig
from vidguard.errors import InputError
from vidguard.faces.align import align_crops
from vidguard.faces.assign import assign
from vidguard.faces.boxes import pairwise_cover, pairwise_iou
from vidguard.faces.detector import Detections, FaceDetector
from vidguard.faces.scene import CutFinder
from vidguard.types import FrameBatch

# A face's looks: this many colour pixels of its aligned crop, less mid-grey, as a unit vector. In 94 real clips two
# looks at one person within two seconds have a median cosine of 0.96 (0.62 at 5 %), two people's 0.22 (0.68 at 95 %).
# More surroundings (1.8) tell people apart a little better where they stay in place, and fail where they walk past each
# other.
_LOOKS: Final = CropGeometry(size=16, margin=1.2)
_MID_GREY: Final = 110.0
# Of 1,187 sightings matched by place alone, 0.3 % are less like their track's memory.
_MIN_LIKENESS: Final = 0.4
# A likeness 0.12 greater outweighs the whole overlap: of 40 pairs of grey portraits that cross, none swap ids.
_LIKENESS_WEIGHT: Final = 8.0
# How fast a track's memory of its looks and its velocity follow new sightings.
_LOOKS_RATE: Final = 0.2
_VELOCITY_RATE: Final = 0.5
# Two frames closer in time than this say little of a velocity: a pixel of jitter would be taken for a leap.
_MIN_STEP_SECONDS: Final = 0.03
# A velocity tells where a face goes for so long; then it stopped or turned as likely as not.
_COAST_SECONDS: Final = 0.5
# A refined box that overlaps its prediction less has slid off the face.
_MIN_REFINED_IOU: Final = 0.3
# Two boxes that share more than this of the smaller one show one face.
_SAME_FACE_COVER: Final = 0.6
# How far, in face sides, a face may be from where it was expected: at once, and more with each second unseen.
_REACH: Final = 0.8
_REACH_PER_SECOND: Final = 1.5
_MAX_SIZE_RATIO: Final = 1.8
# P-Net looks again after this long, however few frames that is.
_LOOK_AGAIN_SECONDS: Final = 1.0
# Where frames are further apart than config.max_gap_seconds, a face seen in each of them is still one track.
_GAP_STEPS: Final = 1.5
# Frames whose shapes, width by height, differ by less show the same in another size; others are cut or turned.
_SAME_SHAPE: Final = 0.02
# A missing face is worth a search of every frame only if it was seen this often; most false alarms are seen once.
_WORTH_SEARCHING: Final = 3


@dataclass(frozen=True, eq=False)
class FollowedFace:
    """One face of one track in one frame. Tensors are on the CPU, in pixels of the frame.

    box_xyxy_px: (4,) float32; landmarks_px: (5, 2) float32; detection_prob: O-Net's score, 0 to 1.
    """

    track_id: int
    time: float
    box_xyxy_px: Tensor
    landmarks_px: Tensor
    detection_prob: float


@dataclass(frozen=True, eq=False)
class _Sighting:
    """A face before it is known whose it is: box (4,), landmarks (5, 2), score, looks (D,)."""

    box: Tensor
    landmarks: Tensor
    prob: float
    looks: Tensor


@dataclass
class _Track:
    """What is remembered of a face. velocity is that of the box's centre, (2,) pixels a second."""

    box: Tensor
    looks: Tensor
    time: float
    velocity: Tensor
    num_sightings: int = 1

    def predict(self, time: float) -> Tensor:
        """Where the box (4,) should be: of constant size, and for a while of constant velocity."""
        return self.box + (self.velocity * min(time - self.time, _COAST_SECONDS)).repeat(2)

    def update(self, sighting: _Sighting, time: float) -> None:
        """Take a new sighting in."""
        moved = (_centre(sighting.box) - _centre(self.box)) / max(time - self.time, _MIN_STEP_SECONDS)
        # The first measurement is all there is to know; the zero before it was only a guess.
        self.velocity = torch.lerp(self.velocity, moved, _VELOCITY_RATE) if self.num_sightings > 1 else moved
        self.looks = F.normalize(torch.lerp(self.looks, sighting.looks, _LOOKS_RATE), dim=0)
        self.box, self.time = sighting.box, time
        self.num_sightings += 1

    def scale(self, across: float, down: float) -> None:
        """Go on in a picture of another size: as many pixels of it to one of the old, across and down."""
        factors = torch.tensor([across, down])
        self.box, self.velocity = self.box * factors.repeat(2), self.velocity * factors


class FaceFollower:
    """A state machine fed with consecutive frames; how they are cut into batches doesn't change its answer.

    It looks at whole frames at every config.detect_every-th, at least once a second, at scene cuts, after long steps
    and while a followed face is missing, and carries faces by their motion and `FaceDetector.refine` between. A scene
    cut ends all tracks, and so does a change of the picture's shape; one of its size alone scales them. A gap of more
    than config.max_gap_seconds, or of one and a half steps between the last two frames if that is longer, ends one.
    """

    def __init__(self, detector: FaceDetector, config: FaceConfig) -> None:
        """Start before the first frame, with no faces."""
        self._detector = detector
        self._config = config
        self._cuts = CutFinder()
        self._tracks: dict[int, _Track] = {}
        self._next_id = 0
        self._size: tuple[int, int] | None = None
        self._time = float("-inf")
        self._last: list[FollowedFace] = []
        self._look_time = float("-inf")
        self._frames_since_look = 0

    @property
    def alive_track_ids(self) -> frozenset[int]:
        """Tracks that may still be seen again; others never will."""
        return frozenset(self._tracks)

    def push(self, batch: FrameBatch) -> list[list[FollowedFace]]:
        """Follow faces through the next frames, any number of them.

        Returns one list per frame, in order, sorted by track id, of at most config.max_faces faces. Raises InputError
        when the batch doesn't come after the last one in time.
        """
        if len(batch) and batch.pts_seconds[0] <= self._time:
            raise InputError(f"frames from {batch.pts_seconds[0]} s on can't follow the frame at {self._time} s")
        cuts = self._cuts.push(batch.frames)
        if len(batch) and self._changes_shape(batch.frames.shape[3], batch.frames.shape[2]):
            cuts[0] = True
        planned = self._plan(batch.pts_seconds, cuts)
        found = dict(zip(planned, self._detector.detect(batch.frames[planned])))
        followed = []
        for i, time in enumerate(batch.pts_seconds):
            if cuts[i]:
                self._tracks.clear()
            self._last = self._step(batch.frames[i : i + 1], time, found.get(i))
            followed.append(self._last)
        return followed

    def _changes_shape(self, width: int, height: int) -> bool:
        """Take the size of the frames that come now; tracks go on in it where it has the shape of the last."""
        before, self._size = self._size, (width, height)
        if before is None or before == self._size:
            return False
        across, down = width / before[0], height / before[1]
        for track in self._tracks.values():
            track.scale(across, down)
        self._look_time = float("-inf")  # a search is due: more, or less, can be seen now
        return abs(across / down - 1) > _SAME_SHAPE

    def hold(self, time: float) -> list[FollowedFace]:
        """The last frame of the last batch is still shown at a later time: its faces are where they were.

        The answer is as for one frame of `push`, without any work. Raises InputError as that does.
        """
        if time <= self._time:
            raise InputError(f"a frame can't stay until {time} s, before the last one at {self._time} s")
        for face in self._last:
            track = self._tracks[face.track_id]
            track.time, track.velocity = time, torch.zeros(2)
            track.num_sightings += 1
        self._last = [replace(face, time=time) for face in self._last]
        self._time = time
        self._look_time = float("-inf")  # what comes after a picture that stayed is most likely another one
        return self._last

    def _plan(self, times: Sequence[float], cuts: Sequence[bool]) -> list[int]:
        """Which frames P-Net looks at anyway: known before any is worked on, so that it can take them together."""
        planned, before = [], self._time
        for i, (time, cut) in enumerate(zip(times, cuts)):
            self._frames_since_look += 1
            if (
                cut
                or self._frames_since_look >= self._config.detect_every
                or time - self._look_time >= _LOOK_AGAIN_SECONDS
                or time - before > self._config.max_gap_seconds / 2  # motion says little of where a face is by now
            ):
                planned.append(i)
                self._frames_since_look, self._look_time = 0, time
            before = time
        return planned

    def _step(self, frame: Tensor, time: float, found: Detections | None) -> list[FollowedFace]:
        """One frame: match what a search finds, then refine the faces that it didn't, or all if there was none."""
        oldest = time - max(self._config.max_gap_seconds, _GAP_STEPS * (time - self._time))
        self._tracks = {i: track for i, track in self._tracks.items() if track.time >= oldest}
        visible = {i for i, track in self._tracks.items() if track.time == self._time}
        if found is None and self._misses_a_face():
            found = self._detector.detect(frame)[0]
        seen: dict[int, _Sighting] = {}
        if found is not None:
            sightings = _sight(frame, found)
            seen = self._match(self._tracks, sightings, time)
            taken = {id(sighting) for sighting in seen.values()}
            for sighting in sightings:
                if id(sighting) not in taken:
                    seen[self._start(sighting, time)] = sighting
        unseen = sorted(visible - seen.keys())
        seen |= self._match(unseen, self._refine(frame, time, unseen, seen.values()), time)
        self._time = time
        return self._take(seen, time)

    def _misses_a_face(self) -> bool:
        return any(t.time < self._time and t.num_sightings >= _WORTH_SEARCHING for t in self._tracks.values())

    def _start(self, sighting: _Sighting, time: float) -> int:
        track_id, self._next_id = self._next_id, self._next_id + 1
        self._tracks[track_id] = _Track(sighting.box, sighting.looks, time, torch.zeros(2))
        return track_id

    def _refine(self, frame: Tensor, time: float, ids: list[int], others: Iterable[_Sighting]) -> list[_Sighting]:
        """Tracks' faces, looked for where their motion takes them: each face once, and none of the others."""
        if not ids:
            return []
        predicted = torch.stack([self._tracks[i].predict(time) for i in ids])
        refined = _to_host(self._detector.refine(frame, [predicted])[0])
        iou = pairwise_iou(refined.boxes_xyxy_px, predicted).diagonal()
        good = (refined.probs > self._config.thresholds[2]) & (iou > _MIN_REFINED_IOU)
        kept: list[int] = []
        known = [sighting.box for sighting in others]
        for k in refined.probs.argsort(descending=True, stable=True).tolist():
            box = refined.boxes_xyxy_px[k]
            if good[k] and not (known and (pairwise_cover(box[None], torch.stack(known)) > _SAME_FACE_COVER).any()):
                kept.append(k)
                known.append(box)
        return _sight(frame, Detections(refined.boxes_xyxy_px[kept], refined.landmarks_px[kept], refined.probs[kept]))

    def _match(self, ids: Iterable[int], sightings: list[_Sighting], time: float) -> dict[int, _Sighting]:
        """Whose face each sighting is, of the tracks that may have moved there and look alike."""
        ids = list(ids)
        if not ids or not sightings:
            return {}
        tracks = [self._tracks[i] for i in ids]
        predicted, boxes = torch.stack([t.predict(time) for t in tracks]), torch.stack([s.box for s in sightings])
        likeness = torch.stack([t.looks for t in tracks]) @ torch.stack([s.looks for s in sightings]).T
        sides, other_sides = _side(predicted)[:, None], _side(boxes)
        gap = torch.tensor([time - t.time for t in tracks])[:, None]
        distance = torch.cdist(_centre(predicted), _centre(boxes)) / sides
        possible = (
            (likeness > _MIN_LIKENESS)
            & (distance < _REACH + _REACH_PER_SECOND * gap)
            & (torch.maximum(sides / other_sides, other_sides / sides) < _MAX_SIZE_RATIO)
        )
        gain = (_LIKENESS_WEIGHT * (likeness - _MIN_LIKENESS) + pairwise_iou(predicted, boxes)) * possible
        return {ids[row]: sightings[column] for row, column in assign(gain.tolist())}

    def _take(self, seen: dict[int, _Sighting], time: float) -> list[FollowedFace]:
        """Remember what was seen. Of too many faces the smallest are forgotten."""
        by_size = sorted(seen, key=lambda i: float(_side(seen[i].box)), reverse=True)
        for dropped in by_size[self._config.max_faces :]:
            del self._tracks[dropped]
        faces = []
        for track_id in sorted(by_size[: self._config.max_faces]):
            sighting, track = seen[track_id], self._tracks[track_id]
            if track.time < time:
                track.update(sighting, time)
            faces.append(FollowedFace(track_id, time, sighting.box, sighting.landmarks, sighting.prob))
        return faces


def _sight(frame: Tensor, found: Detections) -> list[_Sighting]:
    found = _to_host(found)
    if not len(found):
        return []
    first = torch.zeros(len(found), dtype=torch.long)
    crops = align_crops(frame, first, found.landmarks_px, _LOOKS)
    looks = F.normalize(crops.flatten(1).cpu().float() - _MID_GREY, dim=1)
    parts = zip(found.boxes_xyxy_px, found.landmarks_px, found.probs.tolist(), looks)
    return [_Sighting(*part) for part in parts]


def _to_host(found: Detections) -> Detections:
    return Detections(found.boxes_xyxy_px.cpu(), found.landmarks_px.cpu(), found.probs.cpu())


def _centre(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _side(boxes: Tensor) -> Tensor:
    """Geometric mean of the sides, pixels."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).prod(-1).sqrt()
