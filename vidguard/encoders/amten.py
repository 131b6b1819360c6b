"""AMTENnet (Guo, Yang, Chen, Sun: Fake face detection via adaptive manipulation traces extraction, CVIU 2021).

Its ablations are here too: the same trunk behind other front ends. All other fronts than AMTEN give 3 maps, so that
the trunk's first layer has 3 * 24 * 9 = 648 weights instead of 12 * 24 * 9 = 2,592; everything behind it is alike.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput
from vidguard.encoders.front_ends import ConstrainedConv, HighPass, Srm, extract


class Amten(nn.Module):
    """Adaptive manipulation traces: a learned predictor's residual, reused. No activation inside; 909 parameters.

    (N, 3, H, W) raw RGB 0..255 -> (N, 12, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 3, padding=1, bias=False)  # the authors freeze this bias at 0
        self.conv2_1 = nn.Conv2d(3, 3, 3, padding=1)
        self.conv2_2 = nn.Conv2d(3, 3, 3, padding=1)
        self.conv3_1 = nn.Conv2d(6, 6, 3, padding=1)
        self.conv3_2 = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Extract the traces."""
        trace = self.conv1(x) - x
        reused = torch.cat([self.conv2_2(self.conv2_1(trace)), trace], dim=1)
        return torch.cat([self.conv3_2(self.conv3_1(reused)), reused], dim=1)


def _stage(in_channels: int, out_channels: int, kernel: int, *, padding: int = 0, norm: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding),
        nn.MaxPool2d(3, 2, ceil_mode=True),  # Caffe rounds pooled sizes up
        nn.ReLU(),
    ]
    if norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


class AmtenNet(Encoder):
    """AMTENnet, binary: 2,023,047 parameters, 128 px input, 300-dimensional embedding (its second linear layer)."""

    input_size = 128
    embedding_dim = 300
    front_end: ClassVar[type[nn.Module]] = Amten
    front_channels: ClassVar[int] = 12

    def __init__(self) -> None:
        super().__init__()
        self.front = self.front_end()
        self.trunk = nn.Sequential(
            _stage(self.front_channels, 24, 3, padding=1),
            _stage(24, 48, 3),
            _stage(48, 64, 3),
            _stage(64, 128, 1, norm=False),
        )
        self.fc1 = nn.Linear(128 * 7 * 7, 300)
        self.fc2 = nn.Linear(300, 300)
        self.head = nn.Linear(300, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 128, 128) float RGB in [0, 1] -> EncoderOutput."""
        embedding = self.fc2(self.fc1(self.trunk(extract(self.front, crops)).flatten(1)))
        logits = self.head(embedding)
        return EncoderOutput(embedding, logits[:, 0] - logits[:, 1])  # class 0 is fake, class 1 real


class AmtenNetNone(AmtenNet):
    """The trunk on raw pixels, the authors' "model base": 2,020,194 parameters."""

    front_end = nn.Identity
    front_channels = 3


class AmtenNetSrm(AmtenNet):
    """The trunk on SRM residuals: 2,020,194 parameters, none of them in front."""

    front_end = Srm
    front_channels = 3


class AmtenNetConstrained(AmtenNet):
    """The trunk on a constrained convolution: 2,020,419 parameters, 225 of them in front.

    It isn't padded, as in MISLnet: the trunk gets 124 px, and by its rounding up its last map is 7x7 all the same.
    """

    front_end = ConstrainedConv
    front_channels = 3


class AmtenNetHighPass(AmtenNet):
    """The trunk on hand-crafted residuals: 2,020,194 parameters, none of them in front."""

    front_end = HighPass
    front_channels = 3
