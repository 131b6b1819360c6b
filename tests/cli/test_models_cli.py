"""`vidguard models` and `vidguard weights import`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import save_file

from vidguard.encoders import Meso4
from vidguard.weights import enter_in_manifest, find_weights, read_passport


@pytest.fixture
def net(tmp_path: Path) -> Path:
    save_file(Meso4().state_dict(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def import_as(command, net: Path, name: str, *more: str) -> tuple[int, str, str]:
    return command("weights", "import", net, "--as", "meso4", "--name", name, "--out", net.parent / "sets", *more)


def test_an_imported_set_is_listed_after_the_shipped_ones(command, net):
    code, out, _ = import_as(command, net, "mine", "--licence", "Apache-2.0")
    assert code == 0
    assert "not calibrated" in out
    folder = net.parent / "sets" / "mine"
    assert f"--weights {folder}" in out
    code, out, _ = command("models", folder.parent, "--json")
    assert code == 0
    shipped, *_, mine = json.loads(out)
    entry = find_weights()
    assert shipped["name"] == shipped["load"] == entry.name
    assert shipped["default"]
    assert shipped["validation"] == read_passport(entry).figures["validation"]
    assert shipped["calibrated_on"]
    assert shipped["size_mb"] == pytest.approx(entry.size_bytes / 1e6, abs=0.01)
    assert mine == {
        "name": "mine",
        "load": str(folder),
        "default": True,
        "description": "Meso4 imported from net.safetensors.",
        "licence": "Apache-2.0",
        "encoders": ["meso4"],
        "kinds": [],
        "parameters": 28_012,  # 27,977 of Meso-4, two of the fusion that changes nothing, 33 zeros
        "size_mb": mine["size_mb"],
        "processor_ms_a_face": mine["processor_ms_a_face"],
        "calibrated_on": None,
        "validation": {},
    }
    assert 0.1 < mine["processor_ms_a_face"] < 1000
    assert find_weights(mine["load"]).name == "mine"


def test_the_table_shows_what_is_known_of_each_set(command, net, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    import_as(command, net, "mine")
    code, out, _ = command("models", net.parent / "sets")
    assert code == 0
    entry = find_weights()
    passport = read_passport(entry)
    for material, figures in passport.figures["validation"]["video"].items():
        assert f"{material} {figures['auc']:.3f}" in out
    size = f"{entry.size_bytes / 1e6:.1f} MB"
    for part in (*passport.encoders, entry.licence, size, "28,012", "0.1 MB", "not calibrated", "not stated"):
        assert part in out
    assert str(net.parent / "sets" / "mine") in out


def test_a_folders_manifest_writes_no_control_codes_to_the_terminal(command, net):
    import_as(command, net, "mine")
    enter_in_manifest(net.parent / "sets", "mine", "\x1b[31mred", "\x07bell")
    out = command("models", net.parent / "sets")[1]
    assert "[31mred" in out
    assert not set(out) & {"\x1b", "\x07"}


def figures_of(folder: Path, figures: object) -> None:
    """Give a set other figures, and the manifest their sha256."""
    path = folder / "passport.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"figures": figures}))
    enter_in_manifest(folder.parent, folder.name, "", "")


@pytest.mark.parametrize(
    "validation",
    [
        [],
        {"video": None},
        {"video": [0.5]},
        {"video": {"x": None, "y": 0.5}},
        {"video": {"x": {"auc": None}, "y": {"auc": "0.9"}, "z": {"auc": True}, "u": {"auc": 10**300}, "v": {}}},
    ],
)
def test_figures_that_are_no_numbers_are_left_out(command, net, monkeypatch, validation):
    monkeypatch.setenv("COLUMNS", "250")
    import_as(command, net, "strange")
    import_as(command, net, "sound")
    sets = net.parent / "sets"
    figures_of(sets / "sound", {"validation": {"video": {"known": {"auc": 0.75}}}})
    figures_of(sets / "strange", {"validation": validation})
    code, out, err = command("models", sets)
    assert (code, err) == (0, "")
    assert str(sets / "strange") in out
    assert "known 0.750" in out
    assert len(re.findall(r"(?<!_)none", out)) == 1  # the strange set


def test_a_damaged_set_hides_no_other(command, net, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    sets = net.parent / "sets"
    for name in ("first", "last"):
        import_as(command, net, name)
    (sets / "first" / "passport.json").write_text("{}")
    for more in ((), ("--json",)):
        code, out, err = command("models", sets, *more)
        assert code == 3
        assert err.startswith(f"vidguard: {sets / 'first'}: ")
        assert "is damaged" in err
        assert len(err.splitlines()) == 1
        assert str(sets / "last") in out
        assert str(sets / "first") not in out
    assert [one["name"] for one in json.loads(out)][-1] == "last"


def test_what_cant_be_done_is_one_line_and_2(command, net, tmp_path):
    import_as(command, net, "mine")
    for code, _, err in (
        import_as(command, net, "mine"),
        import_as(command, net, "../mine"),
        import_as(command, tmp_path / "missing.h5", "other"),
        command("weights", "import", net, "--as", "resnet", "--name", "other", "--out", tmp_path),
        import_as(command, net, "other", "--fake-output", "2"),
        command("models", tmp_path / "nowhere"),
    ):
        assert code == 2
        assert err.startswith("vidguard: ")
        assert len(err.splitlines()) == 1
