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
from vidguard.faces.align import crop_faces
from vidguard.faces.assign import assign
from vidguard.faces.boxes import pairwise_cover, pairwise_iou
from vidguard.faces.detector import Detections, FaceDetector
from vidguard.faces.scene import Change, SceneFinder, structure
from vidguard.faces.turned import TurnFinder, detect_turned, refine_turned
from vidguard.types import FrameBatch, Interval

# A face's looks: this many colour pixels of its aligned crop, less mid-grey, as a unit vector. In 94 real clips two
# looks at one person within two seconds have a median cosine of 0.96 (0.62 at 5 %), two people's 0.22 (0.68 at 95 %).
# More surroundings (1.8) tell people apart a little better where they stay in place, and fail where they walk past each
# other.
LOOKS_CROP: Final = CropGeometry(size=16, margin=1.2)
MID_GREY: Final = 110.0
# Of 1,187 sightings matched by place alone, 0.3 % are less like their track's memory.
_MIN_LIKENESS: Final = 0.4
# In other light a face's looks differ: their cosine falls below 0 where lamps change colour or dim to a quarter. The
# shape of its brightness, `smooth_shape`, hardly does: of 70 real faces in coloured, dim, side and other light 5 % have
# a cosine of less than 0.74 with the look before, of pairs of two people 1 % have more than this one
# (`benchmarks/accuracy/relit_faces.py`; unsmoothed, 0.62 and 0.70).
_SAME_SHAPE: Final = 0.73
_SAME_PLACE_IOU: Final = 0.4
# What a face in other light counts for beside sightings whose looks are like a track's.
_RELIT_LIKENESS: Final = 0.5
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
# What looks very much like it is it even further away: a camera in a hand jerks by more than a face's side in an
# eighth of a second.
_SURE_REACH_PER_SECOND: Final = 10.0
_SURE_LIKENESS: Final = 0.8
_MAX_SIZE_RATIO: Final = 1.8
# P-Net looks again after this long, however few frames that is.
_LOOK_AGAIN_SECONDS: Final = 1.0
# Where frames are further apart than config.max_gap_seconds, a face seen in each of them is still one track.
_GAP_STEPS: Final = 1.5
# Frames whose shapes, width by height, differ by less show the same in another size; others are cut or turned.
_SAME_ASPECT: Final = 0.02
# A missing face is worth a search of every frame only if it was seen this often; most false alarms are seen once.
_WORTH_SEARCHING: Final = 3
_NO_FACES: Final = Detections(torch.zeros(0, 4), torch.zeros(0, 5, 2), torch.zeros(0))
# One lost before that is searched in the frame that misses it, if its last sighting was as clear as this: it may be too
# fast to be found where it was.
_CLEAR_PROB: Final = 0.9


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
    """A face before it is known whose it is: box (4,), landmarks (5, 2), score, looks (D,), shape (E,)."""

    box: Tensor
    landmarks: Tensor
    prob: float
    looks: Tensor
    shape: Tensor


@dataclass
class _Track:
    """What is remembered of a face. prob: its last sighting's; velocity: its box's centre's, (2,) pixels a second."""

    box: Tensor
    looks: Tensor
    shape: Tensor
    prob: float
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
        self.box, self.shape, self.prob, self.time = sighting.box, sighting.shape, sighting.prob, time
        self.num_sightings += 1

    def scale(self, across: float, down: float) -> None:
        """Go on in a picture of another size: as many pixels of it to one of the old, across and down."""
        factors = torch.tensor([across, down])
        self.box, self.velocity = self.box * factors.repeat(2), self.velocity * factors


class FaceFollower:
    """A state machine fed with consecutive frames; how they are cut into batches doesn't change its answer.

    It looks at whole frames at every config.detect_every-th, at least once a second, at scene cuts, after long steps
    and while a followed face is missing, and carries faces by their motion and `FaceDetector.refine` between. A scene
    cut, a dissolve and a change of the picture's shape end all tracks; a change of its size alone scales them, and in
    other light those go on whose face is still there. A gap of more than config.max_gap_seconds, or of one and a half
    steps between the last two frames if that is longer, ends one.
    """

    def __init__(self, detector: FaceDetector, config: FaceConfig) -> None:
        """Start before the first frame, with no faces."""
        self._detector = detector
        self._config = config
        self._scenes = SceneFinder()
        self._turns = TurnFinder(detector)
        self._tracks: dict[int, _Track] = {}
        self._next_id = 0
        self._blends: list[Interval] = []
        self._size: tuple[int, int] | None = None
        self._time = float("-inf")
        self._last: list[FollowedFace] = []
        self._last_frame: Tensor | None = None
        self.most_left_out = 0
        """Most faces of one frame, so far, that were found and not followed, being more than config.max_faces."""
        self._look_time = float("-inf")
        self._frames_since_look = 0

    @property
    def alive_track_ids(self) -> frozenset[int]:
        """Tracks that may still be seen again; others never will."""
        return frozenset(self._tracks)

    @property
    def turn(self) -> int:
        """By how many quarters, counterclockwise, pictures are turned to look at them; boxes and points aren't."""
        return self._turns.turn

    def take_blends(self) -> list[Interval]:
        """Stretches in which one scene dissolves into another, found since the last call; they may overlap.

        None reaches back further than `LONGEST_BLEND` before the last frame.
        """
        taken, self._blends = self._blends, []
        return taken

    def push(self, batch: FrameBatch) -> list[list[FollowedFace]]:
        """Follow faces through the next frames, any number of them.

        Returns one list per frame, in order, sorted by track id, of at most config.max_faces faces. Raises InputError
        when the batch doesn't come after the last one in time.
        """
        if len(batch) and batch.pts_seconds[0] <= self._time:
            raise InputError(f"frames from {batch.pts_seconds[0]} s on can't follow the frame at {self._time} s")
        scenes = self._scenes.push(batch.frames, batch.pts_seconds)
        if len(batch) and self._changes_shape(batch.frames.shape[3], batch.frames.shape[2]):
            scenes[0] = (Change.CUT, scenes[0][1])
        planned = self._plan(batch.pts_seconds, [change is not Change.NONE for change, _ in scenes])
        turn = self.turn
        searched = dict(zip(planned, self._search(batch.frames[planned])))
        followed = []
        for i, (time, (change, blend_start)) in enumerate(zip(batch.pts_seconds, scenes)):
            frame, found = batch.frames[i : i + 1], searched.get(i)
            if found is not None and self.turn != turn:  # found out within this batch
                found = self._search(frame)[0]
            lay = self.turn
            found = self._turns.push(frame, time, found)
            if self.turn != lay:  # what was followed so far was no face
                self._tracks.clear()
            if blend_start is not None:
                self._blends.append(Interval(blend_start, time))
            if change is Change.CUT:
                self._tracks.clear()
            if change is Change.DOUBTFUL:
                self._end_changed([] if found is None else _sight(frame, found), time)
            self._last = self._step(frame, time, found)
            followed.append(self._last)
        if len(batch):
            self._last_frame = batch.frames[-1:].clone()
        return followed

    def _search(self, frames: Tensor) -> list[Detections]:
        return detect_turned(self._detector, frames, self.turn)

    def _end_changed(self, sightings: list[_Sighting], time: float) -> None:
        """End all tracks but those whose face is still there, in another light."""
        visible = {i: track for i, track in self._tracks.items() if track.time == self._time}
        boxes = torch.stack([s.box for s in sightings]) if sightings else torch.zeros(0, 4)
        self._tracks = {
            i: track
            for i, track in visible.items()
            for k, sighting in enumerate(sightings)
            if pairwise_iou(track.predict(time)[None], boxes[k : k + 1]) > _SAME_PLACE_IOU
            and float(track.shape @ sighting.shape) > _SAME_SHAPE
        }

    def _changes_shape(self, width: int, height: int) -> bool:
        """Take the size of the frames that come now; tracks go on in it where it has the shape of the last."""
        before, self._size = self._size, (width, height)
        if before is None or before == self._size:
            return False
        across, down = width / before[0], height / before[1]
        for track in self._tracks.values():
            track.scale(across, down)
        self._look_time = float("-inf")  # a search is due: more, or less, can be seen now
        return abs(across / down - 1) > _SAME_ASPECT

    def hold(self, time: float) -> list[FollowedFace]:
        """The last frame of the last batch is still shown at a later time: its faces are where they were.

        The answer is as for one frame of `push`, without any work where there is a face. Raises InputError as that
        does.
        """
        if time <= self._time:
            raise InputError(f"a frame can't stay until {time} s, before the last one at {self._time} s")
        if not self._last and self._last_frame is not None:
            found = self._turns.push(self._last_frame, time, _NO_FACES)
            if found is not None and len(found):
                self._last = self._step(self._last_frame, time, found)
        for face in self._last:
            track = self._tracks[face.track_id]
            if track.time < time:
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
        seen: dict[int, _Sighting] = {}
        if found is None:
            seen = self._carry(frame, time, visible, seen)
            if self._misses_a_face(visible, seen):
                found = self._search(frame)[0]
        if found is not None:
            seen = self._name(_sight(frame, found), time)
            seen |= self._carry(frame, time, visible, seen)
        self._time = time
        return self._take(seen, time)

    def _misses_a_face(self, visible: set[int], seen: dict[int, _Sighting]) -> bool:
        """Whether a track that isn't seen is worth a search: a well-known one, or a clear one that was just there."""
        lost = {i: track for i, track in self._tracks.items() if i not in seen}
        return any(
            t.num_sightings >= _WORTH_SEARCHING or (i in visible and t.prob >= _CLEAR_PROB) for i, t in lost.items()
        )

    def _name(self, sightings: list[_Sighting], time: float) -> dict[int, _Sighting]:
        """What a search found, by track: those that are followed, and new ones."""
        seen = self._match(self._tracks, sightings, time)
        taken = {id(sighting) for sighting in seen.values()}
        for sighting in sightings:
            if id(sighting) not in taken:
                seen[self._start(sighting, time)] = sighting
        return seen

    def _carry(self, frame: Tensor, time: float, visible: set[int], seen: dict[int, _Sighting]) -> dict[int, _Sighting]:
        """Visible tracks that aren't seen yet, by their motion."""
        unseen = sorted(visible - seen.keys())
        return self._match(unseen, self._refine(frame, time, unseen, seen.values()), time)

    def _start(self, sighting: _Sighting, time: float) -> int:
        track_id, self._next_id = self._next_id, self._next_id + 1
        parts = (sighting.box, sighting.looks, sighting.shape, sighting.prob)
        self._tracks[track_id] = _Track(*parts, time, torch.zeros(2))
        return track_id

    def _refine(self, frame: Tensor, time: float, ids: list[int], others: Iterable[_Sighting]) -> list[_Sighting]:
        """Tracks' faces, looked for where their motion takes them: each face once, and none of the others."""
        if not ids:
            return []
        predicted = torch.stack([self._tracks[i].predict(time) for i in ids])
        refined = _to_host(refine_turned(self._detector, frame, predicted.to(frame.device), self.turn))
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
        sure_reach = _REACH + _SURE_REACH_PER_SECOND * gap.clamp(max=_COAST_SECONDS)
        sure = likeness > _SURE_LIKENESS
        reach = torch.where(sure, sure_reach, _REACH + _REACH_PER_SECOND * gap)
        # one that turned back is nearer to where it was than to where it was going
        last = torch.cdist(_centre(torch.stack([t.box for t in tracks])), _centre(boxes)) / sides
        distance = torch.where(sure, torch.minimum(distance, last), distance)
        overlap = pairwise_iou(predicted, boxes)
        shape = torch.stack([t.shape for t in tracks]) @ torch.stack([s.shape for s in sightings]).T
        relit = (overlap > _SAME_PLACE_IOU) & (shape > _SAME_SHAPE)
        likeness = torch.where(relit, likeness.clamp(min=_RELIT_LIKENESS), likeness)
        possible = (
            (likeness > _MIN_LIKENESS)
            & (distance < reach)
            & (torch.maximum(sides / other_sides, other_sides / sides) < _MAX_SIZE_RATIO)
        )
        gain = (_LIKENESS_WEIGHT * (likeness - _MIN_LIKENESS) + overlap) * possible
        return {ids[row]: sightings[column] for row, column in assign(gain.tolist())}

    def _take(self, seen: dict[int, _Sighting], time: float) -> list[FollowedFace]:
        """Remember what was seen. Of too many faces the smallest are forgotten."""
        by_size = sorted(seen, key=lambda i: float(_side(seen[i].box)), reverse=True)
        left_out = by_size[self._config.max_faces :]
        self.most_left_out = max(self.most_left_out, len(left_out))
        for dropped in left_out:
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
    crops = crop_faces(frame[0], found.landmarks_px, LOOKS_CROP).cpu().float()
    looks = F.normalize(crops.flatten(1) - MID_GREY, dim=1)
    shapes = smooth_shape(crops)
    parts = zip(found.boxes_xyxy_px, found.landmarks_px, found.probs.tolist(), looks, shapes)
    return [_Sighting(*part) for part in parts]


def smooth_shape(crops: Tensor) -> Tensor:
    """What light and a box a little aside change least of crops (N, 3, S, S) of faces: unit vectors (N, S * S)."""
    return structure(F.avg_pool2d(crops.mean(1, keepdim=True), 3, 1, 1))


def _to_host(found: Detections) -> Detections:
    return Detections(found.boxes_xyxy_px.cpu(), found.landmarks_px.cpu(), found.probs.cpu())


def _centre(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _side(boxes: Tensor) -> Tensor:
    """Geometric mean of the sides, pixels."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).prod(-1).sqrt()
