"""`vidguard benchmark` from the outside: real files, exit codes, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import empty_clip, face_clip

from vidguard.cli.app import run


def test_a_folder_is_measured_and_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("real", "fake"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    face_clip(tmp_path / "data" / "real" / "a.mp4", seconds=1.5)
    face_clip(tmp_path / "data" / "fake" / "b.mp4", seconds=1.5)
    empty_clip(tmp_path / "data" / "fake" / "c.mp4")
    arguments = ["benchmark", "folder", str(tmp_path / "data"), "--split", "all", "--out", str(tmp_path / "out")]
    arguments += ["--protocol", "deepfakebench", "--workers", "1", "--device", "cpu"]
    assert run(arguments) == 0
    assert "deepfakebench" in capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["figures"]["pooled"]["no_decision_fake"] == 1
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {
        *("result.md", "result.html", "videos.csv", "frames.csv", "segments.csv")
    }
    (tmp_path / "data" / "real" / "broken.mp4").write_bytes(b"nothing")
    ledger = (tmp_path / "out" / "ledger.jsonl").read_text()
    assert run(arguments) == 3  # the broken file is told of, the others stand
    assert "broken.mp4" in capsys.readouterr().err
    added = (tmp_path / "out" / "ledger.jsonl").read_text().removeprefix(ledger)
    assert [json.loads(line)["id"] for line in added.splitlines()] == ["real/broken.mp4"]
    same = str(tmp_path / "out" / "result.json")
    assert run(["benchmark", "compare", same, same]) == 0
    assert "A - B +0.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ffpp", "{tmp}/nowhere"], "nowhere"),
        (["csv", "{tmp}/none.csv"], "none.csv"),
        (["robustness", "nonesuch", "{tmp}"], "celebdf"),
        (["compare", "{tmp}/a.json", "{tmp}/b.json"], "a.json"),
    ],
)
def test_what_cant_be_done_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["benchmark", *(a.format(tmp=tmp_path) for a in arguments)]) == 2
    printed = capsys.readouterr().err
    assert says in printed
    assert "Traceback" not in printed


def test_help_names_every_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "--help"]) == 0
    printed = capsys.readouterr().out
    for name in ("ffpp", "dfdc", "dfdcp", "celebdf", "wilddeepfake", "ffiw", "folder", "csv", "compare", "partial"):
        assert name in printed
