"""What goes to standard error: complaints alone, more with -v, as JSON with --log-json; the library adds no handler."""

import json
import logging

import numpy as np
import pytest

from vidguard.video import open_source, write_video

LIBRARY = logging.getLogger("vidguard.anything")


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, [(np.zeros((64, 64, 3), np.uint8), i / 10) for i in range(3)])
    return path


@pytest.fixture
def talkative(command, monkeypatch):
    """A detector that logs on every level."""

    def analyze(source, **_):
        for level in ("debug", "info"):
            getattr(LIBRARY, level)("%s of %s", level, source.name)
        raise RuntimeError("tensor trouble")

    monkeypatch.setattr(command.detector, "analyze", analyze)
    return command


@pytest.mark.parametrize(
    ("options", "shown"), [((), []), (("-v",), ["info"]), (("-vv",), ["debug", "info"]), (("--verbose",), ["info"])]
)
def test_each_v_shows_more(talkative, tmp_path, options, shown):
    path = tmp_path / "a\x1b[2J.mp4"
    path.write_bytes(b"")
    code, _, err = talkative(*options, "analyze", path)
    *lines, complaint = err.splitlines()
    assert code == 3
    assert lines == [rf"vidguard: {level} of a\x1b[2J.mp4" for level in shown]
    assert "unexpected RuntimeError: tensor trouble" in complaint


def test_json_lines_hold_everything_escaped(talkative, tmp_path):
    path = tmp_path / "a\u202e\n.mp4"
    path.write_bytes(b"")
    _, _, err = talkative("-vv", "--log-json", "analyze", path, tmp_path / "missing")
    entries = [json.loads(line) for line in err.splitlines()]
    assert err.isascii()
    assert [e["level"] for e in entries] == ["error", "debug", "info", "error"]
    assert entries[1]["message"] == "debug of a\u202e\n.mp4"
    assert {"time", "level", "logger", "message"} <= set(entries[0])


def test_the_process_is_left_as_it_was(command, tmp_path):
    logger = logging.getLogger("vidguard")
    command("-vv", "analyze", tmp_path / "missing.mp4")
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)


def test_the_library_logs_what_it_opens_and_falls_back_to(clip, caplog):
    with caplog.at_level(logging.DEBUG, logger="vidguard"), open_source(clip):
        pass
    assert "clip.mp4: opened by pyav, mov,mp4,m4a,3gp,3g2,mj2 h264, 64x64" in caplog.messages


def test_the_library_logs_what_a_decoder_raised(clip, caplog, monkeypatch):
    def trouble(*_, **__):
        raise RuntimeError("decoder trouble")

    monkeypatch.setattr("vidguard.video.container.av.open", trouble)
    with caplog.at_level(logging.INFO, logger="vidguard"), pytest.raises(Exception, match="decoder trouble"):
        open_source(clip)
    (record,) = caplog.records
    assert "the decoder raised RuntimeError" in record.getMessage()
    assert record.exc_info is not None


def test_the_library_adds_no_handler_and_prints_nothing_unasked(clip, capfd):
    with open_source(clip) as reader:
        assert len(list(reader.batches())) == 1
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "vidguard"]
    assert "vidguard.video" in names
    assert not any(logging.getLogger(name).handlers for name in names)
    assert capfd.readouterr() == ("", "")
