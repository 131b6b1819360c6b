"""EfficientNet-Lite0 (Tan & Le, ICML 2019; its Lite variants by Google, 2020: ReLU6, no squeeze-excite)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput

_BN_EPS = 1e-3
# expansion, output channels, blocks, stride of the first, kernel
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class _ConvBn(nn.Module):
    """Convolution with TensorFlow's SAME padding, batch norm and, unless linear, ReLU6."""

    def __init__(
        self, cin: int, cout: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=_BN_EPS)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if stride > 1:
            # SAME padding of the pretrained weights: the odd pixel goes to the right and bottom
            needed_h, needed_w = ((-(-n // stride) - 1) * stride + kernel - n for n in x.shape[2:])
            x = F.pad(x, (needed_w // 2, needed_w - needed_w // 2, needed_h // 2, needed_h - needed_h // 2))
        x = self.bn(self.conv(x))
        return x if self.linear else F.relu6(x)


class _InvertedResidual(nn.Module):
    def __init__(self, cin: int, cout: int, *, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = cin * expansion
        expand = [] if expansion == 1 else [_ConvBn(cin, hidden, 1)]
        self.layers = nn.Sequential(
            *expand,
            _ConvBn(hidden, hidden, kernel, stride=stride, groups=hidden),
            _ConvBn(hidden, cout, 1, linear=True),
        )
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class EfficientNetLite0(Encoder):
    """EfficientNet-Lite0 with one logit: 3.37 M parameters, 160 px, 1280-dimensional embedding (pooled)."""

    input_size = 160
    embedding_dim = 1280

    def __init__(self) -> None:
        super().__init__()
        self.stem = _ConvBn(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        cin = 32
        for expansion, cout, repeats, stride, kernel in _STAGES:
            for index in range(repeats):
                first = index == 0
                blocks.append(
                    _InvertedResidual(cin, cout, expansion=expansion, stride=stride if first else 1, kernel=kernel)
                )
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.top = _ConvBn(cin, 1280, 1)
        self.head = nn.Linear(1280, 1)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 160, 160) float RGB in [0, 1] -> EncoderOutput."""
        x = crops * (255.0 / 128.0) - (127.0 / 128.0)  # the pretrained weights' (value - 127) / 128
        embedding = self.top(self.blocks(self.stem(x))).mean(dim=(2, 3))
        return EncoderOutput(embedding, self.head(F.dropout(embedding, 0.2, self.training)).squeeze(1))
