"""Training the temporal transformer on encoded sequences."""

from __future__ import annotations

import copy
from collections.abc import Sequence as Seq
from dataclasses import replace
from typing import Final, NamedTuple, TextIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.detector import Judge
from vidguard.errors import InputError
from vidguard.scoring.calibration import fit_logistic
from vidguard.scoring.windows import WINDOW_FRAMES, WindowedJudge
from vidguard.temporal import TemporalTransformer
from vidguard.training.recipe import TemporalRecipe
from vidguard.training.sequences import Sequence

_FORGED_SHARE: Final = 0.2
"""A window counts as forged from this share of forged frames; windows between none and this teach frames only."""
_OTHER_OFFSET: Final = 1.5
_OTHER_SCALE: Final = 0.3
"""Spreads of what is added to a sequence's logits, and of the logarithm of what they are multiplied by: other footage
has other offsets (pristine tracks' mean logits spread by 1.3), so that those of a few sources mustn't be learnt."""
_GAINS_RATE: Final = 10.0
"""Learning rate of the transformer's gains relative to its weights': Adam would take thousands of steps to 1 else."""


def train_temporal(
    judge: Judge,
    sequences: Seq[Sequence],
    validation: Seq[Sequence],
    recipe: TemporalRecipe,
    *,
    seed: int,
    log: TextIO,
) -> list[float]:
    """Train judge.temporal in place on the sequences of more than one frame; encoders and fusion stay as they are.

    Keeps the epoch with the least validation loss. The untrained transformer, which passes the frames' logits through,
    is epoch 0: one that doesn't help is not kept. Gives the validation loss of every epoch from 0. Raises InputError
    where there is no such sequence.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = judge.temporal.train()
    tracks = [in_few_dimensions(s) for s in sequences if len(s.tokens) > 1]
    if not tracks:
        raise InputError("no sequence has more than one frame: there is nothing to learn of time; add videos")
    batch = min(recipe.batch, len(tracks))
    rounds = recipe.epochs * (len(tracks) // batch)
    optimizer, rates = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, rounds, pct_start=0.1)
    fused = [judge.fuse(torch.from_numpy(s.logits)).detach() for s in tracks]
    judged = [in_few_dimensions(s) for s in validation]
    history, kept = [validation_loss(judge, judged)], copy.deepcopy(model.state_dict())
    log.write(f"temporal epoch 0 validation {history[0]:.4f}\n")
    for epoch in range(recipe.epochs):
        order = rng.permutation(len(tracks))
        losses = []
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            other = [_as_other_footage(fused[i], rng) for i in chosen]
            loss = _loss(model, collate([tracks[i] for i in chosen], other, rng))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        loss_now = validation_loss(judge, judged)
        log.write(f"temporal epoch {epoch + 1} loss {np.mean(losses):.4f} validation {loss_now:.4f}\n")
        if loss_now < min(history):
            kept = copy.deepcopy(model.state_dict())
        history.append(loss_now)
    model.load_state_dict(kept)
    model.eval()
    return history


@torch.inference_mode()
def validation_loss(judge: Judge, sequences: Seq[Sequence]) -> float:
    """Cross-entropy per frame of whole tracks, every data set weighing the same.

    After the best scaling and offset, which calibration fits anyway. Tracks of one frame, which the transformer passes
    through, count only where the others aren't both genuine and forged.
    """
    was_training = judge.temporal.training
    judge.temporal.eval()
    logits, truth, weights = [], [], []
    tracks = [s for s in sequences if len(s.tokens) > 1]
    if len({bool(fake) for s in tracks for fake in s.is_fake}) < 2:
        tracks = list(sequences)
    counts = {d: sum(len(s.is_fake) for s in tracks if s.dataset == d) for d in {s.dataset for s in tracks}}
    for sequence in tracks:
        tokens = sequence.tokens
        fused = judge.fuse(torch.from_numpy(sequence.logits))
        windows = WindowedJudge(judge.temporal)
        logits += windows.push(type(tokens)(tokens.embeddings, fused, tokens.times)) + windows.finish()
        truth += sequence.is_fake.tolist()
        weights += [1.0 / counts[sequence.dataset]] * len(sequence.is_fake)
    judge.temporal.train(was_training)
    slope, offset = fit_logistic(np.array(logits)[:, None], truth, weights)
    signed = np.where(truth, 1.0, -1.0) * (slope * np.array(logits) + offset)
    return float(np.average(np.logaddexp(0.0, -signed), weights=weights))


class Batch(NamedTuple):
    """Windows, padded: embeddings name -> (B, T, D); logits, times, valid, is_fake (B, T); located (B,) bool."""

    embeddings: dict[str, Tensor]
    logits: Tensor
    times: Tensor
    valid: Tensor
    is_fake: Tensor
    located: Tensor


def collate(sequences: Seq[Sequence], fused: Seq[Tensor], rng: np.random.Generator) -> Batch:
    """A random window of each sequence; the longest one where a part of it might miss what is forged."""
    parts = []
    for sequence in sequences:
        longest = min(len(sequence.tokens), WINDOW_FRAMES)
        whole = not sequence.located or rng.random() < 0.5
        length = longest if whole else int(rng.integers(1, longest + 1))
        start = int(rng.integers(0, len(sequence.tokens) - length + 1))
        parts.append(slice(start, start + length))
    size = max(p.stop - p.start for p in parts)
    names = sequences[0].tokens.embeddings
    embeddings = {n: _stack([s.tokens.embeddings[n][p] for s, p in zip(sequences, parts)], size) for n in names}
    logits = _stack([f[p] for f, p in zip(fused, parts)], size)
    times = _stack([s.tokens.times[p] for s, p in zip(sequences, parts)], size)
    is_fake = _stack([torch.from_numpy(s.is_fake[p]).float() for s, p in zip(sequences, parts)], size)
    valid = torch.stack([torch.arange(size) < p.stop - p.start for p in parts])
    return Batch(embeddings, logits, times, valid, is_fake, torch.tensor([s.located for s in sequences]))


def _stack(values: Seq[Tensor], size: int) -> Tensor:
    """Pad the first axis to `size`, and a second to the widest one's."""
    width = max((v.shape[1] for v in values if v.ndim > 1), default=0)
    return torch.stack([F.pad(v, ((0, width - v.shape[1]) if v.ndim > 1 else ()) + (0, size - len(v))) for v in values])


def in_few_dimensions(sequence: Sequence) -> Sequence:
    """The same sequence with embeddings turned into the few dimensions that it has frames.

    The transformer reads angles between embeddings alone, which stay as they are: twenty times less to compute.
    """
    tokens = sequence.tokens
    turned = {n: torch.linalg.qr(e.T)[1].T if len(e) < e.shape[1] else e for n, e in tokens.embeddings.items()}
    kept = type(tokens)(turned, tokens.frame_logits, tokens.times)
    return replace(sequence, tokens=kept)


def _as_other_footage(logits: Tensor, rng: np.random.Generator) -> Tensor:
    return logits * float(np.exp(rng.normal(0, _OTHER_SCALE))) + float(rng.normal(0, _OTHER_OFFSET))


def _optimizer(model: TemporalTransformer, recipe: TemporalRecipe) -> tuple[torch.optim.AdamW, list[float]]:
    gains = model.gains()
    weights = [p for p in model.parameters() if all(p is not gain for gain in gains)]
    rates = [recipe.learning_rate, _GAINS_RATE * recipe.learning_rate]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, recipe.learning_rate), rates


def _loss(model: torch.nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of frames whose truth is known, and of windows.

    Where only a video's label is known, the window's logit is what learns from it: a mean over the frames that learns
    how much the suspicious ones weigh (multiple-instance learning with attention, Ilse et al., ICML 2018).
    """
    output = model(batch.embeddings, batch.logits, batch.times, batch.valid)
    weight = batch.valid.float()
    per_frame = F.binary_cross_entropy_with_logits(output.frame_logits, batch.is_fake, reduction="none")
    by_window = (per_frame * weight).sum(1) / weight.sum(1)
    share = (batch.is_fake * weight).sum(1) / weight.sum(1)
    clear = (share == 0) | (share >= _FORGED_SHARE)
    by_clear_window = F.binary_cross_entropy_with_logits(output.window_logits, (share > 0).float(), reduction="none")
    return _mean(by_window, batch.located) + 0.5 * _mean(by_clear_window, clear)


def _mean(losses: Tensor, counted: Tensor) -> Tensor:
    """Mean of those that count; 0 where none does."""
    return (losses * counted).sum() / counted.sum().clamp(min=1)
