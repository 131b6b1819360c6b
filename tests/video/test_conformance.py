"""Every reader on every hard file."""

from __future__ import annotations

import pytest
from hard_files import HARD_FILES
from media import HardFile
from reader_checks import DECORD_REFUSES, NVDEC_MUST_READ, check

from vidguard.errors import SourceError
from vidguard.video import open_source

each_hard_file = pytest.mark.parametrize("hard", HARD_FILES, ids=lambda hard: hard.name)


@each_hard_file
def test_pyav(hard: HardFile) -> None:
    check(hard, "pyav")


@each_hard_file
def test_decord(hard: HardFile) -> None:
    pytest.importorskip("decord", reason="decord has wheels for x86-64 only")
    if hard.name == "noise in an MP4":
        pytest.skip("where decord gives up depends on its threads; it may not notice at all")
    check(hard, "decord")


@pytest.mark.cuda
@each_hard_file
def test_nvdec(hard: HardFile) -> None:
    check(hard, "pyav-nvdec", device="cuda")


@pytest.mark.cuda
@each_hard_file
def test_a_gpu_reads_everything_with_fallback_where_needed(hard: HardFile) -> None:
    if hard.error is not None:
        with pytest.raises(SourceError, match=hard.error):
            open_source(hard.make(), device="cuda")
        return
    with open_source(hard.make(), device="cuda") as reader:
        batches = list(reader.batches())
        assert all(batch.frames.is_cuda for batch in batches)
        assert reader.backend == "pyav-nvdec" or any("decoded in software" in note for note in reader.notes)
        assert reader.damaged == hard.damaged


def test_the_refusals_name_real_files() -> None:
    assert {hard.name for hard in HARD_FILES} >= DECORD_REFUSES | NVDEC_MUST_READ
