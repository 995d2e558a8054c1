"""Restoration of JPEG pictures, for `licjpegdec enhance=true`: a small network of the synthesis' kind that sees the samples and both
quantisation tables, and says what rounding the coefficients took away.

enhance.py CONFIG [--minutes N] [--steps N] [--device cuda]    writes ~/.cache/lic/runs/NAME/a.pt; resumes from it
enhance.py CONFIG --export OUT.onnx
enhance.py CONFIG --check FOLDER     PSNR of JPEG files made of a folder's pictures by libjpeg-turbo, before and after

In: Bx224x(H/8)x(W/8): a picture of 4:2:0, JFIF's YCbCr, packed as the codec does (96 channels, samples / 255 - 1/2), then the tables of
luma and chroma in raster order, log2(entry / 16) / 4. Out: 96 channels, to be added.
"""
import argparse
import io
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

from export import Graph
from lite import ByteBlock, dct
from model import pack, unpack
from train import RUNS, bf16, descend, pictures, read, start_on

SIZES = 6, 1, 1  # what a component's error weighs


class Enhance(nn.Module):
    def __init__(self, D=96, blocks=5):
        super().__init__()
        self.first = nn.Conv2d(224, D, 1)
        self.blocks = nn.Sequential(*[ByteBlock(D) for _ in range(blocks)])
        self.last = nn.Conv2d(D, 96, 1)
        with torch.no_grad():
            self.last.weight.mul_(0.01)
            self.last.bias.zero_()

    def forward(self, x):
        return self.last(self.blocks(self.first(x)))


def annex_k():
    """Annex K's tables in raster order, as libjpeg has them at quality 50."""
    f = io.BytesIO()
    Image.new("RGB", (16, 16)).save(f, "JPEG", quality=50)
    tables = Image.open(io.BytesIO(f.getvalue())).quantization
    raster = lambda t: torch.tensor(t).float()  # Pillow's are in raster order since 8.3
    return torch.stack([raster(tables[0]), raster(tables[1])])


def to_jfif(y, uv):
    """BT.709 planes as in data.from_rgb -> full-range BT.601 ones, Bx1xHxW and Bx2x(H/2)x(W/2) in [-0.5, 0.5]."""
    b, r = (uv[:, i : i + 1] * k for i, k in ((0, 1.8556), (1, 1.5748)))
    wide = lambda t: F.interpolate(t, scale_factor=2, mode="bilinear", align_corners=False)
    red, blue = y + wide(r), y + wide(b)
    green = y - (0.2126 * wide(r) + 0.0722 * wide(b)) / 0.7152
    red, green, blue = (t.clamp(-0.5, 0.5) for t in (red, green, blue))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma, F.avg_pool2d(torch.cat([(blue - luma) / 1.772, (red - luma) / 1.402], 1), 2)


def tables(n, base):
    """For n files: Annex K's at libjpeg's qualities 5 to 95, and nearly flat ones: Bx2x64, whole."""
    quality = 5 + 90 * torch.rand(n) ** 1.3
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    scaled = base[None] * percent / 100
    i = torch.arange(64)
    frequency = (i % 8 + i // 8) / 14
    lowest = (48 * 2 ** (-4 * torch.rand(n)))[:, None]
    flat = torch.stack([lowest * (1 + 0.25 * frequency), 0.58 * lowest * (1 + 0.5 * frequency)], 1)
    return torch.where((torch.rand(n) < 0.7)[:, None, None], scaled, flat).round().clamp(1, 255)


def through(plane, table, basis):
    """Bx?xHxW in [-0.5, 0.5] as a file with these tables, Bx64, holds it."""
    b, c, h, w = plane.shape
    t = table.view(b, 1, 1, 1, 8, 8)
    v = basis @ ((plane + 0.5) * 255 - 128).view(b, c, h // 8, 8, w // 8, 8).transpose(3, 4) @ basis.T
    v = basis.T @ ((v / t).round() * t) @ basis
    return (v.transpose(3, 4).reshape(b, c, h, w).round() + 128).clamp(0, 255) / 255 - 0.5


def said(table, h, w):
    """Tables Bx2x64 as channels."""
    return (torch.log2(table / 16) / 4).flatten(1)[:, :, None, None].expand(-1, -1, h, w)


def errors(t, x):
    return [(t[:, i] - x[:, i]).pow(2).mean((1, 2, 3)) for i in (slice(0, 64), slice(64, 80), slice(80, 96))]


def network(state, cfg):
    net = Enhance(**cfg["network"])
    net.load_state_dict({k: v.float() for k, v in state.items()})
    return net.eval()


def export(net, path):
    g = Graph(224, bytes=True)
    g.conv(net.first, bytes=True)
    for b in net.blocks:
        g.block(b)
    g.conv(net.last)
    g.save(path, 96)


@torch.no_grad()
def check(net, folder):
    """Components' PSNR, Y then (6Y + Cb + Cr) / 8, mean over pictures."""
    for quality in (10, 20, 35, 50, 75, 90):
        rows = []
        for f in sorted(Path(folder).iterdir()):
            im = Image.open(f).convert("RGB")
            im = im.crop((0, 0, im.width // 16 * 16, im.height // 16 * 16))
            file = io.BytesIO()
            im.save(file, "JPEG", quality=quality, subsampling="4:2:0")
            coded = Image.open(io.BytesIO(file.getvalue()))
            table = torch.tensor([coded.quantization[0], coded.quantization[1]]).float()[None]
            half = lambda a: torch.from_numpy(np.asarray(a.convert("YCbCr"), np.float32)).permute(2, 0, 1)[None] / 255 - 0.5
            true, got = half(im), half(coded)
            planes = lambda t: pack(t[:, :1], F.avg_pool2d(t[:, 1:], 2))
            x, y = planes(true), planes(got)
            out = (y + net(torch.cat([y, said(table, *y.shape[2:])], 1))).clamp(-0.5, 0.5)
            db = lambda t: [-10 * np.log10(e.item()) for e in errors(t, x)]
            rows.append([v for p in (db(y), db(out)) for v in (p[0], (6 * p[0] + p[1] + p[2]) / 8)])
        a = np.mean(rows, 0)
        print(f"quality {quality}: Y {a[0]:.2f} -> {a[2]:.2f} ({a[2] - a[0]:+.2f}), YUV {a[1]:.2f} -> {a[3]:.2f} ({a[3] - a[1]:+.2f}) dB", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--steps", type=int)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--section", default="train")
    ap.add_argument("--export", type=Path)
    ap.add_argument("--check", type=Path)
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg["train"] | cfg[a.section], RUNS / "runs" / cfg["name"]
    checkpoint = run / "a.pt"
    if a.export or a.check:
        net = network(torch.load(checkpoint, map_location="cpu")["enhance"], cfg)
        return export(net, a.export) if a.export else check(net, a.check)
    run.mkdir(parents=True, exist_ok=True)
    start_on(a.device, c["seed"], c["threads"])
    net = Enhance(**cfg["network"]).to(device=a.device, memory_format=torch.channels_last)
    start = read(checkpoint) if checkpoint.exists() else {}
    if start:
        net.load_state_dict(start["enhance"])
    opt = torch.optim.Adam(net.parameters(), lr=c["lr"])
    stills, basis, base = pictures(c["crop"]), dct(8).to(a.device), annex_k().to(a.device)

    def loss_of(_):
        y, uv = to_jfif(*stills.batch(c["batch"]))
        table = tables(len(y), base)
        x = pack(y, uv)
        coded = pack(through(y, table[:, 0], basis), through(uv, table[:, 1], basis))
        with bf16():
            out = coded + net(torch.cat([coded, said(table, *coded.shape[2:])], 1).contiguous(memory_format=torch.channels_last)).float()
        # Each file counts by the share of its error that is left, whatever its quality.
        before, after = errors(coded, x), errors(out, x)
        left = sum(s * a / (b + 1e-6) for s, a, b in zip(SIZES, after, before)) / sum(SIZES)
        gain = torch.stack([(a + 1e-7).log10().mean() - (b + 1e-7).log10().mean() for a, b in zip(after, before)]) * -10
        return left.mean(), [left.mean(), *gain]

    descend(checkpoint, opt, start, dict(enhance=net), loss_of, a.minutes or c["minutes"], a.steps, smooth=0.99, early=True, every=2000, graph=True)


if __name__ == "__main__":
    main()
