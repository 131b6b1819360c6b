"""Every error the library raises on purpose. Each message says what was wrong and what to do about it."""

from __future__ import annotations


class VidguardError(Exception):
    """Root of every error the library raises on purpose."""


class SourceError(VidguardError):
    """The source can't be analysed at all: missing, empty, not a video or image, or without a picture."""


class LimitError(SourceError):
    """The source is larger (pixels, seconds, bytes, streams) than the limits in force allow."""


class DecoderCrash(SourceError):
    """A decoder in a child process died, hung or broke its limits before it had given anything."""


class BackendError(VidguardError):
    """The requested reader or device isn't available here."""


class OutputError(VidguardError, OSError):
    """An output can't be written: the system refuses, or what lies there isn't a file, or it is a source."""


class WeightsError(VidguardError):
    """A weights folder is missing, damaged or doesn't fit its manifest."""


class ReportFormatError(VidguardError):
    """A JSON text isn't a report this version can read."""


class InputError(VidguardError, ValueError):
    """A value handed to the API has the wrong shape, type or range."""
