"""The temporal transformer: reads one face's frames in order and judges each frame and the window as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn

_LIKE = 2.5
"""How strongly frames alike attend to each other before training; about 1 after it."""


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


@dataclass(frozen=True)
class Company:
    """What frames are to each other. alike: (B, E, T, T) in [-1, 1]; apart: (B, T, T) seconds; valid: (B, T)."""

    alike: Tensor
    apart: Tensor
    valid: Tensor

    @staticmethod
    def of(embeddings: Mapping[str, Tensor], times: Tensor, valid: Tensor) -> Company:
        """Compare the frames of windows; encoders in order of their names."""
        alike = torch.stack([_likeness(embeddings[name], valid) for name in sorted(embeddings)], dim=1)
        since = (times - times[:, :1]).masked_fill(~valid, 0.0).float()
        return Company(alike, (since[:, :, None] - since[:, None]).abs(), valid)


class Ties(nn.Module):
    """Attention's bias between frames: more where they are alike, less where they are far apart."""

    def __init__(self, heads: int, encoders: int) -> None:
        super().__init__()
        self.like = nn.Parameter(torch.full((heads, encoders), _LIKE / encoders))
        self.pace = nn.Parameter(torch.linspace(0.5, 1.0, heads))

    def forward(self, company: Company) -> Tensor:
        """(B, heads, T, T), -inf where a padded frame would be attended to."""
        bias = einsum(self.like, company.alike, "h e, b e i j -> b h i j")
        bias = bias - self.pace[:, None, None] * company.apart[:, None]
        return bias.masked_fill(~company.valid[:, None, None], float("-inf"))


class Block(nn.Module):
    """Pre-norm transformer block on torch's fused attention."""

    def __init__(self, width: int, heads: int, encoders: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ties = Ties(heads, encoders)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, company: Company) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        q, k, v = rearrange(self.qkv(self.norm1(x)), "b t (three h d) -> three b h t d", three=3, h=self.heads)
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=self.ties(company), dropout_p=rate)
        x = x + F.dropout(self.out(rearrange(mixed, "b h t d -> b t (h d)")), rate)
        return x + F.dropout(self.mlp(self.norm2(x)), rate)


class TemporalTransformer(nn.Module):
    """Corrects a frame-level logit by the frames of the same face that are like it, and by those that aren't.

    Embeddings say only which frames are alike: how near two lie to each other once the window's mean, which is mostly
    the person, is taken off. What they themselves say is not read: from the few hundred people that temporal material
    has, a transformer learns the people. A frame's logit leans to the mean over the frames alike, and away from the
    window's: where a forged stretch stands in a genuine clip, the same person's other frames are the reference.
    A window of one frame passes its logit through, and so does an untrained model.
    """

    def __init__(
        self, encoders: Iterable[str], *, width: int = 32, heads: int = 4, layers: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        count = len(tuple(encoders))
        self.ties = Ties(1, count)
        self.lean, self.contrast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.read = nn.Linear(4 + count, width)
        self.time = TimeEncoding(width)
        self.blocks = nn.ModuleList(Block(width, heads, count, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.frame_head = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.frame_head.weight)
        self.emphasis = nn.Parameter(torch.zeros(1))

    def gains(self) -> list[nn.Parameter]:
        """The few numbers that say how much likeness, time and contrast count: no weights, they have further to go."""
        ties = [module for module in self.modules() if isinstance(module, Ties)]
        return [self.lean, self.contrast, self.emphasis, *(p for tie in ties for p in tie.parameters())]

    def forward(
        self, embeddings: Mapping[str, Tensor], frame_logits: Tensor, times: Tensor, valid: Tensor
    ) -> TemporalOutput:
        """Judge windows of frames.

        embeddings: name -> (B, T, D) float; frame_logits: (B, T) from the encoders; times: (B, T) seconds, any origin;
        valid: (B, T) bool, False marks padding; every window has at least its first frame. T >= 1. What stands at
        padded places changes nothing.
        """
        clean = frame_logits.masked_fill(~valid, 0.0)
        mean = _mean(clean, valid)
        company = Company.of(embeddings, times, valid)
        peers = (self.ties(company)[:, 0].softmax(dim=-1) @ clean[..., None]).squeeze(-1)
        among = torch.stack([clean - peers, peers - mean], dim=-1).masked_fill(~valid[..., None], 0.0) / 2.0
        x = self.read(torch.cat([frame_features(embeddings, clean, valid), among], dim=-1))
        x = x + self.time((times - times[:, :1]).masked_fill(~valid, 0.0).float())
        for block in self.blocks:
            x = block(x, company)
        told = self.frame_head(self.norm(x)).squeeze(-1).masked_fill(~valid, 0.0)
        # its mean over the window is an offset, and the one learnt from one kind of footage is wrong for the next
        frames = clean + self.lean * (peers - clean) + self.contrast * (peers - mean) + told - _mean(told, valid)
        frames = frames.masked_fill(~valid, 0.0)
        weight = (self.emphasis * frames).masked_fill(~valid, float("-inf")).softmax(dim=1)
        return TemporalOutput(frames, (weight * frames).sum(1))


def frame_features(embeddings: Mapping[str, Tensor], frame_logits: Tensor, valid: Tensor) -> Tensor:
    """How each frame differs from others, (B, T, 2 + encoders); 0 where padded.

    The logit's distance from the window's mean and its step from the frame before (half their size, to lie about within
    1), and by encoder, in order of names, how far the embedding moved.
    """
    clean = frame_logits.masked_fill(~valid, 0.0)
    moves = [_moves(embeddings[name].masked_fill(~valid[..., None], 0.0)) for name in sorted(embeddings)]
    read = torch.stack([(clean - _mean(clean, valid)) / 2.0, _steps(clean) / 2.0, *moves], dim=-1)
    return read * valid[..., None]


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """(B, T) with 0 where padded -> (B, 1)."""
    return values.sum(1, keepdim=True) / valid.sum(1, keepdim=True)


def _likeness(embedding: Tensor, valid: Tensor) -> Tensor:
    """(B, T, D) -> (B, T, T): cosines between frames with the window's mean taken off; 0 for a lone frame."""
    real = valid[..., None]
    clean = embedding.masked_fill(~real, 0.0)
    apart = (clean - clean.sum(1, keepdim=True) / real.sum(1, keepdim=True)).masked_fill(~real, 0.0)
    unit = F.normalize(apart, dim=-1, eps=1e-6)
    return unit @ unit.transpose(1, 2)


def _steps(values: Tensor) -> Tensor:
    """(B, T) -> each frame's difference from the one before, 0 for the first."""
    return F.pad(values.diff(dim=1), (1, 0))


def _moves(embedding: Tensor) -> Tensor:
    """(B, T, D) -> (B, T): 1 - cosine to the frame before, 0 for the first."""
    return F.pad(1.0 - F.cosine_similarity(embedding[:, 1:], embedding[:, :-1], dim=-1), (1, 0))
