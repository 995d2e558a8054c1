"""The cost of integers and of real files: bits of the same symbols under the float prior, the integer prior, and in the file.

evaluate.py CONFIG BEFORE AFTER PACK DATA SPLIT [--program yuv] [--frames N]
BEFORE: weights ahead of stage c (float rows); AFTER: those that PACK was exported from (files, or folders of a run). Symbols are what the encoder made of
SPLIT (val or eval): every picture as a key frame, every clip as one group of pictures of kind `latent`. The prior of kind `motion` is compared by
motion_prior.py --validate; here only its files with what their symbols cost by its own probabilities.
"""
import argparse
import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

from data import size
from export import furthest
from model import KNOTS, InterPrior, IntraPrior, laplace_bits, ste_round
from quant import activation, set_quantised


def frames(path):
    """Frames of a dump: bytes, key, step, slices of kind none, values [h][w][M], skip [h][w]."""
    b, at = Path(path).read_bytes(), 0
    while at < len(b):
        n, key, step, none, w, h, m = np.frombuffer(b, np.uint32, 7, at).tolist()
        at += 28
        v = np.frombuffer(b, np.int32, h * w * m, at).reshape(h, w, m)
        at += 4 * h * w * m
        yield n, key, step, none, v, np.frombuffer(b, np.uint8, h * w, at).reshape(h, w)
        at += h * w


class Pricer:
    """Bits of dumped frames under one pair of priors."""

    def __init__(self, cfg, weights, quantised):
        s = furthest(Path(weights))
        self.nets = []
        for cls, key in ((IntraPrior, "intra"), (InterPrior, "inter")):
            net = cls(**cfg[key])
            net.load_state_dict({k: v.float() for k, v in s[key].items()})
            set_quantised(net.eval(), quantised)
            self.nets.append(net)

    @torch.no_grad()
    def intra(self, k, q):
        p = self.nets[0]
        z = ste_round(p.hyper_analysis(activation(p, k)))
        return (laplace_bits(k, *p(k, z, q)).sum() + p.hyper_bits(z, q).sum()).item()

    @torch.no_grad()
    def inter(self, k, ref, skip, q):
        by, bz = self.nets[1].bits(torch.where(skip > 0, ref, k), ref, skip, q, train=False)
        return (by.sum() + bz.sum()).item()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("config", "before", "after", "pack", "data", "split"):
        ap.add_argument(name)
    ap.add_argument("--program", default="yuv"), ap.add_argument("--frames", type=int, default=8), ap.add_argument("--qualities", default="15,45,75")
    a = ap.parse_args()
    torch.set_num_threads(1)
    cfg = tomllib.loads(Path(a.config).read_text())
    rows = {"float prior before stage c": Pricer(cfg, a.before, False), "shipped weights, not rounded": Pricer(cfg, a.after, False), "integer prior (estimate)": Pricer(cfg, a.after, True)}
    sizes = torch.from_numpy(load_file(Path(a.pack) / "prior.safetensors")["step_size"].astype(np.float64))
    total = {k: {"key": 0.0, "inter": 0.0} for k in (*rows, "file")}
    skip_bits, moved = 0.0, [0.0, 0.0]  # bytes of files of kind motion, and of their symbols
    with tempfile.TemporaryDirectory() as tmp:
        for f in [*sorted(Path(a.data, f"{a.split}_images").iterdir()), *sorted(Path(a.data, f"{a.split}_video").glob("*.mp4"))]:
            w, h = (v // 8 * 8 for v in size(f))
            still = f.suffix != ".mp4"
            vf = f"crop={w}:{h}:0:0" + (",scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd" if still else "")
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", f, "-vf", vf, "-fps_mode", "passthrough", "-frames:v", "1" if still else str(a.frames), "-pix_fmt", "yuv420p", "-f", "rawvideo", f"{tmp}/y"], check=True)
            for quality in a.qualities.split(","):
                env = os.environ | {"LIC_MODELS": str(Path(a.pack).resolve().parent)}
                subprocess.run([a.program, "encode", str(w), str(h), f"{tmp}/y", f"{tmp}/lic", f"quality={quality}", f"model={Path(a.pack).resolve()}", "slices=1", "gop=0", "inter=latent"], check=True, stdout=subprocess.DEVNULL, env=env)
                if not still:
                    subprocess.run([a.program, "encode", str(w), str(h), f"{tmp}/y", f"{tmp}/moved", f"quality={quality}", f"model={Path(a.pack).resolve()}", "slices=1", "gop=0", "inter=motion"], check=True, stdout=subprocess.DEVNULL, env=env)
                    out = subprocess.check_output([a.program, "shares", f"{tmp}/moved"], text=True, env=env)
                    size_of, rest = re.search(r"reference: (\d+) of", out), re.search(r"CRC ([\d.-]+)%", out)
                    moved[0] += int(size_of[1])
                    moved[1] += int(size_of[1]) * (1 - float(rest[1]) / 100)
                subprocess.run([a.program, "dump", f"{tmp}/lic", f"{tmp}/dump"], check=True, env=env)
                last = None
                for n, key, step, none, v, skip in frames(f"{tmp}/dump"):
                    q = torch.tensor([step * (KNOTS - 1) / 63])
                    v = torch.from_numpy(v.astype(np.float64)).permute(2, 0, 1)[None] / sizes[step][None, :, None, None]
                    skip = torch.from_numpy(skip.astype(np.float32))[None, None]
                    ref, last = last, ((v * 8).round() / 8).float()
                    k, kind = v.round().float(), "key" if none else "inter"
                    if skip.all():
                        continue
                    for name, p in rows.items():
                        total[name][kind] += p.intra(k, q) if none else p.inter(k, ref, skip, q)
                    if not none:
                        skip_bits += map_bits(skip[0, 0].numpy())
                    total["file"][kind] += 8 * n
    print(f"skip maps, estimated: {skip_bits / 8e3:.1f} kB (added to the inter estimates)")
    for name in rows:
        total[name]["inter"] += skip_bits
    base = total["float prior before stage c"]
    print(f"| {a.split} | key frames, kB | inter frames, kB | together against float |\n|---|---|---|---|")
    for name, t in total.items():
        print(f"| {name} | {t['key'] / 8e3:.1f} | {t['inter'] / 8e3:.1f} | {(t['key'] + t['inter']) / (base['key'] + base['inter']) * 100 - 100:+.2f}% |")
    print(f"\nKind motion, frames with a reference: {moved[1] / 1e3:.1f} kB of symbols by the integer prior, {moved[0] / 1e3:.1f} kB in the file with headers and checksums ({moved[0] / moved[1] * 100 - 100:+.2f}%)")


def map_bits(s):
    """Bits of a skip map under its static context model: an estimate that does not know the coder's adaptation."""
    P = np.pad(s.astype(int), ((1, 0), (1, 1)), constant_values=1)
    w = s.shape[1]
    ctx, bits = P[1:, :w] * 4 + P[:-1, 1 : w + 1] * 2 + P[:-1, 2:], 0.0
    for c in np.unique(ctx):
        v = s[ctx == c]
        p = (v.sum() + 0.5) / (len(v) + 1)
        bits -= v.sum() * np.log2(p) + (len(v) - v.sum()) * np.log2(1 - p)
    return bits


if __name__ == "__main__":
    main()
