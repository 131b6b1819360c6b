"""`vidguard forge --generate`: what it hands on, and what it doesn't go with."""

from __future__ import annotations

import pytest

from vidguard.errors import InputError
from vidguard.training import generate


@pytest.fixture
def calls(monkeypatch):
    heard = []

    def stand_in(folder, count, *, seed, advance):
        heard.append((folder.name, count, seed))
        advance(count, count)
        return folder / "index.csv"

    monkeypatch.setattr(generate, "generate_faces", stand_in)
    return heard


def test_count_folder_and_seed_are_handed_on(command, calls, tmp_path):
    code, out, err = command("forge", "--generate", 12, "--seed", 7, "--out", tmp_path / "faces")
    assert (code, err) == (0, "")
    assert calls == [("faces", 12, 7)]
    assert out.strip() == f"{tmp_path / 'faces' / 'index.csv'}: 12 faces"


@pytest.mark.parametrize("more", [("face.png", "--out", "x"), ("--kind", "swap", "--out", "x"), ()])
def test_it_goes_with_a_folder_and_a_seed_alone(command, calls, more):
    code, _, err = command("forge", "--generate", 12, *more)
    assert (code, calls) == (2, [])
    assert "it goes with --out FOLDER" in " ".join(err.split())


def test_neither_source_nor_number_is_refused(command):
    code, _, err = command("forge", "--out", "x.png")
    assert code == 2
    assert "--generate N faces" in " ".join(err.split())


def test_a_missing_network_is_told_in_a_line(command, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise InputError("generated faces need: pip install that")

    monkeypatch.setattr(generate, "generate_faces", refuse)
    code, _, err = command("forge", "--generate", 1, "--out", tmp_path)
    assert code == 2
    assert err.strip().endswith("generated faces need: pip install that")
