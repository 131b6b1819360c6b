"""Opening a container that may be hostile, and choosing the stream to watch."""

from __future__ import annotations

from math import prod
from typing import Any, Final, NoReturn

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vidguard.config import Limits
from vidguard.errors import SourceError
from vidguard.video.limits import check_pixels, check_seconds, check_streams
from vidguard.video.source import Source

# Self-contained formats only. Absent on purpose: hls, dash, concat, image2, sdp, rtsp, imf, lavfi and the like, which
# open further files or addresses. The audio formats are here so that "no video stream" can name what is there instead.
_DEMUXERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,live_flv,kux,asf,ogg,mxf,gxf,nut,ivf,av1,obu,"
    "h261,h263,h264,hevc,vvc,vc1,dv,rm,wtv,swf,nsv,amv,avs2,avs3,cavsvideo,dirac,dnxhd,mjpeg,yuv4mpegpipe,gif,apng,"
    "mp3,wav,w64,flac,aac,aiff,ac3,eac3,amr,caf,au,wv"
)
_BUFFER_BYTES: Final = 1 << 18
AV_TIME_BASE: Final = 1_000_000
_GENERATE_TIMES: Final = 0x0001  # AVFMT_FLAG_GENPTS of FFmpeg's avformat.h, which PyAV sets


def open_container(source: Source, limits: Limits, *, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a source with FFmpeg's demuxers, by content alone, and check its header against the limits.

    Raises SourceError for what isn't a video, LimitError for one that claims too much.
    """
    options = {
        "format_whitelist": _DEMUXERS,
        "protocol_whitelist": "file,pipe,fd",
        **decoder_options(limits),  # for the decoders that probe the streams
    }
    arguments: dict[str, Any] = {"options": options, "io_open": _refuse_further_files, "buffer_size": _BUFFER_BYTES}
    if hwaccel is not None:
        arguments["hwaccel"] = hwaccel
    try:
        # Of pictures in a row FFmpeg's probe makes single ones, whose demuxer isn't among ours.
        kind = "mjpeg" if source.head[:3] == b"\xff\xd8\xff" else None
        container: InputContainer = av.open(source.stream(), "r", kind, metadata_errors="replace", **arguments)
    except av.FFmpegError as error:
        raise SourceError(_why_not_a_video(source, error)) from error
    # FFmpeg's guesses at missing times come out of order with B-frames; an honest gap is filled by Timeline.
    container.flags &= ~_GENERATE_TIMES
    try:
        check_streams(source.name, len(container.streams), limits)
        for stream in container.streams.video:
            check_pixels(source.name, *_size(stream), limits)
        check_seconds(source.name, None if container.duration is None else container.duration / AV_TIME_BASE, limits)
    except BaseException:
        container.close()
        raise
    return container


def decoder_options(limits: Limits) -> dict[str, str]:
    """Give FFmpeg's options that keep a decoder from allocating for a hostile size hidden behind the header.

    Twice the limit, as decoders count padding to whole blocks; frames are checked exactly.
    """
    return {"max_pixels": str(2 * limits.max_pixels)}


def choose_stream(container: InputContainer, name: str) -> tuple[VideoStream, tuple[str, ...]]:
    """Choose the default video stream that moves, of several the one with most pixels, and note the others.

    Cover art isn't a video stream. Raises SourceError where none is left.
    """
    candidates = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    readable = [stream for stream in candidates if stream.codec_context is not None]
    if not readable:
        raise SourceError(
            f"no {'readable ' if candidates else ''}video stream in {name} (streams: {_list_streams(container)}); "
            "pass a file with a video track"
        )
    chosen = max(
        readable,
        # FFmpeg lists HEIF's still picture as a stream of one frame beside the track that moves.
        key=lambda s: (s.frames != 1, bool(s.disposition & Disposition.default), prod(_size(s)), -s.index),
    )
    others = [f"{s.index} ({'x'.join(map(str, _size(s)))})" for s in candidates if s is not chosen]
    notes = (f"video stream {chosen.index} was read; ignored: {', '.join(others)}",) if others else ()
    return chosen, notes


def _size(stream: VideoStream) -> tuple[int, int]:
    # A stream of an unknown codec has no codec context, and PyAV asks that for the size.
    context = stream.codec_context
    return (0, 0) if context is None else (context.width, context.height)


def _refuse_further_files(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise SourceError(f"the source asks for another file ({url}); only self-contained files are read")


def _list_streams(container: InputContainer) -> str:
    listed = []
    for stream in container.streams:
        codec = stream.codec_context.name if getattr(stream, "codec_context", None) else "unknown"
        cover = " cover art" if stream.disposition & Disposition.attached_pic else ""
        listed.append(f"{stream.type} {codec}{cover}")
    return ", ".join(listed) or "none"


def _why_not_a_video(source: Source, error: av.FFmpegError) -> str:
    if source.head[4:8] == b"ftyp":
        where = "its index (moov) is missing or damaged" + (
            "" if source.seekable else ", or lies at the end of the pipe"
        )
        return f"{source.name} is an MP4/MOV but {where}; the upload probably broke off: fetch it again"
    return (
        f"{source.name} is not a video or image that can be read ({error.strerror}); pass e.g. MP4, MKV, WebM or JPEG"
    )
