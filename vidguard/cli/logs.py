"""The library's log, and the command line's own complaints, as lines on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Final

from vidguard.text import printable

LOGGER: Final = "vidguard"
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)


class Log:
    """Where the log goes while one command runs; at first only what the user must know."""

    def __init__(self) -> None:
        self.handler = logging.StreamHandler(sys.stderr)
        self.configure(verbose=0, as_json=False)

    def configure(self, *, verbose: int, as_json: bool) -> None:
        """Show more from 1 (each answer) to 2 (each step) on; as_json: a JSON object a line, all of them."""
        self.handler.setFormatter(_JsonFormatter() if as_json else _LineFormatter())
        logging.getLogger(LOGGER).setLevel(_LEVELS[min(verbose, len(_LEVELS) - 1)])


@contextmanager
def shown() -> Iterator[Log]:
    """Show the log while the block runs; afterwards the process's logging is as it was."""
    logger = logging.getLogger(LOGGER)
    before = logger.level
    log = Log()
    logger.addHandler(log.handler)
    try:
        yield log
    finally:
        logger.removeHandler(log.handler)
        logger.setLevel(before)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = [record.getMessage()]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(f"vidguard: {printable(line)}" for line in lines)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
