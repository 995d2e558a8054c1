"""Short sequences of quantised latents as the encoder will make them: what the temporal prior is trained on."""
import random
from pathlib import Path

import torch
import torch.nn.functional as F

from data import from_i420
from model import KNOTS, knots, pack


class Clips:
    """Crops of n frames, `gap` apart, some of them still, some with the sensor noise that the clips lost to their own compression."""

    def __init__(self, root, crop, gaps, split="train"):
        self.crop, self.gaps = crop, gaps
        self.clips = [c for c in torch.load(Path(root) / f"clips_{split}.pt", mmap=True) if min(c[0].shape[2:]) >= crop]

    def sequence(self, n):
        y, u = random.choice(self.clips)
        p, gap = self.crop, random.choice(self.gaps)
        t = random.randrange(max(1, len(y) - (n - 1) * gap))
        idx = [min(len(y) - 1, t + gap * i) for i in range(n)]
        still = random.random() < 0.15
        if still:
            idx = idx[:1] * n
        a, b = random.randrange((y.shape[2] - p) // 2 + 1) * 2, random.randrange((y.shape[3] - p) // 2 + 1) * 2
        yy, uu = from_i420(y[idx, :, a : a + p, b : b + p], u[idx, :, a // 2 : (a + p) // 2, b // 2 : (b + p) // 2])
        if still or random.random() < 0.4:
            s = random.choice([0.5, 1, 2, 3, 4]) / 255
            yy, uu = yy + torch.randn_like(yy) * s, uu + torch.randn_like(uu) * s * 0.7
        if random.random() < 0.5:
            yy, uu = yy.flip(3), uu.flip(3)
        return yy, uu

    def batch(self, n, frames):
        s = [self.sequence(frames) for _ in range(n)]
        return torch.cat([y for y, _ in s]), torch.cat([u for _, u in s])


def avg3(x):
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def quantise(y, ref, lam):
    """The encoder's first guess (codec/src/encoder/skip.rs): a change must be worth its bits, and a position its flag.

    y, ref BxMxhxw in steps; lam Bx1x1x1, squared error a bit. Returns values (integers where coded, ref where skipped), skip map."""
    r, keep = y.round(), ref.round()
    d = (y - ref).abs()
    share = avg3((d > 0.5).float().mean(1, keepdim=True)).clamp(0.01, 0.6)
    cost = torch.log2((1 - share) / share) + 1
    change = (2 * d - 1 > lam * cost) & (d > 0.5)
    gain = (d**2 - (y - r) ** 2).mul(change).sum(1, keepdim=True)
    skip = (gain < lam * (change.sum(1, keepdim=True) * (cost + 1) + 2)).float()
    return torch.where(skip > 0, ref, torch.where(change, r, keep)), skip


def choose(y, mean, log_scale, lam):
    """The encoder's choice of each symbol: the nearest integer, one step towards the mean, or the mean, by error + lam * bits."""
    from model import laplace_bits

    r, m = y.round(), (mean + 1 / 16).round()
    best, cost = r, (y - r) ** 2 + lam * laplace_bits(r, mean, log_scale)
    for k in (r + (m - r).sign(), m):
        c = (y - k) ** 2 + lam * laplace_bits(k, mean, log_scale)
        best, cost = torch.where(c < cost, k, best), torch.minimum(c, cost)
    return best


@torch.no_grad()
def chain(ae, y, uv, batch, frames, lam):
    """Planes of batch * frames pictures -> latents of the last (before rounding), its reference, quantised values, skip map, q."""
    q = torch.rand(batch) * (KNOTS - 1)
    latents = ae.enc(pack(y, uv).contiguous(memory_format=torch.channels_last)).float().unflatten(0, (batch, frames))
    at = lambda i, q: latents[:, i] * torch.exp(knots(ae.genc, q))
    # Some references come from another step, more often a finer one (key frames): their values fall between the integers.
    other = torch.where(torch.rand(batch) < 0.35, (q + torch.empty(batch).uniform_(-0.7, 1.7)).clamp(0, KNOTS - 1), q)
    ref = at(0, other).round() * torch.exp(knots(ae.gdec, other) - knots(ae.gdec, q))
    ref = (ref * 8).round() / 8
    for i in range(1, frames - 1):
        ref = quantise(at(i, q), ref, lam)[0]
    last = at(frames - 1, q)
    return last, ref, *quantise(last, ref, lam), q
