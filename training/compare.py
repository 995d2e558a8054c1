"""BD-rate of one pack against another, from real files of val_*, per file and on average.

compare.py BEFORE AFTER DATA {pictures,clips} [--program yuv] [--files N] [--frames N] [-- OPTION...]   OPTIONs go to both encoders (rdo=0, gop=48)
"""
import argparse
import subprocess
import tempfile
from pathlib import Path

import bjontegaard
import numpy as np

from data import size
from tune import QUALITIES, curve


def sources(folder, stills, count, frames, tmp):
    """Files of the folder as raw I420 in tmp: (path, width, height)."""
    files = sorted(folder.iterdir())
    for i, f in enumerate(files[:: max(1, len(files) // count)][:count]):
        w, h = (v // 8 * 8 for v in size(f))
        vf = f"crop={w}:{h}:0:0" + (",scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd" if stills else "")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", f, "-vf", vf, "-fps_mode", "passthrough", "-frames:v", "1" if stills else str(frames), "-pix_fmt", "yuv420p", "-f", "rawvideo", f"{tmp}/{i}.yuv"], check=True)
        yield f.name, (f"{tmp}/{i}.yuv", w, h)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("before"), ap.add_argument("after"), ap.add_argument("data"), ap.add_argument("kind", choices=["pictures", "clips"])
    ap.add_argument("options", nargs="*")
    ap.add_argument("--program", default="yuv"), ap.add_argument("--files", type=int, default=8), ap.add_argument("--frames", type=int, default=24)
    a = ap.parse_args()
    stills, rows, moves = a.kind == "pictures", [], []
    with tempfile.TemporaryDirectory() as tmp:
        for name, clip in sources(Path(a.data) / ("val_images" if stills else "val_video"), stills, a.files, a.frames, tmp):
            b, n = (curve(a, str(Path(p).resolve()), *clip, ["gop=32", *a.options]) for p in (a.before, a.after))
            rows.append([bjontegaard.bd_rate(b[0], b[i], n[0], n[i], method="pchip", require_matching_points=False, min_overlap=0) for i in (1, 2)])
            moves.append([np.log2(n[0] / b[0]), n[2] - b[2]])
            print(f"{name:>50}  Y {rows[-1][0]:+.2f}%  YUV {rows[-1][1]:+.2f}%", flush=True)
    print(f"{'mean of ' + str(len(rows)):>50}  Y {np.mean(rows, 0)[0]:+.2f}%  YUV {np.mean(rows, 0)[1]:+.2f}%   " + "  ".join(f"q{q} {r:+.3f} oct {d:+.2f} dB" for q, r, d in zip(QUALITIES, *np.mean(moves, 0))))


if __name__ == "__main__":
    main()
