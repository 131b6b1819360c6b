"""Fixed and constrained filters that forensic networks put before their first learnt layer, to suppress the picture."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SECOND_ORDER: Final = ((-1, 2, -1), (2, -4, 2), (-1, 2, -1))
_KV: Final = ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1))
_HORIZONTAL: Final = ((0, 0, 0), (1, -2, 1), (0, 0, 0))


def extract(front: nn.Module, crops: Tensor) -> Tensor:
    """Run a front end on crops (N, 3, S, S) in [0, 1]; it reads 0..255.

    Always in float32: in bfloat16, which trainings may use, bright values are rounded to whole grey levels, more than
    the residuals that are looked for.
    """
    with torch.autocast(crops.device.type, enabled=False):
        residual: Tensor = front(crops.float() * 255.0)
    return residual


class HighPass(nn.Module):
    """Hand-crafted residual: each colour's second-order differences; nothing to learn. (N, 3, H, W) -> the same shape.

    From memory of Mo, Chen, Luo (Fake faces identification via convolutional neural network, IH&MMSec 2018): that a
    fixed high-pass filter comes first. That it is this one, by 4, and each colour apart, isn't checked.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor(_SECOND_ORDER)[None, None] / 4, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """0..255 -> residuals. Zeros are around it, of which a flat border shows nothing but its corners."""
        return F.conv2d(x, self.kernel.expand(3, 1, 3, 3), padding=1, groups=3)


class Srm(nn.Module):
    """Three kernels of the spatial rich model (Fridrich, Kodovsky 2012), as Zhou et al. (CVPR 2018) use them.

    Each is summed over the colours, which gives one map a kernel, cut off at +-3; nothing to learn.
    (N, 3, H, W) -> the same shape.
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        kernels = [
            F.pad(torch.tensor(_SECOND_ORDER) / 4, (1, 1, 1, 1)),
            torch.tensor(_KV) / 12,
            F.pad(torch.tensor(_HORIZONTAL) / 2, (1, 1, 1, 1)),
        ]
        self.register_buffer("kernels", torch.stack(kernels)[:, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """0..255 -> residuals in [-3, 3]."""
        return F.conv2d(x, self.kernels.expand(3, 3, 5, 5), padding=2).clamp(-3, 3)


class ConstrainedConv(nn.Module):
    """Constrained convolution (Bayar, Stamm, TIFS 2018): learns to predict a pixel by its neighbours, gives the error.

    Three 5x5 filters, no bias; in every 5x5 slice the centre is -1 and the others sum to 1. The authors divide a slice
    by its sum after each step of the optimizer; here `forward` does, so that no training can forget it. The kernels
    that can be reached are the same, and theirs are read unchanged. The way there isn't: gradients pass through the
    division, so that no step is spent on a scale that is divided out again.

    (N, 3, H, W) -> (N, 3, H - 4, W - 4).
    """

    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        # above 0: of mixed signs, a slice's sum would be near 0 and its kernel without bounds
        self.weight = nn.Parameter(torch.empty(3, 3, 5, 5).uniform_(0, 1))
        centre = torch.zeros(5, 5, dtype=torch.bool)
        centre[2, 2] = True
        self.register_buffer("centre", centre, persistent=False)

    def kernel(self) -> Tensor:
        """What is convolved with: (3, 3, 5, 5)."""
        around = self.weight.masked_fill(self.centre, 0.0)
        return (around / around.sum((2, 3), keepdim=True)).masked_fill(self.centre, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Prediction errors, on the scale of the input."""
        return F.conv2d(x, self.kernel())
