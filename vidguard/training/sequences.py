"""Sequences of one face with known truth in time: pristine tracks, in part or whole forged, then degraded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress
from safetensors.torch import load_file

from vidguard.config import AnalysisConfig
from vidguard.detector import Judge
from vidguard.detector.record import can_be_judged
from vidguard.errors import InputError
from vidguard.faces import measure_detail
from vidguard.forge import COURSES, Face, forge_track, h264, sample_degradation, sample_kind, sample_recipe
from vidguard.scoring.windows import FrameTokens
from vidguard.training import checkpoint
from vidguard.training.listing import Row
from vidguard.training.material import Store
from vidguard.training.samples import place

MIN_FRAMES = 8
LABELLED_CLIPS: Final = "clips that are labelled"
"""Family of the fake videos that others made, and of the genuine ones that they are told from."""
_COURSE_ODDS: Final = (0.4, 0.2, 0.2, 0.2)
"""Of the `COURSES`: a steady forgery is the commonest, and what every encoder is trained on."""
_FORGED_SECONDS: Final = (0.5, 10.0)
_MOST_OF_A_TRACK: Final = 0.6
"""A stretch forged inside a genuine track leaves as much of it genuine as shows what the person looks like."""


@dataclass(frozen=True)
class Sequence:
    """Encoded frames of one face. is_fake: (T,) bool per frame; source: what must not be split.

    located: whether is_fake is known frame by frame. A video that is labelled fake and of which no more is known has
    is_fake True throughout, which then says no more than that some of it is forged.
    """

    tokens: FrameTokens
    logits: NDArray[np.float32]
    """(T, E) encoder logits in the judge's order, before fusion."""
    is_fake: NDArray[np.bool_]
    is_judged: NDArray[np.bool_]
    """(T,) whether an analysis would judge the frame, or find too little of a face in it (`can_be_judged`)."""
    source: str
    dataset: str
    located: bool = True

    @property
    def family(self) -> str:
        """What its figures are grouped by: a labelled crop's data set, or clips and what the forge made of them."""
        if len(self.is_fake) == 1:
            return self.dataset
        return "pristine clips and forgeries" if self.located else LABELLED_CLIPS

    def judged_part(self) -> Sequence:
        """The same without the frames that aren't judged."""
        at, index = self.is_judged, torch.from_numpy(self.is_judged)
        embeddings = {name: values[index] for name, values in self.tokens.embeddings.items()}
        tokens = FrameTokens(embeddings, self.tokens.frame_logits[index], self.tokens.times[index])
        return replace(self, tokens=tokens, logits=self.logits[at], is_fake=self.is_fake[at], is_judged=at[at])


def judged_frames(sequences: Iterable[Sequence]) -> list[Sequence]:
    """What an analysis's networks are fed with: the judged frames of every track, of two at least where it has them."""
    least = AnalysisConfig().min_track_frames
    return [s.judged_part() for s in sequences if s.is_judged.sum() >= min(len(s.is_judged), least)]


def forged_sequences(store: Store, judge: Judge, *, split: str, forgeries: int, seed: int) -> Iterator[Sequence]:
    """Every track of a split once pristine (degraded) for every two forged versions, at least once; encoded.

    Faces are swapped between groups only: a person's own face on it would be a forgery without a trace.
    """
    tracks = store.tracks(split=split, minimum=MIN_FRAMES)
    sources = [_source(store.rows[index[0]]) for index in tracks]
    for number, index in enumerate(progress(tracks, description=f"sequences of {split}")):
        rng = np.random.default_rng([seed, number])
        faces = [store.face(int(i)) for i in index]
        row = store.rows[index[0]]
        times = np.array([store.rows[i].time for i in index])
        strangers = [track for track, source in zip(tracks, sources) if source != sources[number]]
        for version in range(forgeries + max(forgeries // 2, 1)):
            frames, is_fake = [face.image for face in faces], np.zeros(len(index), bool)
            if version < forgeries:
                stretch = _stretch(times, rng)
                other = strangers[int(rng.integers(len(strangers)))] if strangers else ()
                made = _forged(faces[stretch], [store.face(int(i)) for i in other], rng)
                for k, forged in zip(range(len(index))[stretch], made):
                    if forged is not None:
                        frames[k], is_fake[k] = forged, True
            yield encode_track(judge, degraded(frames, rng), times, is_fake, source=row.source, dataset=row.dataset)


def _source(row: Row) -> tuple[str, str]:
    return row.dataset, row.source


def _forged(faces: list[Face], others: list[Face], rng: np.random.Generator) -> list[NDArray[np.uint8] | None]:
    """One forgery of consecutive faces; None where it drops out."""
    kind = sample_kind(rng, mesh=all(face.mesh is not None for face in (*faces, *others))) if others else "self-blend"
    jitter = float(rng.choice([0.0, 0.01, 0.03]))
    course = str(rng.choice(COURSES, p=_COURSE_ODDS))
    made = forge_track(kind, faces, sample_recipe(rng), jitter=jitter, rng=rng, donors=others, course=course)
    return [None if one is None else one[0] for one in made]


def labelled_fakes(store: Store, judge: Judge, *, split: str, seed: int) -> Iterator[Sequence]:
    """Tracks of a split's videos that are labelled fake, degraded as forged ones are. When, isn't known."""
    for number, index in enumerate(progress(labelled_tracks(store, split=split), description="labelled fakes")):
        rng, row = np.random.default_rng([seed, number]), store.rows[index[0]]
        frames, times = [store.face(int(i)).image for i in index], np.array([store.rows[i].time for i in index])
        made, is_fake = degraded(frames, rng), np.ones(len(index), bool)
        yield encode_track(judge, made, times, is_fake, source=row.source, dataset=row.dataset, located=False)


def labelled_clips(store: Store, judge: Judge, *, split: str, seed: int) -> Iterator[Sequence]:
    """Tracks of the fake videos of a split and of its genuine ones, degraded alike; none where nothing is fake."""
    fakes = list(labelled_fakes(store, judge, split=split, seed=seed))
    yield from fakes
    for number, index in enumerate(store.tracks(split=split, minimum=MIN_FRAMES) if fakes else []):
        rng, row = np.random.default_rng([seed + 1, number]), store.rows[index[0]]
        frames, times = [store.face(int(i)).image for i in index], np.array([store.rows[i].time for i in index])
        made, is_fake = degraded(frames, rng), np.zeros(len(index), bool)
        yield encode_track(judge, made, times, is_fake, source=row.source, dataset=row.dataset, located=False)


def labelled_tracks(store: Store, *, split: str) -> list[NDArray[np.int64]]:
    """Tracks of a split's videos that are labelled fake and show one face: of several it isn't known which is."""
    tracks = store.tracks(split=split, minimum=1, is_fake=True)
    people = Counter(_video(store, index) for index in tracks)
    return [index for index in tracks if len(index) >= MIN_FRAMES and people[_video(store, index)] == 1]


def _video(store: Store, track: NDArray[np.int64]) -> tuple[str, str]:
    row = store.rows[track[0]]
    return row.dataset, row.path


def single_frames(store: Store, judge: Judge, *, split: str, datasets: tuple[str, ...]) -> Iterator[Sequence]:
    """Labelled crops as tracks of one frame: what the encoders and their fusion are judged on as well."""
    chosen = store.where(split=split, datasets=datasets)
    for start in progress(range(0, len(chosen), 64), description=f"single frames of {split}"):
        part = chosen[start : start + 64]
        truth = np.array([store.rows[i].is_fake for i in part])
        whole = encode_track(judge, [np.asarray(store.crops[i]) for i in part], np.zeros(len(part)), truth)
        for k, i in enumerate(part):
            one = slice(k, k + 1)
            row = store.rows[i]
            found = (whole.logits[one], truth[one], whole.is_judged[one])
            yield Sequence(whole.tokens[one], *found, row.source, row.dataset)


def kept_sequences(path: Path, made_from: str, make: Callable[[], list[Sequence]]) -> list[Sequence]:
    """Encoded sequences from a file, or made and written there: encoding takes minutes, training on them seconds.

    made_from: digest of all that they follow from; a file with another one is written anew.
    """
    if checkpoint.made_from(path) == made_from:
        return load_sequences(path)
    sequences = make()
    save_sequences(path, sequences, made_from=made_from)
    return sequences


def save_sequences(path: Path, sequences: Iterable[Sequence], *, made_from: str = "") -> None:
    """Write encoded sequences as one safetensors file, whole or not at all."""
    listed = list(sequences)
    about = {"lengths": [len(s.is_fake) for s in listed], "sources": [s.source for s in listed]}
    about["datasets"] = [s.dataset for s in listed]
    about["located"] = [s.located for s in listed]
    tokens = FrameTokens.join([s.tokens for s in listed])
    tensors = {f"embedding.{name}": values.contiguous() for name, values in tokens.embeddings.items()}
    tensors |= {"fused": tokens.frame_logits.contiguous(), "times": tokens.times}
    tensors["logits"] = torch.from_numpy(np.concatenate([s.logits for s in listed]))
    tensors["is_fake"] = torch.from_numpy(np.concatenate([s.is_fake for s in listed]))
    tensors["is_judged"] = torch.from_numpy(np.concatenate([s.is_judged for s in listed]))
    checkpoint.save_tensors(path, tensors, made_from, sequences=json.dumps(about))


def load_sequences(path: Path) -> list[Sequence]:
    """Read what `save_sequences` wrote. Raises InputError for a file from before it told what is judged."""
    about, tensors = json.loads(checkpoint.metadata(path)["sequences"]), load_file(path)
    if "is_judged" not in tensors:
        raise InputError(f"{path} doesn't say which frames can be judged; make it again with vidguard train")
    embeddings = {n.removeprefix("embedding."): t for n, t in tensors.items() if n.startswith("embedding.")}
    tokens = FrameTokens(embeddings, tensors["fused"], tensors["times"])
    logits, is_fake, is_judged = (tensors[name].numpy() for name in ("logits", "is_fake", "is_judged"))
    ends = np.cumsum(about["lengths"]).tolist()
    parts = [slice(end - length, end) for end, length in zip(ends, about["lengths"])]
    named = zip(parts, about["sources"], about["datasets"], about["located"])
    return [
        Sequence(tokens[p], logits[p], is_fake[p], is_judged[p], source, data, known)
        for p, source, data, known in named
    ]


def _stretch(times: NDArray[np.float64], rng: np.random.Generator) -> slice:
    """All of a track half of the time, else the frames of a stretch inside it."""
    whole = float(times[-1] - times[0])
    shortest, longest = _FORGED_SECONDS[0], min(_FORGED_SECONDS[1], _MOST_OF_A_TRACK * whole)
    if rng.random() < 0.5 or longest < shortest:
        return slice(0, len(times))
    seconds = float(rng.uniform(shortest, longest))
    start = float(times[0] + rng.uniform(0.0, whole - seconds))
    first, last = np.searchsorted(times, (start, start + seconds))
    return slice(int(first), max(int(last), int(first) + 1))


def degraded(frames: list[NDArray[np.uint8]], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """A track's crops (224, 224, 3) as footage has them: cropped otherwise, degraded, often coded as a clip."""
    degrade = sample_degradation(rng)
    geometry = int(rng.integers(2**31))
    # the same seed for every frame: a cropper's bias is steady over a track
    made = [degrade(place(frame, np.random.default_rng(geometry))) for frame in frames]
    # encoded again as a clip: what one frame lost, the next ones inherit
    return h264(made, int(rng.integers(20, 38)), repeatable=True) if rng.random() < 0.5 else made


def encode_track(
    judge: Judge,
    frames: list[NDArray[np.uint8]],
    times: NDArray[np.float64],
    is_fake: NDArray[np.bool_],
    *,
    source: str = "",
    dataset: str = "",
    located: bool = True,
) -> Sequence:
    """Encode a track's crops (224, 224, 3) uint8 RGB at times (T,) in seconds, and tell which can be judged."""
    crops = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    features = judge.encode(crops)
    logits = torch.stack([features.logits[n] for n in judge.names], dim=-1).numpy()
    tokens = FrameTokens(features.embeddings, features.fake_logit, torch.from_numpy(times))
    config = AnalysisConfig()
    is_judged = np.array([can_be_judged(detail, config) for detail in measure_detail(crops)])
    return Sequence(tokens, logits, is_fake, is_judged, source, dataset, located)
