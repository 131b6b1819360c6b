"""The three networks of MTCNN (Zhang et al., IEEE SPL 2016) and the weights that facenet-pytorch's wheel carries.

Layer names follow facenet-pytorch's state dictionaries. Only its weight files are used: importing the package would
import torchvision, which vidguard does without.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from vidguard.errors import WeightsError

_SHA256: Final = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}


class PNet(nn.Module):
    """Proposal network: fully convolutional, cell 12 px, stride 2.

    Input (N, 3, H, W) float32 RGB, scaled to (x - 127.5) / 128, H and W at least 12. Returns face probability (N, h, w)
    and box regression (N, 4, h, w), one value per cell.
    """

    def __init__(self) -> None:
        """Build the layers; weights are random until loaded."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 10, 3)
        self.prelu1 = nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(10, 16, 3)
        self.prelu2 = nn.PReLU(16)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.prelu3 = nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score every cell; see the class."""
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RNet(nn.Module):
    """Refinement network. Input (K, 3, 24, 24), scaled as for PNet. Returns probability (K,) and regression (K, 4)."""

    def __init__(self) -> None:
        """Build the layers; weights are random until loaded."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 28, 3)
        self.prelu1 = nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(28, 48, 3)
        self.prelu2 = nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(48, 64, 2)
        self.prelu3 = nn.PReLU(64)
        self.dense4 = nn.Linear(576, 128)
        self.prelu4 = nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score every crop; see the class."""
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(_flatten_as_trained(x)))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class ONet(nn.Module):
    """Output network. Input (K, 3, 48, 48), scaled as for PNet.

    Returns probability (K,), regression (K, 4) and landmarks (K, 10): five x, then five y, as fractions of the crop.
    """

    def __init__(self) -> None:
        """Build the layers; weights are random until loaded."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.prelu1 = nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.prelu2 = nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.prelu3 = nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4 = nn.Conv2d(64, 128, 2)
        self.prelu4 = nn.PReLU(128)
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score every crop; see the class."""
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.pool3(self.prelu3(self.conv3(x)))
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(_flatten_as_trained(x)))
        return self.dense6_1(x).softmax(1)[:, 1], self.dense6_2(x), self.dense6_3(x)


def load_networks(device: torch.device | str) -> tuple[PNet, RNet, ONet]:
    """Read the three networks from the installed facenet-pytorch, ready for inference on a device.

    Raises WeightsError when the package isn't installed or a file isn't the one that is known and trusted.
    """
    folder = _weights_folder()
    pnet, rnet, onet = PNet(), RNet(), ONet()
    for name, net in (("pnet", pnet), ("rnet", rnet), ("onet", onet)):
        net.load_state_dict(_read_state(folder / f"{name}.pt", _SHA256[name]))
        net.eval().requires_grad_(False).to(device)
    return pnet, rnet, onet


def _flatten_as_trained(x: Tensor) -> Tensor:
    # The weights come from Caffe by way of MATLAB: the dense layers read width first, then height, then channels.
    return x.permute(0, 3, 2, 1).flatten(1)


def _weights_folder() -> Path:
    spec = importlib.util.find_spec("facenet_pytorch")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            "facenet-pytorch isn't installed; its wheel carries MTCNN's weights: pip install facenet-pytorch"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _read_state(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"can't read {path.name} of facenet-pytorch ({error}); reinstall facenet-pytorch") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"{path} isn't the file vidguard knows; reinstall facenet-pytorch==2.5.3")
    # Not a user's file: the very bytes just checked against the pinned hash, and read without unpickling code.
    state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # noqa: TID251
    return state
