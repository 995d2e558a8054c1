"""Chooses the encoder's lambda on val_*: BD-rate of real files against plain rounding, by strength.

tune.py PACK DATA {pictures,clips} LAMBDA... [--program yuv] [--files N] [--frames N]
PACK's prior is copied with each lambda in turn (for slices without reference from pictures, with one from clips).
LAMBDA: one number, or several joined by ':' spread over the steps from coarsest to finest.
"""
import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import bjontegaard
import numpy as np
from safetensors.numpy import load_file, save_file

from data import size

QUALITIES = [8, 25, 45, 65, 85]


def psnr(a, b, w, h):
    n = w * h * 3 // 2
    a, b = (np.fromfile(f, np.uint8).reshape(-1, n).astype(np.float32) for f in (a, b))
    cuts = (slice(0, w * h), slice(w * h, w * h * 5 // 4), slice(w * h * 5 // 4, n))
    p = [10 * np.log10(255**2 / np.maximum(((a[:, s] - b[:, s]) ** 2).mean(1), 0.01)).mean() for s in cuts]
    return p[0], (6 * p[0] + p[1] + p[2]) / 8


def curve(a, pack, yuv, w, h, extra):
    out = []
    for q in QUALITIES:
        lic, dec = yuv + ".lic", yuv + ".dec"
        subprocess.run([a.program, "encode", str(w), str(h), yuv, lic, f"quality={q}", f"model={pack}", "threads=1", *extra], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([a.program, "decode", lic, dec, "threads=1"], check=True, stdout=subprocess.DEVNULL, env=os.environ | {"LIC_MODELS": str(Path(pack).parent)})
        out.append((os.path.getsize(lic), *psnr(yuv, dec, w, h)))
    return np.array(out).T


def sources(folder, stills, count, frames, tmp):
    """Files of the folder as raw I420 in tmp: (path, width, height)."""
    files = sorted(folder.iterdir())
    for i, f in enumerate(files[:: max(1, len(files) // count)][:count]):
        w, h = (v // 8 * 8 for v in size(f))
        vf = f"crop={w}:{h}:0:0" + (",scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd" if stills else "")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", f, "-vf", vf, "-fps_mode", "passthrough", "-frames:v", "1" if stills else str(frames), "-pix_fmt", "yuv420p", "-f", "rawvideo", f"{tmp}/{i}.yuv"], check=True)
        yield f.name, (f"{tmp}/{i}.yuv", w, h)


def bd_rates(before, after):
    """Of two curves, in percent: Y, YUV 6:1:1."""
    return [bjontegaard.bd_rate(before[0], before[i], after[0], after[i], method="pchip", require_matching_points=False, min_overlap=0) for i in (1, 2)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("pack"), ap.add_argument("data"), ap.add_argument("kind", choices=["pictures", "clips"]), ap.add_argument("lambdas", nargs="+")
    ap.add_argument("--program", default="yuv"), ap.add_argument("--files", type=int, default=8), ap.add_argument("--frames", type=int, default=24)
    a = ap.parse_args()
    stills = a.kind == "pictures"
    with tempfile.TemporaryDirectory() as tmp:
        clips = [c for _, c in sources(Path(a.data) / ("val_images" if stills else "val_video"), stills, a.files, a.frames, tmp)]
        row = 0 if stills else 1
        base = None
        for lam in ["plain", *a.lambdas]:
            pack = Path(tmp) / f"pack-{lam}".replace(":", "-")
            pack.mkdir()
            for n in ("model.toml", "analysis.onnx", "synthesis.onnx", "networks.safetensors"):
                (pack / n).symlink_to(Path(a.pack).resolve() / n)
            t = load_file(Path(a.pack) / "prior.safetensors")
            if lam != "plain":
                v = [float(x) for x in lam.split(":")]
                t["lambda"][row] = np.interp(np.linspace(0, 1, 64), np.linspace(0, 1, len(v)), v)
            save_file(t, pack / "prior.safetensors")
            extra = ["rdo=0"] if lam == "plain" else []
            now = [curve(a, str(pack), *c, [*extra, "gop=32"]) for c in clips]
            base = base or now
            bd = np.mean([bd_rates(b, n) for b, n in zip(base, now)], 0)
            # How rate and quality move at each quality, for strengths that depend on the step.
            move = np.mean([[np.log2(n[0] / b[0]), n[2] - b[2]] for b, n in zip(base, now)], 0)
            print(f"{lam:>12}: Y {bd[0]:+.2f}%  YUV {bd[1]:+.2f}%   " + "  ".join(f"q{q} {r:+.3f} oct {d:+.2f} dB" for q, r, d in zip(QUALITIES, *move)), flush=True)


if __name__ == "__main__":
    main()
