"""Inverted residuals (Sandler et al.: MobileNetV2, CVPR 2018) as TensorFlow and as PyTorch compute them."""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvBn(nn.Module):
    """Convolution, batch norm and, unless linear, ReLU6.

    tensorflow: pretrained weights of either library fit its own epsilon and padding alone. TensorFlow's SAME padding
    puts the odd pixel of a stride to the right and bottom.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        *,
        tensorflow: bool,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.same = tensorflow and stride > 1
        padding = 0 if self.same else kernel // 2
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(cout, eps=1e-3 if tensorflow else 1e-5)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, H / stride, W / stride), rounded up."""
        if self.same:
            kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
            needed_h, needed_w = ((-(-n // stride) - 1) * stride + kernel - n for n in x.shape[2:])
            x = F.pad(x, (needed_w // 2, needed_w - needed_w // 2, needed_h // 2, needed_h - needed_h // 2))
        x = self.bn(self.conv(x))
        return x if self.linear else F.relu6(x, inplace=True)  # a fresh tensor would take a sixth of the network's time

    def fold(self) -> None:
        """Work the batch norm into the convolution: a trained network answers the same sooner. In place.

        The state dict is another one after it.
        """
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv_bn_eval(self.conv, self.bn), nn.Identity()


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; added to the input where shapes allow."""

    def __init__(self, cin: int, cout: int, *, expansion: int, stride: int, kernel: int, tensorflow: bool) -> None:
        super().__init__()
        hidden = cin * expansion
        expand = [] if expansion == 1 else [ConvBn(cin, hidden, 1, tensorflow=tensorflow)]
        self.layers = nn.Sequential(
            *expand,
            ConvBn(hidden, hidden, kernel, stride=stride, groups=hidden, tensorflow=tensorflow),
            ConvBn(hidden, cout, 1, linear=True, tensorflow=tensorflow),
        )
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def inverted_residuals(
    cin: int, stages: Iterable[tuple[int, int, int, int, int]], *, tensorflow: bool
) -> nn.Sequential:
    """Blocks of stages in order; each is its expansion, output channels, blocks, stride of the first, and kernel."""
    blocks: list[nn.Module] = []
    for expansion, cout, repeats, first_stride, kernel in stages:
        for stride in (first_stride, *[1] * (repeats - 1)):
            blocks.append(
                InvertedResidual(cin, cout, expansion=expansion, stride=stride, kernel=kernel, tensorflow=tensorflow)
            )
            cin = cout
    return nn.Sequential(*blocks)
