"""MobileNetV2 transfer: an ImageNet network (Sandler et al., CVPR 2018) under a small classifier for faces."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput
from vidguard.encoders.inverted_residual import ConvBn, inverted_residuals

_STAGES: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
_MEAN: Final = (0.485, 0.456, 0.406)  # of ImageNet, by which the pretrained weights' input is normalised
_DEVIATION: Final = (0.229, 0.224, 0.225)


class MobileNetV2(Encoder):
    """MobileNetV2 (2,223,872 parameters), mean, dense layer with ReLU, batch norm, dropout, one logit.

    2,881,281 parameters, 224 px input, 512-dimensional embedding (the dense layer, normalised). The classifier's order
    is given; its width 512 and the dropout .3 are from memory of such classifiers.
    """

    input_size = 224
    embedding_dim = 512
    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBn(3, 32, 3, stride=2, tensorflow=False)
        self.blocks = inverted_residuals(32, _STAGES, tensorflow=False)
        self.top = ConvBn(320, 1280, 1, tensorflow=False)
        self.hidden = nn.Sequential(nn.Linear(1280, 512), nn.ReLU(), nn.BatchNorm1d(512))
        self.head = nn.Linear(512, 1)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 224, 224) float RGB in [0, 1] -> EncoderOutput."""
        features = self.top(self.blocks(self.stem((crops - self.mean) / self.deviation))).mean(dim=(2, 3))
        embedding = self.hidden(features)
        return EncoderOutput(embedding, self.head(F.dropout(embedding, 0.3, self.training)).squeeze(1))
