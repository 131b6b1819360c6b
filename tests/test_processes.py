"""A folder has one owner, and workers end with the process they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidguard.errors import InputError
from vidguard.processes import LOCK_FILE, sole_owner

WORKERS = """
import sys, time
from multiprocessing import get_context
from vidguard import processes

def work(started):
    getattr(processes, sys.argv[1])()
    started.put(__import__("os").getpid())
    while True:  # as a decoder that hangs
        time.sleep(0.05)

if __name__ == "__main__":
    spawn = get_context("spawn")
    started = spawn.Queue()
    for _ in range(2):
        spawn.Process(target=work, args=(started,), daemon=True).start()
    print(started.get(), started.get(), flush=True)
    time.sleep(60)
"""
HOLD = """
import sys, time
from pathlib import Path
from vidguard.processes import sole_owner
with sole_owner(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def start(script: Path, text: str, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A process, and the first line it said."""
    script.write_text(text)
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, env=where)
    assert process.stdout is not None
    return process, process.stdout.readline()


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["end_with_parent", "watch_parent"])
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, how: str) -> None:
    parent, said = start(tmp_path / "parent.py", WORKERS, how)
    workers = [int(pid) for pid in said.split()]
    assert len(workers) == 2
    assert all(map(is_alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    ends = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not any(map(is_alive, workers))


def test_a_folder_has_one_owner_and_is_free_when_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    owner, said = start(tmp_path / "owner.py", HOLD, str(folder))
    assert said == "held\n"
    with pytest.raises(InputError, match=rf"is in use by process {owner.pid}; wait"), sole_owner(folder):
        pass
    owner.kill()
    owner.wait()
    with sole_owner(folder):
        assert (folder / LOCK_FILE).read_text() == f"{os.getpid()}\n"
        with pytest.raises(InputError, match=f"process {os.getpid()}"), sole_owner(folder):
            pass
    with sole_owner(folder):
        pass
