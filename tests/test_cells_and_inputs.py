"""Small files of others, and the text of tables that people open in spreadsheets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidguard.cells import as_written, inert
from vidguard.errors import InputError
from vidguard.inputs import read_regular


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@x"])
def test_what_begins_like_a_formula_is_made_inert(text: str) -> None:
    assert inert(text) == f"'{text}"
    assert as_written(f"'{text}") == text


@given(st.text(alphabet="'=+-@\t\r ab1", max_size=6))
def test_every_text_is_read_back_as_it_was_written(text: str) -> None:
    made = inert(text)
    assert isinstance(made, str)
    assert not made.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert as_written(made) == text


def test_numbers_and_plain_text_stay_as_they_are() -> None:
    assert [inert(value) for value in (-0.5, 3, "clip-1.mp4", "it's", "'quoted'", "")] == [
        *(-0.5, 3, "clip-1.mp4", "it's", "'quoted'", "")
    ]
    assert as_written("'quoted'") == "'quoted'"


def test_only_regular_files_within_the_bound_are_read(tmp_path: Path) -> None:
    plain, pipe = tmp_path / "plain", tmp_path / "pipe"
    plain.write_bytes(b"12345")
    assert read_regular(plain, max_bytes=5) == b"12345"
    with pytest.raises(InputError, match="more than 4 bytes"):
        read_regular(plain, max_bytes=4)
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (pipe, tmp_path / "link", Path("/dev/zero")):
        with pytest.raises(InputError, match="not a regular file"):
            read_regular(path, max_bytes=10)
    for path in (tmp_path / "missing", tmp_path, tmp_path / "zero\0byte"):
        with pytest.raises(InputError):
            read_regular(path, max_bytes=10)
