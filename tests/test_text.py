"""Text from strangers is shown with everything in it visible, and means the same in JSON."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidguard.text import printable, printable_json

DANGEROUS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("clip 1.mp4", "clip 1.mp4"),
        ("Füße – 顔.mp4", "Füße – 顔.mp4"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("gnp.\u202e.mp4", r"gnp.\u202e.mp4"),
        ("two\r\nlines\t", r"two\r\nlines\t"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("caf\udce9.mp4", r"caf\udce9.mp4"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cant_be_seen_is_written_out(raw, shown):
    assert printable(raw) == shown


@given(st.text(st.characters(), max_size=40))
def test_no_text_keeps_a_dangerous_character(text):
    assert not DANGEROUS & {unicodedata.category(c) for c in printable(text)}
    assert printable(printable(text)) == printable(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from([None, 2]))
def test_json_means_the_same_and_holds_no_dangerous_character(text, indent):
    raw = json.dumps({"name": text}, ensure_ascii=False, indent=indent)
    safe = printable_json(raw)
    assert json.loads(safe) == {"name": text}
    assert not DANGEROUS & {unicodedata.category(c) for c in safe.replace("\n", "")}
