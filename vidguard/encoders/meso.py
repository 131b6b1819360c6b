"""Meso-4 and MesoInception-4 (Afchar, Nozick, Yamagishi, Echizen: MesoNet, WIFS 2018), layer for layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput

_BN_EPS = 1e-3  # Keras' default, which the authors used


class InceptionBlock(nn.Module):
    """Four branches, wider by dilation; ReLU after every convolution; (N, C, H, W) -> (N, a+b+c+d, H, W)."""

    def __init__(self, in_channels: int, a: int, b: int, c: int, d: int) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(nn.Conv2d(in_channels, a, 1), nn.ReLU())
        self.branch2 = self._branch(in_channels, b, dilation=1)
        self.branch3 = self._branch(in_channels, c, dilation=2)
        self.branch4 = self._branch(in_channels, d, dilation=3)

    @staticmethod
    def _branch(in_channels: int, width: int, *, dilation: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(in_channels, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the branches along channels."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


def _convolved(in_channels: int, out_channels: int, kernel: int, pool: int) -> list[nn.Module]:
    """Convolution, ReLU, batch norm, max-pool: in this order, batch norm after the ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.BatchNorm2d(out_channels, eps=_BN_EPS),
        nn.MaxPool2d(pool),
    ]


class _Meso(Encoder):
    """What both networks share: 256 px input, 16-dimensional embedding (the last hidden layer), one logit."""

    input_size = 256
    embedding_dim = 16

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.hidden = nn.Linear(8 * 8 * 16, 16)
        self.head = nn.Linear(16, 1)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 256, 256) float RGB in [0, 1] -> EncoderOutput. The head's positive side is fake."""
        # Keras flattens height, width, channel; keeping that order lets the authors' weights be read unchanged
        flat = self.features(crops).permute(0, 2, 3, 1).flatten(1)
        embedding = F.leaky_relu(self.hidden(F.dropout(flat, 0.5, self.training)), 0.1)
        return EncoderOutput(embedding, self.head(F.dropout(embedding, 0.5, self.training)).squeeze(1))


class Meso4(_Meso):
    """Meso-4: 27,977 parameters."""

    def __init__(self) -> None:
        super().__init__(
            nn.Sequential(
                *_convolved(3, 8, 3, pool=2),
                *_convolved(8, 8, 5, pool=2),
                *_convolved(8, 16, 5, pool=2),
                *_convolved(16, 16, 5, pool=4),
            )
        )


class MesoInception4(_Meso):
    """MesoInception-4: Meso-4 with inception blocks for its first two convolutions; 28,615 parameters."""

    def __init__(self) -> None:
        super().__init__(
            nn.Sequential(
                InceptionBlock(3, 1, 4, 4, 2),
                nn.BatchNorm2d(11, eps=_BN_EPS),
                nn.MaxPool2d(2),
                InceptionBlock(11, 2, 4, 4, 2),
                nn.BatchNorm2d(12, eps=_BN_EPS),
                nn.MaxPool2d(2),
                *_convolved(12, 16, 5, pool=2),
                *_convolved(16, 16, 5, pool=4),
            )
        )
