"""Layouts: from somebody's copy of a public data set to the items of one of its splits.

A reader takes the folder (the manifest, for "csv") and `LayoutOptions`, reads names and lists only, never a video, and
raises InputError where figures couldn't be trusted: a list that contradicts its folders, a source in two splits, a path
that leads out of the folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from vidguard.protocols.items import Listing
from vidguard.protocols.layouts.celebdf import read_celebdf
from vidguard.protocols.layouts.dfdc import read_dfdc
from vidguard.protocols.layouts.dfdcp import read_dfdcp
from vidguard.protocols.layouts.ffiw import read_ffiw
from vidguard.protocols.layouts.ffpp import read_ffpp
from vidguard.protocols.layouts.folder import read_folder
from vidguard.protocols.layouts.manifest import read_csv
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.wilddeepfake import read_wilddeepfake

LAYOUTS: Final[dict[str, Callable[[Path, LayoutOptions], Listing]]] = {
    "ffpp": read_ffpp,
    "dfdc": read_dfdc,
    "dfdcp": read_dfdcp,
    "celebdf": read_celebdf,
    "wilddeepfake": read_wilddeepfake,
    "ffiw": read_ffiw,
    "folder": read_folder,
    "csv": read_csv,
}

__all__ = [
    "LAYOUTS",
    "LayoutOptions",
    "read_celebdf",
    "read_csv",
    "read_dfdc",
    "read_dfdcp",
    "read_ffiw",
    "read_ffpp",
    "read_folder",
    "read_wilddeepfake",
]
