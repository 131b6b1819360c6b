"""EfficientNet-Lite0 (Tan & Le, ICML 2019; its Lite variants by Google, 2020: ReLU6, no squeeze-excite)."""

from __future__ import annotations

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.encoders.base import EncoderOutput, StagedEncoder
from vidguard.encoders.inverted_residual import ConvBn, inverted_residuals

_STAGES: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class EfficientNetLite0(StagedEncoder):
    """EfficientNet-Lite0 with one logit: 3.37 M parameters, 160 px, 1280-dimensional embedding (pooled)."""

    input_size = 160
    embedding_dim = 1280

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBn(3, 32, 3, stride=2, tensorflow=True)
        self.blocks = inverted_residuals(32, _STAGES, tensorflow=True)
        self.top = ConvBn(320, 1280, 1, tensorflow=True)
        self.head = nn.Linear(1280, 1)

    def lower(self, crops: Tensor, blocks: int) -> Tensor:
        """What the stem and the first so many blocks make of crops (N, 3, 160, 160): features (N, C, h, w)."""
        x = crops * (255.0 / 128.0) - (127.0 / 128.0)  # the pretrained weights' (value - 127) / 128
        features: Tensor = self.blocks[:blocks](self.stem(x))
        return features

    def upper(self, features: Tensor, blocks: int) -> EncoderOutput:
        """The rest of the network, from the features of its first so many blocks on."""
        embedding = self.top(self.blocks[blocks:](features)).mean(dim=(2, 3))
        return EncoderOutput(embedding, self.head(F.dropout(embedding, 0.2, self.training)).squeeze(1))

    def freeze(self, blocks: int) -> None:
        """Let the stem and the first so many blocks learn nothing, nor their batch norms see more. In place."""
        for part in (self.stem, self.blocks[:blocks]):
            part.eval().requires_grad_(False)
