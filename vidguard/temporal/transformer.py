"""The temporal transformer: reads one face's frames in order and judges each frame and the window as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

_EMBEDDING_DROPOUT: Final = 0.5


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

    embedding_dims: encoder name -> embedding width. The heads start at zero, so an untrained model passes the frame
    logits through: what the transformer adds is a learned correction.
    """

    def __init__(
        self,
        embedding_dims: Mapping[str, int],
        *,
        width: int = 96,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.names = sorted(embedding_dims)
        self.norms = nn.ModuleDict({n: nn.LayerNorm(embedding_dims[n], elementwise_affine=False) for n in self.names})
        self.project = nn.ModuleDict({n: nn.Linear(embedding_dims[n], width) for n in self.names})
        self.read_logits = nn.Linear(2, width)
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
        weight = valid.float()
        clean = frame_logits.masked_fill(~valid, 0.0)
        mean = (clean.sum(1) / weight.sum(1)).unsqueeze(1)
        x = self.read_logits(torch.stack([clean, (clean - mean) * weight], dim=-1) / 4.0)
        x = x + self.time((times - times[:, :1]).masked_fill(~valid, 0.0).float())
        for name in self.names:
            clear = self.norms[name](embeddings[name].masked_fill(~valid[..., None], 0.0))
            # hundreds of dimensions learnt from few people: without dropout the transformer learns the people
            x = x + self.project[name](F.dropout(clear, _EMBEDDING_DROPOUT, self.training))
        for block in self.blocks:
            x = block(x, valid)
        x = self.norm(x)
        attention = self.pool(x).squeeze(-1).masked_fill(~valid, float("-inf")).softmax(dim=1)
        pooled = reduce(x * attention[..., None], "b t d -> b d", "sum")
        frames = (clean + self.frame_head(x).squeeze(-1)).masked_fill(~valid, 0.0)
        return TemporalOutput(frames, mean.squeeze(1) + self.window_head(pooled).squeeze(-1))
