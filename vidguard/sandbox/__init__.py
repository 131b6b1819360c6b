"""Decoding where a hostile file can do no harm: in a confined child process, one for every source.

    with Sandbox() as sandbox:
        report = detector.analyze("upload.mp4", sandbox=sandbox)

This package is imported without torch, so that its server can load beside the caller.
"""

from __future__ import annotations

from vidguard.sandbox.host import Sandbox
from vidguard.sandbox.lent import LentFile
from vidguard.sandbox.reader import SandboxedReader

__all__ = ["LentFile", "Sandbox", "SandboxedReader"]
