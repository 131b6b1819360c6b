"""What a result was measured with."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vidguard import __version__
from vidguard.processes import describe_machine


def environment(*packages: str) -> dict[str, Any]:
    """Commit, versions of vidguard, Python and these packages, and the machine."""
    ask = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return {
        "commit": subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() or None,
        "vidguard": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "machine": describe_machine(),
        "torch_threads": torch.get_num_threads(),
    }
