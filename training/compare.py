"""BD-rate of one pack against another, from real files of val_*, per file and on average.

compare.py BEFORE AFTER DATA {pictures,clips} [--program yuv] [--files N] [--frames N] [-- OPTION...]   OPTIONs go to both encoders (rdo=0, gop=48)
"""
import argparse
import tempfile
from pathlib import Path

import numpy as np

from tune import QUALITIES, bd_rates, curve, sources


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
            rows.append(bd_rates(b, n))
            moves.append([np.log2(n[0] / b[0]), n[2] - b[2]])
            print(f"{name:>50}  Y {rows[-1][0]:+.2f}%  YUV {rows[-1][1]:+.2f}%", flush=True)
    print(f"{'mean of ' + str(len(rows)):>50}  Y {np.mean(rows, 0)[0]:+.2f}%  YUV {np.mean(rows, 0)[1]:+.2f}%   " + "  ".join(f"q{q} {r:+.3f} oct {d:+.2f} dB" for q, r, d in zip(QUALITIES, *np.mean(moves, 0))))


if __name__ == "__main__":
    main()
