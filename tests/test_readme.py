"""The README's Python runs, and its figures are the generated ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from vidguard.demo import make_demo_clip

ROOT = Path(__file__).resolve().parent.parent


def test_the_python_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    make_demo_clip(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(snippet, names)
    assert names["same"] == names["report"]
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_tables_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks/tables.py"), "--check"], check=False)
    assert done.returncode == 0, "run python benchmarks/tables.py"
