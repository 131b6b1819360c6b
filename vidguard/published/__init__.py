"""Detectors that others published: their weight files are read safely and become weight sets of vidguard's own."""

from __future__ import annotations

from vidguard.published.network import ARCHITECTURES, read_encoder
from vidguard.published.weight_set import import_weights

__all__ = ["ARCHITECTURES", "import_weights", "read_encoder"]
