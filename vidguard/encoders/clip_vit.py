"""The image tower of CLIP ViT-B/16 (Radford et al., ICML 2021) as an encoder of face crops."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.encoders.base import EncoderOutput, StagedEncoder

_WIDTH: Final = 768
_HEADS: Final = 12
_PATCH: Final = 16
_READ: Final = (4, 6, 8, 10, 12)
"""Blocks after which the head reads the class token and the mean of the patches' tokens. Forgeries of parts show in
the middle of the network, generated heads at its end (`benchmarks/accuracy/LOG.md`)."""
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)  # of the pictures that CLIP learnt from
_STD: Final = (0.26862954, 0.26130258, 0.27577711)


class Block(nn.Module):
    """A pre-norm transformer block with CLIP's quick GELU, x * sigmoid(1.702 x)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_WIDTH)
        self.qkv = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.out = nn.Linear(_WIDTH, _WIDTH)
        self.norm2 = nn.LayerNorm(_WIDTH)
        self.fc1 = nn.Linear(_WIDTH, 4 * _WIDTH)
        self.fc2 = nn.Linear(4 * _WIDTH, _WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, 768) -> (N, T, 768)."""
        n, t, _ = tokens.shape
        q, k, v = self.qkv(self.norm1(tokens)).view(n, t, 3, _HEADS, _WIDTH // _HEADS).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, _WIDTH)
        tokens = tokens + self.out(attended)
        hidden = self.fc1(self.norm2(tokens))
        after: Tensor = tokens + self.fc2(hidden * torch.sigmoid(1.702 * hidden))
        return after


class ClipVitB16(StagedEncoder):
    """CLIP ViT-B/16 with a linear head on what five of its blocks hold: 85.8 M parameters, 224 px.

    The trunk stays as CLIP's authors trained it; the head is learnt. The embedding is the class token after the last
    block, normalised as CLIP does (768-dimensional).
    """

    mean: Tensor
    std: Tensor
    input_size = 224
    embedding_dim = _WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)
        self.patches = nn.Conv2d(3, _WIDTH, _PATCH, _PATCH, bias=False)
        self.class_token = nn.Parameter(torch.zeros(_WIDTH))
        self.positions = nn.Parameter(torch.zeros((self.input_size // _PATCH) ** 2 + 1, _WIDTH))
        self.norm_in = nn.LayerNorm(_WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(_READ[-1])))
        self.norm_out = nn.LayerNorm(_WIDTH)
        # features differ in scale by two orders of magnitude from block to block
        self.scaled = nn.BatchNorm1d(2 * len(_READ) * _WIDTH, affine=False)
        self.head = nn.Linear(2 * len(_READ) * _WIDTH, 1)

    def lower(self, crops: Tensor, blocks: int) -> Tensor:
        """Features after the first so many blocks, of crops (N, 3, 224, 224): (N, T, 768).

        The 197 tokens, then what the head reads of the blocks so far; after the last block only this is left.
        """
        patches = self.patches((crops - self.mean) / self.std).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(crops), 1, -1), patches], 1) + self.positions
        return self._through(self.norm_in(tokens), 0, blocks)

    def upper(self, features: Tensor, blocks: int) -> EncoderOutput:
        """The rest of the network, from the features after its first so many blocks on."""
        read = self._through(features, blocks, len(self.blocks))
        logit = self.head(self.scaled(read.flatten(1))).squeeze(1)
        return EncoderOutput(self.norm_out(read[:, -2]), logit)

    def freeze(self, blocks: int) -> None:
        """Let the tokens' beginning and the first so many blocks learn nothing. In place."""
        for learnt in (self.class_token, self.positions):
            learnt.requires_grad_(False)
        for part in (self.patches, self.norm_in, self.blocks[:blocks]):
            part.requires_grad_(False)

    def _through(self, features: Tensor, start: int, end: int) -> Tensor:
        if start == len(self.blocks):
            return features
        tokens, read = features[:, : len(self.positions)], [*features[:, len(self.positions) :].unbind(1)]
        for number in range(start + 1, end + 1):
            tokens = self.blocks[number - 1](tokens)
            if number in _READ:
                read += [tokens[:, 0], tokens[:, 1:].mean(1)]
        seen = torch.stack(read, 1) if read else tokens[:, :0]
        return seen if end == len(self.blocks) else torch.cat([tokens, seen], 1)
