"""Encoded sequences: what is written comes back, each with its own frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_store

from vidguard.detector import Judge
from vidguard.scoring.windows import FrameTokens
from vidguard.training import sequences
from vidguard.training.sequences import (
    Sequence,
    forged_sequences,
    kept_sequences,
    load_sequences,
    save_sequences,
)


def sequence(length: int, seed: int) -> Sequence:
    rng = np.random.default_rng(seed)
    embeddings = {"a": torch.from_numpy(rng.normal(size=(length, 3)).astype(np.float32))}
    logits = rng.normal(size=(length, 2)).astype(np.float32)
    times = torch.from_numpy(np.arange(length) / 8.0 + seed)
    tokens = FrameTokens(embeddings, torch.from_numpy(logits.mean(1)), times)
    is_fake, is_judged = rng.random(length) < 0.5, rng.random(length) < 0.8
    return Sequence(tokens, logits, is_fake, is_judged, f"source {seed}", f"set {seed}")


def test_sequences_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [sequence(length, seed) for seed, length in enumerate((4, 1, 9))]
    save_sequences(tmp_path / "s.safetensors", written)
    read = load_sequences(tmp_path / "s.safetensors")
    assert [(s.source, s.dataset) for s in read] == [(s.source, s.dataset) for s in written]
    for back, there in zip(read, written, strict=True):
        np.testing.assert_array_equal(back.is_fake, there.is_fake)
        np.testing.assert_array_equal(back.is_judged, there.is_judged)
        np.testing.assert_array_equal(back.logits, there.logits)
        torch.testing.assert_close(back.tokens.embeddings["a"], there.tokens.embeddings["a"], rtol=0, atol=0)
        torch.testing.assert_close(back.tokens.times, there.tokens.times, rtol=0, atol=0)
        torch.testing.assert_close(back.tokens.frame_logits, there.tokens.frame_logits, rtol=0, atol=0)


def test_kept_sequences_are_made_once_and_again_when_what_they_follow_from_changes(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> list[Sequence]:
        made.append(len(made))
        return [sequence(3, len(made))]

    path = tmp_path / "s.safetensors"
    first, again = kept_sequences(path, "one", make), kept_sequences(path, "one", make)
    assert first[0].source == again[0].source == "source 1"
    assert kept_sequences(path, "other", make)[0].source == "source 2"
    assert made == [0, 1]


@pytest.mark.parametrize("groups", [("a", "b"), ("a", "a"), ("", "")])
def test_a_face_is_swapped_with_another_groups_or_blended_with_itself(
    monkeypatch: pytest.MonkeyPatch, groups: tuple[str, str]
) -> None:
    store = small_store()
    video = [i for i, row in enumerate(store.rows) if row.path == "val.mp4"]
    crops, rows = store.crops.copy(), list(store.rows)
    for track, (group, part) in enumerate(
        zip(groups, (video, [i for i in range(len(rows)) if rows[i].split == "train"]))
    ):
        for k, i in enumerate(part[:10]):
            crops[i] = 10 * track
            rows[i] = replace(rows[video[0]], track=track, time=k / 8, group=group)
    made: list[tuple[str, bool]] = []

    def forge(kind, faces, recipe, *, jitter, rng, donors, course):
        stranger = [donor.image.flat[0] != faces[0].image.flat[0] for donor in donors]
        assert len(set(stranger)) <= 1
        made.append((kind, stranger[0] if stranger else False))
        return [None] * len(faces)

    monkeypatch.setattr(sequences, "forge_track", forge)
    monkeypatch.setattr(sequences, "degraded", lambda frames, rng: frames)
    judge = Judge(("mesoinception4",), {}).eval()
    apart = replace(store, crops=crops, rows=tuple(rows))
    found = list(forged_sequences(apart, judge, split="val", forgeries=8, seed=0))
    assert len(found) == 24
    assert {s.source for s in found} == {group or "val.mp4" for group in groups}
    kinds = {kind for kind, _ in made}
    if groups == ("a", "b"):
        assert all(stranger for _, stranger in made)
        assert kinds > {"self-blend"}
    else:
        assert kinds == {"self-blend"}
