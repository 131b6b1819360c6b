"""Frame-level encoders: each judges one face crop alone and gives the embedding that the temporal model reads."""

from __future__ import annotations

from typing import Final

from vidguard.encoders.amten import Amten, AmtenNet
from vidguard.encoders.base import CROP, Encoder, EncoderOutput, prepare_crops
from vidguard.encoders.efficientnet_lite import EfficientNetLite0
from vidguard.encoders.meso import Meso4, MesoInception4

ENCODERS: Final[dict[str, type[Encoder]]] = {
    "meso4": Meso4,
    "mesoinception4": MesoInception4,
    "amtennet": AmtenNet,
    "efficientnet_lite0": EfficientNetLite0,
}

__all__ = [
    "CROP",
    "ENCODERS",
    "Amten",
    "AmtenNet",
    "EfficientNetLite0",
    "Encoder",
    "EncoderOutput",
    "Meso4",
    "MesoInception4",
    "prepare_crops",
]
