"""Xception (Chollet: Xception: deep learning with depthwise separable convolutions, CVPR 2017), layer for layer."""

from __future__ import annotations

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput

_ENTRY: Final = ((64, 128), (128, 256), (256, 728))
_MIDDLE_BLOCKS: Final = 8


def _conv_bn(cin: int, cout: int, kernel: int, *, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(cin, cout, kernel, stride, bias=False), nn.BatchNorm2d(cout)]


def _separable_bn(cin: int, cout: int) -> list[nn.Module]:
    """Depthwise, then pointwise, nothing between."""
    depthwise = nn.Conv2d(cin, cin, 3, padding=1, groups=cin, bias=False)
    return [depthwise, nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout)]


class _Residual(nn.Module):
    """A sequence of layers added to its input, which a 1x1 convolution of stride 2 brings to size where they pool."""

    def __init__(self, layers: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x) + self.shortcut(x)
        return y


def _pooling_block(cin: int, between: int, cout: int, *, relu_first: bool = True) -> _Residual:
    layers = [
        *([nn.ReLU()] if relu_first else []),
        *_separable_bn(cin, between),
        nn.ReLU(),
        *_separable_bn(between, cout),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    return _Residual(layers, _conv_bn(cin, cout, 1, stride=2))


def _middle_block() -> _Residual:
    return _Residual([layer for _ in range(3) for layer in (nn.ReLU(), *_separable_bn(728, 728))], [])


class Xception(Encoder):
    """Xception with one logit: 20,809,001 parameters, 299 px input, 2048-dimensional embedding (pooled).

    The ReLUs that open a block aren't in place: the shortcut reads what comes before them. Input in [-1, 1].
    """

    input_size = 299
    embedding_dim = 2048

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv_bn(3, 32, 3, stride=2),
            nn.ReLU(),
            *_conv_bn(32, 64, 3),
            nn.ReLU(),
            *(_pooling_block(cin, cout, cout, relu_first=cin != 64) for cin, cout in _ENTRY),
            *(_middle_block() for _ in range(_MIDDLE_BLOCKS)),
            _pooling_block(728, 728, 1024),
            *_separable_bn(1024, 1536),
            nn.ReLU(),
            *_separable_bn(1536, 2048),
            nn.ReLU(),
        )
        self.head = nn.Linear(2048, 1)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 299, 299) float RGB in [0, 1] -> EncoderOutput."""
        embedding = self.features(crops * 2.0 - 1.0).mean(dim=(2, 3))
        return EncoderOutput(embedding, self.head(F.dropout(embedding, 0.5, self.training)).squeeze(1))
