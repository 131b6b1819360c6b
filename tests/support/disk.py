"""A disk without room, for tests of what is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def full_disk(num_bytes: int) -> Iterator[None]:
    """No file that this process writes grows beyond num_bytes bytes, standard output among them if it is a file.

    Only what is tested belongs inside: pytest's own line about a test would be cut too.
    """
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
