#!/usr/bin/env bash
# swscale leaves columns of planar RGB unwritten at some widths.
#
# Seen with PyAV 18.1.0, whose wheel carries libswscale 9.5.102 (x86-64). A yuv420p frame of one grey is converted to RGB at
# every width from 848 to 863, by turns black and white, so that a column that isn't written keeps what its memory held
# before. Into rgb24 every pixel of every width is right. Into gbrp, where the width is 1 to 8 pixels more than a multiple of
# 16, the columns beyond that multiple are not written at all. 854 (480p), 424, 1080 (a phone held upright) and 360 are
# such widths. Nothing is raised or logged; whoever reads the planes gets what an earlier frame, or anything else, left there.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 numpy==2.2.6
cat >"$work/convert.py" <<'PY'
import av
import numpy as np

print("PyAV", av.__version__, "libswscale", av.library_versions["libswscale"])
GREYS = (16, 235)  # black and white of limited range, 0 and 255 in RGB


def unwritten_columns(pixel_format: str, width: int) -> int:
    """Columns in which a picture of one grey has anything else."""
    wrong = np.zeros(width, bool)
    for turn in range(20):
        grey = GREYS[turn % 2]
        frame = av.VideoFrame(width, 64, "yuv420p")
        for plane, value in zip(frame.planes, (grey, 128, 128)):
            plane.update(bytes([value]) * plane.buffer_size)
        for plane in frame.reformat(format=pixel_format).planes:
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
            samples = 3 if pixel_format == "rgb24" else 1
            pixels = rows[:, : width * samples].reshape(plane.height, width, samples)
            wrong |= (pixels != 255 * (turn % 2)).any(axis=(0, 2))
    return int(wrong.sum())


seen = {width: (unwritten_columns("rgb24", width), unwritten_columns("gbrp", width)) for width in range(848, 864)}
for width, (packed, planar) in seen.items():
    print(f"width {width} (mod 16: {width % 16:2}): rgb24 {packed} wrong columns, gbrp {planar}")
expected = {w: (0, w % 16 if 1 <= w % 16 <= 8 else 0) for w in seen}
raise SystemExit(0 if seen == expected else "not as seen before")
PY
"$work/venv/bin/python" "$work/convert.py"
