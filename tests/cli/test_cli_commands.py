import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from disk import full_disk
from reports import two_faces

import vidguard
from vidguard.cli.demo import hits_text
from vidguard.types import Interval, Report

PYTHON_M = [sys.executable, "-m", "vidguard.cli"]


def test_schema_prints_the_schema(command):
    code, out, _ = command("schema")
    assert code == 0
    assert json.loads(out) == Report.json_schema()


def test_version(command):
    assert command("--version")[:2] == (0, f"vidguard {vidguard.__version__}\n")


@pytest.mark.parametrize("arguments", [("--help",), ("analyze", "--help"), ("demo", "--help"), ("models", "--help")])
def test_help_is_0(command, arguments):
    assert command(*arguments)[0] == 0


def test_help_documents_every_exit_code(command):
    out = command("analyze", "--help")[1]
    documented = out[out.index("Exit codes:") :]
    for code in ("0", "1", "2", "3", "70"):
        assert f"\n    {code} " in documented
    assert "130 interrupted" in documented


def test_unknown_command_is_2(command):
    code, _, err = command("analyse")
    assert code == 2
    assert "analyse" in err


def test_hits_count_seconds_right_and_wrong():
    report = two_faces()
    assert hits_text(report, (Interval(8, 13),)).plain.endswith("20 of 20 right")
    text = hits_text(report, (Interval(8, 11),)).plain
    assert text.count("✗") == 2
    assert text.endswith("18 of 20 right")


def test_demo_prints_truth_and_writes_reports(command, tmp_path, monkeypatch):
    def make_demo_clip(path: Path):
        path.write_bytes(b"fake")
        return SimpleNamespace(path=path, truth=(Interval(8, 13),))

    module = ModuleType("vidguard.demo")
    module.make_demo_clip = make_demo_clip
    monkeypatch.setitem(sys.modules, "vidguard.demo", module)
    code, out, _ = command("demo", "--out", tmp_path / "demo")
    assert code == 0
    assert "truth" in out
    assert "20 of 20 right" in out
    assert Report.from_json((tmp_path / "demo" / "report.json").read_text()).fake_prob == 0.93
    assert (tmp_path / "demo" / "report.html").is_file()
    assert (tmp_path / "demo" / "clip.mp4").is_file()


def test_demo_into_a_folder_that_cant_be_made_is_one_line(command, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    code, _, err = command("demo", "--out", tmp_path / "file" / "demo")
    assert code == 2
    assert err.startswith(f"vidguard: {tmp_path / 'file'}")
    assert "give --out a folder that can be written to" in err
    assert len(err.splitlines()) == 1


def test_demo_on_a_full_disk_is_one_line(command, tmp_path):
    with full_disk(4096):
        code, _, err = command("demo", "--out", tmp_path)
    assert code == 2
    assert "clip.mp4 can't be written: File too large" in err
    assert "give --out a folder that can be written to" in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_path_the_system_refuses_is_no_defect(command):
    code, _, err = command("analyze", "a" * 5000)
    assert code in (2, 3)  # Pathlib raises for it up to Python 3.11, later it says that there is no such file
    assert len(err.splitlines()) == 1


def test_the_process_ends_with_the_code_and_without_a_traceback(tmp_path):
    done = subprocess.run([*PYTHON_M, "analyze", str(tmp_path / "missing.mp4")], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == f"vidguard: {tmp_path / 'missing.mp4'}: no such file\n"


def test_help_needs_no_torch():
    """Help must come at once: torch alone takes seconds to import."""
    program = (
        "import sys; from vidguard.cli.app import run; code = run(['analyze', '--help']); "
        "print(sorted(m for m in ('torch', 'av', 'cv2', 'jinja2') if m in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_terminal_without_unicode_is_no_crash():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*PYTHON_M, "analyze", "clip-é.mp4"], capture_output=True, env=environment)
    assert done.returncode == 3
    assert b"no such file" in done.stderr
