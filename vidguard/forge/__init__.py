"""Fakes made from pristine faces, with known truth, for training, the demo and the tests."""

from __future__ import annotations

from vidguard.forge.blend import BlendRecipe, forge_face, sample_recipe
from vidguard.forge.clip import forge_stretch
from vidguard.forge.degrade import h264, jpeg, light, noise, rescale, sample_degradation
from vidguard.forge.regions import REGIONS, region_mask

__all__ = [
    "REGIONS",
    "BlendRecipe",
    "forge_face",
    "forge_stretch",
    "h264",
    "jpeg",
    "light",
    "noise",
    "region_mask",
    "rescale",
    "sample_degradation",
    "sample_recipe",
]
