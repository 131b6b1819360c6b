"""What every encoder has in common: crops in, an embedding and a logit of being fake out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.config import CropGeometry
from vidguard.errors import InputError

CROP: Final = CropGeometry(size=224, margin=1.0, down=17.2 / 112)
"""The aligned crops that the pipeline hands to every encoder: brow to chin, as far as forgeries reach. Eyes are 70 px
apart, between the tight crops of DFDC (115 px) and a x1.3 box (54 px)."""


@dataclass(frozen=True)
class EncoderOutput:
    """embedding: (N, D) float; fake_logit: (N,) float, positive means fake (before calibration)."""

    embedding: Tensor
    fake_logit: Tensor


class Encoder(nn.Module, ABC):
    """One face crop at a time, no time: `forward` takes (N, 3, S, S) float RGB in [0, 1], S = input_size.

    N may be 0. Normalisation beyond [0, 1] is the encoder's own business.
    """

    input_size: int
    embedding_dim: int

    @abstractmethod
    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, S, S) float RGB in [0, 1] -> embeddings (N, embedding_dim) and logits (N,)."""


class StagedEncoder(Encoder):
    """An encoder of blocks in a row, of which the first can be frozen and run once where only the rest learns."""

    @abstractmethod
    def lower(self, crops: Tensor, blocks: int) -> Tensor:
        """What everything up to the first so many blocks makes of crops (N, 3, S, S): features (N, ...)."""

    @abstractmethod
    def upper(self, features: Tensor, blocks: int) -> EncoderOutput:
        """The rest of the network, from the features after its first so many blocks on."""

    @abstractmethod
    def freeze(self, blocks: int) -> None:
        """Let everything up to the first so many blocks learn nothing, nor batch norms there see more. In place."""

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, S, S) float RGB in [0, 1] -> EncoderOutput."""
        return self.upper(self.lower(crops, 0), 0)


def prepare_crops(crops: Tensor, size: int) -> Tensor:
    """Resize face crops for an encoder.

    crops: (N, 3, H, W) uint8 RGB of any size from 8 px; gives (N, 3, size, size) float32 in [0, 1] on the same device.
    Raises InputError on another shape or type.
    """
    import torch

    if crops.ndim != 4 or crops.shape[1] != 3 or crops.dtype != torch.uint8:
        raise InputError(f"crops must be (N, 3, H, W) uint8 RGB, got {tuple(crops.shape)} {crops.dtype}")
    if min(crops.shape[2:]) < 8:
        raise InputError(f"crops of {crops.shape[3]}x{crops.shape[2]} px are too small to judge; pass at least 8x8")
    scaled = crops.float().div_(255.0)
    if len(crops) == 0:
        return scaled.new_zeros((0, 3, size, size))
    if tuple(crops.shape[2:]) == (size, size):
        return scaled
    # antialias: without it a strong reduction aliases skin texture into the very residuals that AMTEN reads
    return F.interpolate(scaled, size=(size, size), mode="bilinear", align_corners=False, antialias=True).clamp_(0, 1)
