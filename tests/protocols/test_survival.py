"""What a benchmark has found out survives a killed process, a full disk and damage; and what strangers hand in."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from disk import full_disk
from test_run import Scripted

from vidguard.errors import InputError, ReportFormatError
from vidguard.processes import sole_owner
from vidguard.protocols.conduct import compare_results, conduct
from vidguard.protocols.files import read_scores, write_scores
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts import LAYOUTS, LayoutOptions
from vidguard.protocols.protocol import DEEPFAKEBENCH
from vidguard.protocols.result import Result, ScoredItem
from vidguard.protocols.run import Ledger
from vidguard.protocols.scores import FrameScore, Score, SegmentScore

KEEPS_ON = """
import sys
from itertools import count
from pathlib import Path
from vidguard.protocols.run import Ledger
from vidguard.protocols.scores import FrameScore, Score

ledger = Ledger(Path(sys.argv[1]), {"run": 1})
for number in count():
    ledger.add(Score(str(number), 0.5, "ok", 0.1, frames=(FrameScore(0, 0.0, 0.5),) * 500))
"""


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
def test_a_killed_run_loses_no_score_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", KEEPS_ON, path], env=where)
    ends = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < ends and (not path.is_file() or path.stat().st_size < 200_000):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = list(Ledger(path, {"run": 1}).scores)
    assert kept == [str(number) for number in range(len(kept))]
    assert len(kept) >= 5
    Ledger(path, {"run": 1}).add(Score("last", 0.5, "ok", 0.1))
    lines = path.read_text().splitlines()[1:]
    assert [json.loads(line)["id"] for line in lines] == [*kept, "last"]  # each once, each whole


def test_a_full_disk_leaves_no_half_line_and_costs_no_score(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, {"run": 1})
    ledger.add(Score("a", 0.5, "ok", 0.1))
    before = path.read_bytes()
    with full_disk(len(before) + 7), pytest.raises(OSError, match="too large"):
        ledger.add(Score("b", 0.5, "ok", 0.1))
    assert path.read_bytes() == before
    assert "b" not in ledger.scores
    ledger.add(Score("b", 0.5, "ok", 0.1))
    again = Ledger(path, {"run": 1})
    assert (list(again.scores), again.damaged) == (["a", "b"], 0)


@pytest.mark.parametrize(
    "damage",
    [
        b"nonsense",
        b"[" * 50_000,
        b"\xff\x00\xfe",
        b'{"id": "b", "fake_prob": 7.0, "status": "ok", "seconds": 0.1}',
        b'{"id": "b", "fake_prob": 0.5, "status": "ok", "seconds": NaN}',
        b'{"id": "b", "fake_prob": 0.5, "status": "ok", "seconds": -1}',
        b'{"id": "b", "fake_prob": 0.5, "status": "fine", "seconds": 1}',
        b'{"id": "b", "fake_prob": 0.5, "status": "ok", "seconds": 1, "frames": [[0, 0.0, 7.0]]}',
    ],
)
def test_one_damaged_line_costs_its_own_score_only(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, {}).add(Score("a", 0.5, "ok", 0.1))
    with path.open("ab") as file:
        file.write(damage + b"\n")
    ledger = Ledger(path, {})
    ledger.add(Score("c", None, "no_face", 0.1))
    ledger = Ledger(path, {})
    assert (sorted(ledger.scores), ledger.damaged) == (["a", "c"], 1)


class Thresholds(Scripted):
    def describe(self) -> dict[str, object]:
        return {**super().describe(), "segment_threshold": 0.5, "frame_threshold": 0.5}


def listed(root: Path) -> Listing:
    for name in ("real/one.mp4", "fake/two.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return LAYOUTS["folder"](root, LayoutOptions())


def measured(folder: Path) -> Result:
    make = partial(Thresholds, folder / "asked")
    return conduct(listed(folder / "data"), make, DEEPFAKEBENCH, folder / "out", workers=1).result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    measured(folder)
    return folder


def test_a_run_says_that_lines_were_damaged_and_scores_their_items_again(finished: Path) -> None:
    path, asked = finished / "out" / "ledger.jsonl", finished / "asked"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"broken", *lines[2:]]))
    before = asked.read_text().split()
    result = measured(finished)
    assert any("1 lines of the ledger were damaged" in note for note in result.coverage.notes)
    assert len(asked.read_text().split()) == len(before) + 1  # that line's item alone
    assert result.pooled.items == 2


@pytest.mark.parametrize("content", [b"", b'{"ru', b'{"run": 1}'])
def test_a_header_that_was_cut_is_written_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    assert not Ledger(path, {"run": 1}).scores
    assert path.read_bytes() == b'{"run": 1}\n'


@pytest.mark.parametrize(
    "content", [b"[]\n", b"3\n", b"null\n", b"\xff\n", b"[" * 50_000 + b"\n", b"somebody's", b"\n\n"]
)
def test_another_file_is_no_ledger_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError):
        Ledger(path, {"run": 1})
    assert path.read_bytes() == content


def test_a_second_run_into_the_same_folder_is_told_who_is_there(tmp_path: Path) -> None:
    listing = listed(tmp_path / "data")
    make = partial(Thresholds, tmp_path / "asked")
    with sole_owner(tmp_path / "out"), pytest.raises(InputError, match=f"in use by process {os.getpid()}"):
        conduct(listing, make, DEEPFAKEBENCH, tmp_path / "out", workers=1)
    assert not (tmp_path / "asked").exists()


def test_scores_are_numbers_that_can_be() -> None:
    for wrong in (
        lambda: Score("a", 0.5, "ok", float("nan")),
        lambda: Score("a", 0.5, "ok", -1.0),
        lambda: Score("a", 0.5, "great", 1.0),
        lambda: FrameScore(0, float("inf"), 0.5),
        lambda: FrameScore(0, 0.0, float("nan")),
        lambda: SegmentScore(0, 1.0, 1.0, 0.5),
        lambda: SegmentScore(0, 0.0, 1e300, 0.5),
    ):
        with pytest.raises(InputError):
            wrong()


def test_tables_hold_no_formulas_and_are_read_back_as_they_were(tmp_path: Path) -> None:
    names = ["=1+1.mp4", "+a.mp4", "-b.mp4", "@c.mp4", "'=d.mp4", "plain.mp4"]
    scores = [
        ScoredItem(Item(name, Path(name), False, "=cmd", name), Score(name, None, "error", 0.1, detail="=x"))
        for name in names
    ]
    write_scores(tmp_path, scores)
    with (tmp_path / "videos.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    read = read_scores(tmp_path / "videos.csv")
    assert [s.item.id for s in read] == names
    assert {(s.item.method, s.score.detail) for s in read} == {("=cmd", "=x")}


def test_a_results_scores_lie_beside_it(finished: Path, tmp_path: Path) -> None:
    plain = json.loads((finished / "out" / "result.json").read_text())
    for elsewhere in ("/etc/passwd", "../videos.csv", "sub/videos.csv", "..", "", "..\\videos.csv"):
        with pytest.raises(ReportFormatError, match="beside the result"):
            Result.from_json(json.dumps({**plain, "scores_file": elsewhere}))
    path = tmp_path / "result.json"
    path.write_text(json.dumps(plain))
    (tmp_path / "videos.csv").symlink_to(finished / "out" / "videos.csv")
    with pytest.raises(InputError, match="is a link"):
        compare_results(path, path, None)


def test_pipes_in_place_of_lists_are_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "list"
    os.mkfifo(pipe)
    (tmp_path / "dfdc").mkdir()
    os.mkfifo(tmp_path / "dfdc" / "dataset.json")
    for read in (
        lambda: read_scores(pipe),
        lambda: compare_results(pipe, pipe, None),
        lambda: LAYOUTS["csv"](pipe, LayoutOptions()),
        lambda: LAYOUTS["dfdcp"](tmp_path / "dfdc", LayoutOptions()),
        lambda: Ledger(pipe, {}),
    ):
        with pytest.raises(InputError, match=r"regular file|no file"):
            read()
