"""What the lite networks reach on pictures: bits a pixel by LitePrior (an estimate; no file is written) and RGB PSNR, beside JPEG.

lite_eval.py CHECKPOINT val|FOLDER [EVERY]   every EVERY-th picture of the packed validation set, or of a folder's kodim*.png
"""
import io
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from data import from_rgb
from lite import Lite, LitePrior, dead_zone
from model import KNOTS, laplace_bits, unpack
from train import RUNS


def to_rgb(y, uv):
    """Planes as in data.from_rgb -> HxWx3 uint8; chroma is interpolated linearly."""
    uv = F.interpolate(uv, scale_factor=2, mode="bilinear", align_corners=False)
    y, b, r = y[0, 0] + 0.5, uv[0, 0] * 1.8556, uv[0, 1] * 1.5748
    g = (y - 0.2126 * (y + r) - 0.0722 * (y + b)) / 0.7152
    return (torch.stack([y + r, g, y + b], 2) * 255).round().clamp(0, 255).byte().numpy()


def psnr(a, b):
    return -10 * np.log10(np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2) / 255**2)


def planes(im):
    y, uv = from_rgb(im)
    return torch.from_numpy(y)[None], torch.from_numpy(uv)[None]


def pictures(which, every=1):
    """RGB pictures cropped to multiples of 16."""
    if which == "val":
        found = [p.numpy() for p in torch.load(RUNS / "data/pictures_val.pt")][::every]
    else:
        found = [np.asarray(Image.open(f).convert("RGB")) for f in sorted(Path(which).glob("kodim*.png"))][::every]
    return [np.ascontiguousarray(p[: p.shape[0] // 16 * 16, : p.shape[1] // 16 * 16]) for p in found]


def load(path):
    state = torch.load(path)
    w = state["lite"]
    blocks = sum(k.startswith("dec1.") and k.endswith(".dw.weight") for k in w)
    net, prior = Lite(w["luma.weight"].shape[-1], w["head.weight"].shape[1], blocks), LitePrior()
    net.load_state_dict({k: v.float() for k, v in state["lite"].items()})
    prior.load_state_dict({k: v.float() for k, v in state["prior"].items()})
    print(f"{path}: {state['it']} steps, {state['spent'] / 60:.0f} minutes")
    return net.eval(), prior.eval()


@torch.no_grad()
def main():
    net, prior = load(sys.argv[1])
    torch.set_num_threads(1)
    ims = pictures(*(sys.argv[2:3] or ["val"]), every=int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    for quality in (5, 10, 20, 40, 70):
        rows = []
        for im in ims:
            f = io.BytesIO()
            Image.fromarray(im).save(f, "JPEG", quality=quality, optimize=True)
            rows.append((f.tell() * 8 / im[..., 0].size, psnr(np.asarray(Image.open(f)), im)))
        print("jpeg", quality, *np.round(np.mean(rows, 0), 4))
    for q, groups in [(0, 8), (1, 8), (2, 8), (3, 8), (5, 8), (6.9, 8), (2, 1), (2, 2), (2, 4)]:
        rows = []
        for im in ims:
            y, uv = planes(im)
            t = torch.tensor([float(q)])
            yh = dead_zone(net.encode(y, uv, t), 0.6)
            yh[:, groups * 16 :] = 0
            bits = laplace_bits(yh, *prior(yh, t))[:, : groups * 16].sum().item()
            out = to_rgb(*unpack(net.decode(yh, t)))
            rows.append((bits / im[..., 0].size, psnr(out, im)))
        print("lite", q, groups, *np.round(np.mean(rows, 0), 4), flush=True)


if __name__ == "__main__":
    main()
