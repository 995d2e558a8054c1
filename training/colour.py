"""The learned colour of JPEG files: a pointwise transform with companding, and three quantisation tables at each of four rates.

colour.py CONFIG DATA OUT   trains on DATA/train_images, reports on DATA/val_images through Pillow, writes OUT (codec/src/jpeg/pair.rs)

All are trained together from pictures through a differentiable JPEG (after SEAOTTER, PyPI seaotter 1.0.0): colour transform, block DCT,
quantisation, and all the way back, for the squared error of red, green and blue; levels are rounded, with the gradient of a soft rounding
(Agustsson and Theis, arXiv 2006.09952). The rate is that of Laplacian levels whose scale follows from their neighbours in zigzag order,
which is how runs and ends of blocks tell busy blocks from flat ones.
"""
import argparse
import io
import math
import random
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

from lite import dct

ZIGZAG = sorted(range(64), key=lambda n: (n // 8 + n % 8, n % 8 if (n // 8 + n % 8) % 2 == 0 else n // 8))
MIDDLE = 128


def pictures(folder, scale):
    """Red, green and blue, scaled down by a factor within `scale`, whole blocks."""
    out = []
    for f in sorted(folder.iterdir()):
        im, s = Image.open(f).convert("RGB"), random.uniform(*scale)
        out.append(np.asarray(im.resize((int(im.width * s) // 8 * 8, int(im.height * s) // 8 * 8), Image.LANCZOS)))
    return out


def straight(hard, soft):
    """The value of the one, the gradient of the other."""
    return soft + (hard - soft).detach()


def levels(v, dead_zone, sharp=5.0):
    v = torch.sign(v) * F.relu(v.abs() - dead_zone)
    down = torch.floor(v)
    return straight(torch.round(v), down + 0.5 + 0.5 * torch.tanh(sharp * (v - down - 0.5)) / math.tanh(sharp / 2))


def laplace_bits(v, scale):
    """Of whole numbers."""
    a = v.abs()
    near = a.clamp_max(0.5)  # of the two branches each must have a finite gradient
    zero = 1 - 0.5 * torch.exp((near - 0.5) / scale) - 0.5 * torch.exp((-near - 0.5) / scale)
    other = 0.5 * torch.exp((0.5 - a.clamp_min(0.5)) / scale) * (1 - torch.exp(-1 / scale))
    return -torch.log2(torch.where(a < 0.5, zero, other).clamp_min(1e-9))


class Colour(nn.Module):
    """Tables of one rate each; the transform and the rate's model are shared."""

    def __init__(self, start, dead_zone):
        super().__init__()
        matrix = torch.tensor([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
        matrix[1:] *= 1.4  # natural chroma leaves half of its range unused
        self.matrix = nn.Parameter(matrix)
        self.bend = nn.Parameter(torch.tensor([-1.0, -1.0]))
        self.tables = nn.Parameter(torch.log(torch.tensor(start).float())[:, None, None, None].repeat(1, 3, 8, 8))
        self.floor, self.slope = nn.Parameter(torch.zeros(3, 8, 8)), nn.Parameter(torch.full((3, 8, 8), 0.7))
        zone = torch.full((8, 8), dead_zone)
        zone[0, 0] = 0
        near = torch.tensor([0.3, 0.5, 0.7, 0.9, 1, 1, 0, 1, 1, 0.9, 0.7, 0.5, 0.3])
        order = torch.tensor(ZIGZAG)
        for name, t in dict(zone=zone, near=(near / near.sum())[None, None], order=order, back=order.argsort(), dct=dct(8)).items():
            self.register_buffer(name, t, persistent=False)

    def knee(self):
        """Of the companding u / (1 + knee |u| / 128), one a component. The first one's, left free, goes to 0."""
        return torch.cat([torch.zeros(1), 0.9 * torch.sigmoid(self.bend)])

    def integers(self, rate):
        t = torch.exp(self.tables[rate])
        return straight(t.round().clamp(1, 255), t)

    def forward(self, x, rate):
        """Pictures Bx3xHxW, 0 to 255 -> squared error and bits a pixel of each, and how far samples overshoot."""
        b, _, h, w = x.shape
        k = self.knee()[None, :, None, None]
        u = torch.einsum("ij,bjhw->bihw", self.matrix, x - MIDDLE)
        d = u / (1 + k * u.abs() / 128)
        over = (F.relu(d - 127) + F.relu(-128 - d)).mean()
        table = self.integers(rate)[:, None, None]
        v = self.dct @ d.view(b, 3, h // 8, 8, w // 8, 8).transpose(3, 4) @ self.dct.T
        v = levels(v / table, self.zone)
        d = (self.dct.T @ (v * table) @ self.dct).transpose(3, 4).reshape(b, 3, h, w)
        d = straight(d.round(), d).clamp(-128, 127)
        u = d / (1 - k * d.abs() / 128)
        r = torch.einsum("ij,bjhw->bihw", torch.inverse(self.matrix), u) + MIDDLE
        r = straight(r.round(), r).clamp(0, 255)
        return ((r - x) ** 2).mean((1, 2, 3)), self.bits(v) / (h * w), over

    def bits(self, v):
        with torch.no_grad():
            a = v.abs()
            a[..., 0, 0] = 0
            near = F.conv1d(a.flatten(4)[..., self.order].reshape(-1, 1, 64), self.near, padding=6)
            near = near.view(*v.shape[:4], 64)[..., self.back].view(v.shape)
        wide = lambda p: p[:, None, None]
        ac = laplace_bits(v, torch.exp(wide(self.floor) + wide(self.slope) * torch.log(near + 0.02)) + 1e-3)
        ac = ac.flatten(4)[..., 1:].sum((1, 2, 3, 4))
        dc = v[..., 0, 0]
        change = torch.cat([dc[..., :1], dc[..., 1:] - dc[..., :-1]], -1)
        return ac + (1.6 * torch.log2(1 + change.abs()) + 1.5).sum((1, 2, 3))

    @torch.no_grad()
    def values(self):
        tables = [self.integers(i).numpy().astype(int) for i in range(len(self.tables))]
        return self.matrix.numpy().astype(float).round(6), self.knee().numpy().astype(float).round(6), tables


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a - b) ** 2))


def written(picture, matrix, knee, tables):
    """Bytes and PSNR of a file by libjpeg, which takes rounded samples: lictojpeg's are a little better."""
    u = (picture.astype(float) - MIDDLE) @ matrix.T
    samples = np.clip(np.rint(128 + u / (1 + knee * np.abs(u) / 128)), 0, 255).astype(np.uint8)
    f = io.BytesIO()
    Image.fromarray(samples, "YCbCr").save(f, "JPEG", qtables=[t.flatten().tolist() for t in tables], subsampling=0, optimize=True)
    read = Image.open(f)
    read.draft("YCbCr", read.size)
    d = np.asarray(read).astype(float) - 128
    out = (d / (1 - knee * np.abs(d) / 128)) @ np.linalg.inv(matrix).T + MIDDLE
    return f.tell(), psnr(np.clip(np.rint(out), 0, 255), picture)


def plain(picture, subsampling):
    """The same of libjpeg's own, at many qualities."""
    out = []
    for quality in (*range(10, 80, 5), *range(80, 99, 2)):
        f = io.BytesIO()
        Image.fromarray(picture).save(f, "JPEG", quality=quality, subsampling=subsampling, optimize=True)
        out.append((f.tell(), psnr(np.asarray(Image.open(f).convert("RGB"), float), picture)))
    return np.log([n for n, _ in out]), [p for _, p in out]


def report(pictures, values):
    matrix, knee, tables = values
    curves = [[plain(p, s) for s in (0, 2)] for p in pictures]
    print("rate   bpp    PSNR   dB over plain 4:4:4, 4:2:0 at equal bytes")
    for rate, t in enumerate(tables):
        rows = []
        for p, c in zip(pictures, curves):
            n, own = written(p, matrix, knee, t)
            rows.append((8 * n / p[..., 0].size, own, *(own - np.interp(np.log(n), *curve) for curve in c)))
        print("{:4d} {:6.3f} {:6.2f} {:+6.2f} {:+6.2f}".format(rate, *np.mean(rows, axis=0)), flush=True)


def rust(values):
    """The source file of the codec."""
    matrix, knee, tables = values
    row = lambda v: "[" + ", ".join(f"{x:g}" if "." in f"{x:g}" else f"{x:.1f}" for x in v) + "]"
    lines = ["//! The learned colour pair and its tables. Made by training/colour.py.", ""]
    lines += ["/// Red, green and blue less 128 -> components before companding.", "pub const MATRIX: [[f64; 3]; 3] = ["]
    lines += [f"    {row(r)}," for r in matrix] + ["];", "", "/// Of the companding u / (1 + knee |u| / 128).", f"pub const KNEE: [f64; 3] = {row(knee)};", ""]
    lines += ["/// By rate and component, in zigzag order.", "#[rustfmt::skip]", f"pub const TABLES: [[[u8; 64]; 3]; {len(tables)}] = ["]
    for t in tables:
        lines.append("    [")
        for component in t:
            z = component.flatten()[ZIGZAG]
            lines.append("        [")
            lines += ["            " + ", ".join(map(str, z[i : i + 32])) + "," for i in (0, 32)]
            lines.append("        ],")
        lines.append("    ],")
    return "\n".join(lines + ["];", ""])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config", type=Path)
    ap.add_argument("data", type=Path)
    ap.add_argument("out", type=Path)
    a = ap.parse_args()
    c = tomllib.loads(a.config.read_text())
    torch.set_num_threads(c["threads"])
    torch.manual_seed(c["seed"])
    random.seed(c["seed"])
    train = [p for p in pictures(a.data / "train_images", c["scale"]) if min(p.shape[:2]) >= c["crop"]]
    val = pictures(a.data / "val_images", (0.67, 0.67))
    net = Colour(c["start"], c["dead_zone"])
    lr = c["lr"]
    groups = [([net.matrix], lr / 10), ([net.bend], 2 * lr), ([net.tables], lr), ([net.floor, net.slope], lr)]
    opt = torch.optim.Adam([dict(params=p, lr=r) for p, r in groups])
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, [r for _, r in groups], total_steps=c["steps"], pct_start=0.1)
    began = time.time()
    for step in range(c["steps"]):
        batch = []
        for _ in range(c["batch"]):
            p, n = random.choice(train), c["crop"]
            y, x = random.randrange(p.shape[0] - n + 1), random.randrange(p.shape[1] - n + 1)
            p = p[y : y + n, x : x + n]
            p = p[:, ::-1] if random.random() < 0.5 else p
            batch.append(np.ascontiguousarray(p.transpose(1, 0, 2) if random.random() < 0.5 else p))
        x = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()
        loss = 0
        for rate, weight in enumerate(c["lambda"]):
            error, bits, over = net(x, rate)
            loss = loss + (weight * torch.log2(error + 0.5) + bits).mean() + 0.05 * over
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        if step % 250 == 249:
            print(f"step {step + 1}, {time.time() - began:.0f} s, knee {net.knee().detach().numpy().round(3)}", flush=True)
    a.out.write_text(rust(net.values()))
    report(val, net.values())


if __name__ == "__main__":
    main()
