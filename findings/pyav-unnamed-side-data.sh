#!/usr/bin/env bash
# PyAV can't list a frame's side data when FFmpeg knows a kind of it that PyAV doesn't.
#
# Seen with PyAV 18.1.0 (FFmpeg 8). FFmpeg 8's decoders attach the EXIF block of a picture to its frame, a kind of side data
# that PyAV's enumeration has no member for. An animated PNG with an orientation tag, as Pillow writes it, decodes; any use of
# `frame.side_data`, also to ask for another kind such as the display matrix, raises ValueError, because all kinds are turned
# into members first. Camera JPEGs in an MJPEG stream do the same. The frame's pixels are unharmed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 pillow==12.0.0
cat >"$work/side_data.py" <<'PY'
import io

import av
from PIL import Image

print("PyAV", av.__version__)
exif = Image.Exif()
exif[0x0112] = 1  # upright
pictures = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
file = io.BytesIO()
pictures[0].save(file, "PNG", save_all=True, append_images=pictures[1:], duration=100, exif=exif)
file.seek(0)
with av.open(file, format="apng") as container:
    frame = next(container.decode(video=0))
print("decoded", frame.width, "x", frame.height)
try:
    frame.side_data.get("DISPLAYMATRIX")
except ValueError as error:
    print("side_data raises ValueError:", error)
else:
    raise SystemExit("not as seen before: side_data can be read")
PY
"$work/venv/bin/python" "$work/side_data.py"
