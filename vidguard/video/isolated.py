"""The readers in a sandbox: what its server loads, and how a source gets there."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from vidguard.config import Limits
from vidguard.sandbox import Sandbox, SandboxedReader
from vidguard.video.source import Source


def open_sandboxed(
    opener: str,
    source: str | Path | bytes | BinaryIO,
    sandbox: Sandbox,
    limits: Limits,
    device: torch.device,
    **arguments: Any,
) -> SandboxedReader:
    """Measure and hash a source here, and have it read in a child by opener: see `Sandbox.open`."""
    opened = Source(source, limits)
    try:
        return sandbox.open(opener, opened.lend(), limits=limits, device=device, **arguments)
    except BaseException:
        opened.close()
        raise


def prepare() -> None:
    """Load the readers and what they load on use: in the sandbox nothing can be imported any more."""
    import av
    from PIL import Image

    Image.init()
    parts = (module.name for module in pkgutil.walk_packages(av.__path__, "av.") if not module.name.endswith("__"))
    for name in (*parts, "vidguard.video.decord_reader", "vidguard.video.keyframes", "decord", "pillow_heif"):
        with suppress(ImportError):
            importlib.import_module(name)
