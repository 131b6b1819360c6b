"""Fakes made from pristine faces, with known truth, for training, the demo and the tests."""

from __future__ import annotations

from vidguard.faces.regions import REGIONS, region_outline, soft_mask
from vidguard.forge.attributes import ATTRIBUTES, edit_attribute
from vidguard.forge.blend import BlendRecipe, forge_face, sample_recipe
from vidguard.forge.chains import CHAINS, send
from vidguard.forge.clip import COURSES, forge_stretch, forge_track
from vidguard.forge.degrade import h264, hevc, jpeg, light, noise, rescale, sample_degradation
from vidguard.forge.kinds import KINDS, MANIPULATES, NEEDS_DONOR, NEEDS_MESH, Face, forge_kind, sample_kind
from vidguard.forge.preview import preview_sheet
from vidguard.forge.sources import aligned_donor, mesh_donor, mesh_outline, nearest_pose, reenacted

__all__ = [
    "ATTRIBUTES",
    "CHAINS",
    "COURSES",
    "KINDS",
    "MANIPULATES",
    "NEEDS_DONOR",
    "NEEDS_MESH",
    "REGIONS",
    "BlendRecipe",
    "Face",
    "aligned_donor",
    "edit_attribute",
    "forge_face",
    "forge_kind",
    "forge_stretch",
    "forge_track",
    "h264",
    "hevc",
    "jpeg",
    "light",
    "mesh_donor",
    "mesh_outline",
    "nearest_pose",
    "noise",
    "preview_sheet",
    "reenacted",
    "region_outline",
    "rescale",
    "sample_degradation",
    "sample_kind",
    "sample_recipe",
    "send",
    "soft_mask",
]
