"""Encoded sequences: what is written comes back, each with its own frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vidguard.temporal import FrameTokens
from vidguard.training.sequences import Sequence, kept_sequences, load_sequences, save_sequences


def sequence(length: int, seed: int) -> Sequence:
    rng = np.random.default_rng(seed)
    embeddings = {"a": torch.from_numpy(rng.normal(size=(length, 3)).astype(np.float32))}
    logits = rng.normal(size=(length, 2)).astype(np.float32)
    times = torch.from_numpy(np.arange(length) / 8.0 + seed)
    tokens = FrameTokens(embeddings, torch.from_numpy(logits.mean(1)), times)
    return Sequence(tokens, logits, rng.random(length) < 0.5, f"source {seed}", f"set {seed}")


def test_sequences_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [sequence(length, seed) for seed, length in enumerate((4, 1, 9))]
    save_sequences(tmp_path / "s.safetensors", written)
    read = load_sequences(tmp_path / "s.safetensors")
    assert [(s.source, s.dataset) for s in read] == [(s.source, s.dataset) for s in written]
    for back, there in zip(read, written, strict=True):
        np.testing.assert_array_equal(back.is_fake, there.is_fake)
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
