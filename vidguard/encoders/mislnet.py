"""MISLnet (Bayar, Stamm: Constrained convolutional neural networks, IEEE TIFS 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput
from vidguard.encoders.front_ends import ConstrainedConv, extract


def _stage(
    in_channels: int, out_channels: int, kernel: int, pool: nn.Module, *, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding),
        nn.BatchNorm2d(out_channels, eps=1e-3),
        nn.Tanh(),
        pool,
    )


class MislNet(Encoder):
    """MISLnet with one logit: 1,241,786 parameters, 256 px input, 200-dimensional embedding (its last hidden layer).

    The first convolution behind the constrained one isn't padded and the 5x5 ones are, so that 6x6x128 values are left:
    what the authors' own later code does. That the last pooling takes the mean is from memory of the paper.
    """

    input_size = 256
    embedding_dim = 200

    def __init__(self) -> None:
        super().__init__()
        self.front = ConstrainedConv()
        self.features = nn.Sequential(
            _stage(3, 96, 7, nn.MaxPool2d(3, 2), stride=2),
            _stage(96, 64, 5, nn.MaxPool2d(3, 2), padding=2),
            _stage(64, 64, 5, nn.MaxPool2d(3, 2), padding=2),
            _stage(64, 128, 1, nn.AvgPool2d(3, 2)),
        )
        self.fc1 = nn.Linear(128 * 6 * 6, 200)
        self.fc2 = nn.Linear(200, 200)
        self.head = nn.Linear(200, 1)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 256, 256) float RGB in [0, 1] -> EncoderOutput."""
        features = self.features(extract(self.front, crops)).flatten(1)
        embedding = torch.tanh(self.fc2(torch.tanh(self.fc1(features))))
        return EncoderOutput(embedding, self.head(embedding).squeeze(1))
