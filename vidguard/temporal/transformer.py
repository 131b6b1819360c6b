"""The temporal transformer: reads one face's frames in order and judges each frame and the window as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn


@dataclass(frozen=True)
class TemporalOutput:
    """frame_logits: (B, T) and window_logits: (B,), positive means fake; frame logits at masked places are 0."""

    frame_logits: Tensor
    window_logits: Tensor


class TimeEncoding(nn.Module):
    """Seconds -> features: sines and cosines at periods from 0.1 to 25.6 s, so any frame rate fits."""

    periods: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("periods", 0.1 * 2.0 ** torch.arange(9), persistent=False)
        self.project = nn.Linear(2 * 9, width)

    def forward(self, seconds: Tensor) -> Tensor:
        """(B, T) float seconds from the window's first frame -> (B, T, width)."""
        phase = seconds[..., None] * (2 * math.pi / self.periods)
        encoded: Tensor = self.project(torch.cat([phase.sin(), phase.cos()], dim=-1))
        return encoded


class Block(nn.Module):
    """Pre-norm transformer block on torch's fused attention; padded places are never attended to."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, width), valid (B, T) bool -> (B, T, width)."""
        q, k, v = rearrange(self.qkv(self.norm1(x)), "b t (three h d) -> three b h t d", three=3, h=self.heads)
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=valid[:, None, None, :], dropout_p=rate)
        x = x + F.dropout(self.out(rearrange(mixed, "b h t d -> b t (h d)")), rate)
        return x + F.dropout(self.mlp(self.norm2(x)), rate)


class TemporalTransformer(nn.Module):
    """Corrects a frame-level logit by what the neighbouring frames of the same face show.

    Reads no embedding itself, only how far each encoder's embedding moves from frame to frame, and the logits with
    their changes: from whole embeddings of the few hundred people that temporal material has, it learns the people.
    The heads start at zero, so an untrained model passes the frame logits through: it adds a learned correction.
    """

    def __init__(
        self, encoders: Iterable[str], *, width: int = 64, heads: int = 4, layers: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.read = nn.Linear(3 + len(tuple(encoders)), width)
        self.time = TimeEncoding(width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, 1)
        self.frame_head, self.window_head = nn.Linear(width, 1), nn.Linear(width, 1)
        for head in (self.frame_head, self.window_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(
        self, embeddings: Mapping[str, Tensor], frame_logits: Tensor, times: Tensor, valid: Tensor
    ) -> TemporalOutput:
        """Judge windows of frames.

        embeddings: name -> (B, T, D) float; frame_logits: (B, T) from the encoders; times: (B, T) seconds, any origin;
        valid: (B, T) bool, False marks padding; every window has at least its first frame. T >= 1. What stands at
        padded places changes nothing.
        """
        clean = frame_logits.masked_fill(~valid, 0.0)
        mean = clean.sum(1) / valid.sum(1)
        x = self.read(frame_features(embeddings, frame_logits, valid))
        x = x + self.time((times - times[:, :1]).masked_fill(~valid, 0.0).float())
        for block in self.blocks:
            x = block(x, valid)
        x = self.norm(x)
        attention = self.pool(x).squeeze(-1).masked_fill(~valid, float("-inf")).softmax(dim=1)
        pooled = reduce(x * attention[..., None], "b t d -> b d", "sum")
        frames = (clean + self.frame_head(x).squeeze(-1)).masked_fill(~valid, 0.0)
        return TemporalOutput(frames, mean + self.window_head(pooled).squeeze(-1))


def frame_features(embeddings: Mapping[str, Tensor], frame_logits: Tensor, valid: Tensor) -> Tensor:
    """What is known of each frame, (B, T, 3 + encoders); 0 where padded.

    The logit, its distance from the window's mean, its step from the frame before (all a quarter of their size, to lie
    about within 1), and by encoder, in order of names, how far the embedding moved.
    """
    clean = frame_logits.masked_fill(~valid, 0.0)
    mean = (clean.sum(1) / valid.sum(1)).unsqueeze(1)
    moves = [_moves(embeddings[name].masked_fill(~valid[..., None], 0.0)) for name in sorted(embeddings)]
    read = torch.stack([clean / 4.0, (clean - mean) / 4.0, _steps(clean) / 4.0, *moves], dim=-1)
    return read * valid[..., None]


def _steps(values: Tensor) -> Tensor:
    """(B, T) -> each frame's difference from the one before, 0 for the first."""
    return F.pad(values.diff(dim=1), (1, 0))


def _moves(embedding: Tensor) -> Tensor:
    """(B, T, D) -> (B, T): 1 - cosine to the frame before, 0 for the first."""
    return F.pad(1.0 - F.cosine_similarity(embedding[:, 1:], embedding[:, :-1], dim=-1), (1, 0))
