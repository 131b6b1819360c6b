"""A small CNN on hand-crafted residuals (Mo, Chen, Luo: Fake faces identification via CNN, IH&MMSec 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from vidguard.encoders.base import Encoder, EncoderOutput
from vidguard.encoders.front_ends import HighPass, extract


def _stage(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.LeakyReLU(0.2), nn.MaxPool2d(2)]


class HighPassCnn(Encoder):
    """Fixed high-pass filter, three groups of convolution, leaky ReLU and pooling, two linear layers, one logit.

    34,174,017 parameters, 33,555,456 of them in the first linear layer; 128 px input, 512-dimensional embedding. All
    widths are from memory of the paper. Its input has 256 px, for which that layer would be four times as large; the
    leaky ReLU's slope isn't known to us.
    """

    input_size = 128
    embedding_dim = 512

    def __init__(self) -> None:
        super().__init__()
        self.front = HighPass()
        self.features = nn.Sequential(*_stage(3, 32), *_stage(32, 64), *_stage(64, 128), nn.Flatten())
        self.hidden = nn.Sequential(
            nn.Linear(128 * 16 * 16, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 512), nn.LeakyReLU(0.2)
        )
        self.head = nn.Linear(512, 1)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 128, 128) float RGB in [0, 1] -> EncoderOutput."""
        embedding = self.hidden(self.features(extract(self.front, crops)))
        return EncoderOutput(embedding, self.head(embedding).squeeze(1))
