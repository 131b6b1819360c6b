"""Training the temporal transformer on encoded sequences."""

from __future__ import annotations

import copy
from collections.abc import Sequence as Seq
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.detector import Judge
from vidguard.errors import InputError
from vidguard.temporal import WINDOW_FRAMES
from vidguard.training.recipe import TemporalRecipe
from vidguard.training.sequences import Sequence

_FORGED_SHARE = 0.2
"""A window counts as forged from this share of forged frames; windows between none and this teach frames only."""


def train_temporal(
    judge: Judge,
    sequences: Seq[Sequence],
    validation: Seq[Sequence],
    recipe: TemporalRecipe,
    *,
    seed: int,
    log: TextIO,
) -> list[float]:
    """Train judge.temporal in place; encoders and fusion stay as they are.

    Keeps the epoch with the least validation loss. The untrained transformer, which passes the frames' logits through,
    is epoch 0: one that doesn't help is not kept. Gives the validation loss of every epoch from 0.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = judge.temporal.train()
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    if len(sequences) < recipe.batch:
        raise InputError(f"{len(sequences)} sequences don't fill a batch of {recipe.batch}; add material")
    rounds = recipe.epochs * (len(sequences) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, rounds, pct_start=0.1)
    fused = [judge.fuse(torch.from_numpy(s.logits)).detach() for s in sequences]
    history, kept = [validation_loss(judge, validation)], copy.deepcopy(model.state_dict())
    log.write(f"temporal epoch 0 validation {history[0]:.4f}\n")
    for epoch in range(recipe.epochs):
        order = rng.permutation(len(sequences))
        losses = []
        for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
            chosen = order[start : start + recipe.batch]
            batch = collate([sequences[i] for i in chosen], [fused[i] for i in chosen], rng)
            loss = _loss(model, *batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        loss_now = validation_loss(judge, validation)
        log.write(f"temporal epoch {epoch + 1} loss {np.mean(losses):.4f} validation {loss_now:.4f}\n")
        if loss_now < min(history):
            kept = copy.deepcopy(model.state_dict())
        history.append(loss_now)
    model.load_state_dict(kept)
    model.eval()
    return history


@torch.inference_mode()
def validation_loss(judge: Judge, sequences: Seq[Sequence]) -> float:
    """Cross-entropy per frame, every data set weighing the same."""
    model = judge.temporal.eval()
    losses: dict[str, list[float]] = {}
    for start in range(0, len(sequences), 64):
        part = sequences[start : start + 64]
        fused = [judge.fuse(torch.from_numpy(s.logits)) for s in part]
        embeddings, logits, times, valid, is_fake = collate(part, fused, np.random.default_rng(start))
        frames = model(embeddings, logits, times, valid).frame_logits
        each = F.binary_cross_entropy_with_logits(frames, is_fake, reduction="none")
        for sequence, row, real in zip(part, each, valid):
            losses.setdefault(sequence.dataset, []).append(float(row[real].mean()))
    judge.temporal.train()
    return float(np.mean([np.mean(values) for values in losses.values()]))


def collate(
    sequences: Seq[Sequence], fused: Seq[Tensor], rng: np.random.Generator
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor]:
    """A random window of each sequence, padded: embeddings, then logits, times, valid, is_fake as (B, T)."""
    parts = []
    for sequence in sequences:
        longest = min(len(sequence.tokens), WINDOW_FRAMES)
        length = longest if rng.random() < 0.5 else int(rng.integers(1, longest + 1))
        start = int(rng.integers(0, len(sequence.tokens) - length + 1))
        parts.append(slice(start, start + length))
    size = max(p.stop - p.start for p in parts)
    names = sequences[0].tokens.embeddings
    embeddings = {
        n: torch.stack([_pad(s.tokens.embeddings[n][p], size) for s, p in zip(sequences, parts)]) for n in names
    }
    logits = torch.stack([_pad(f[p], size) for f, p in zip(fused, parts)])
    times = torch.stack([_pad(s.tokens.times[p], size) for s, p in zip(sequences, parts)])
    is_fake = torch.stack([_pad(torch.from_numpy(s.is_fake[p]).float(), size) for s, p in zip(sequences, parts)])
    valid = torch.stack([torch.arange(size) < p.stop - p.start for p in parts])
    return embeddings, logits, times, valid, is_fake


def _pad(values: Tensor, size: int) -> Tensor:
    missing = size - len(values)
    return F.pad(values, (0, 0) * (values.ndim - 1) + (0, missing)) if missing else values


def _loss(
    model: torch.nn.Module, embeddings: dict[str, Tensor], logits: Tensor, times: Tensor, valid: Tensor, is_fake: Tensor
) -> Tensor:
    output = model(embeddings, logits, times, valid)
    weight = valid.float()
    per_frame = F.binary_cross_entropy_with_logits(output.frame_logits, is_fake, reduction="none")
    frames = ((per_frame * weight).sum(1) / weight.sum(1)).mean()
    share = (is_fake * weight).sum(1) / weight.sum(1)
    clear = (share == 0) | (share >= _FORGED_SHARE)
    if not clear.any():
        return frames
    windows = F.binary_cross_entropy_with_logits(output.window_logits[clear], (share[clear] > 0).float())
    return frames + 0.5 * windows
