"""The lite codec: linear strided patches, companded to int8, and a larger synthesis.

lite.py CONFIG [a|b] [--minutes N] [--init WEIGHTS]   resumes from the run folder if it holds the stage's checkpoint
Stage a trains all against the rate of LitePrior; stage b the synthesis alone, the sensor being frozen.

The sensor computes one linear map and nothing else (FRAPPE, the encoder of SEAOTTER): luma patches of K x K at stride 16, chroma patches
of K/2 x K/2 at stride 8, so that all latents lie at 1/16. Group g of 16 channels is 12 of luma and 4 of chroma; groups are in order of
importance by random tail drop. The synthesis is of the base codec's kind, so that one decoder runs both, and larger: the sensor pays nothing for it.
"""
import argparse
import math
import random
import tomllib
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

from model import KNOTS, Block, knots, laplace_bits, pack
from train import RUNS, bf16, descend, distortion, lambdas, pictures, read, start_on

GROUPS, GROUP, LUMA = 8, 16, 12  # groups, channels in a group, how many of them are luma's
RANGE = 127.5


def compand(x):
    """Any real -> (-RANGE, RANGE): the identity near zero, saturating softly."""
    return x / torch.sqrt(1 + (x / RANGE) ** 2)


def decompand(y):
    """The inverse, of integers within int8."""
    y = y.clamp(-127, 127)
    return y / torch.sqrt(1 - (y / RANGE) ** 2)


def dead_zone(v, zone):
    """Rounds |v| - 0.1, with |v| < zone (at least 0.6; a number, or one a channel) going to 0; gradient straight through."""
    a = v.abs()
    r = torch.sign(v) * torch.floor(a + 0.4) * (a >= zone)
    return v + (r - v).detach()


def zones_at(zones, q):
    """Rows of a table of 64 steps x channels at positions q (B,): BxMx1x1."""
    return zones[(q / (KNOTS - 1) * (len(zones) - 1)).round().long()][:, :, None, None]


def dct(n):
    """Orthonormal DCT-II, rows are basis functions."""
    k, i = torch.arange(n)[:, None].float(), torch.arange(n)[None].float()
    t = torch.cos(math.pi * (2 * i + 1) * k / (2 * n)) * math.sqrt(2 / n)
    t[0] /= math.sqrt(2)
    return t


def basis(n, keep):
    """The `keep` two-dimensional cosines of an n x n block with the largest variance under a 1/f^2 spectrum: keep x n x n."""
    t = dct(n)
    order = sorted((u * u + v * v, u, v) for u in range(n) for v in range(n))
    return torch.stack([t[u][:, None] * t[v][None] for _, u, v in order[:keep]])


class ByteBlock(Block):
    """Its 1x1 convolutions' weights as the pack stores them: bytes, with a scale for each output."""

    def forward(self, x):
        one = lambda c, x: F.conv2d(x, as_bytes(c.weight), c.bias)
        return x + one(self.b, F.leaky_relu(one(self.a, self.dw(x)), 0.1))


def as_bytes(w):
    scale = w.detach().abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
    return w + ((w / scale).round() * scale - w).detach()


class Lite(nn.Module):
    """encode: planes -> latents before rounding, within int8; decode: their integers -> packed picture (96 channels at 1/8)."""

    def __init__(self, K=24, D=128, dec_blocks=5, gain=2.6, start=5.0):
        super().__init__()
        self.K, self.M = K, GROUPS * GROUP
        m = self.M
        self.luma = nn.Conv2d(1, GROUPS * LUMA, K, 16, bias=False)
        self.chroma = nn.Conv2d(2, m - GROUPS * LUMA, K // 2, 8, bias=False)
        self.dec0 = nn.Sequential(nn.Conv2d(m, 4 * D, 1), nn.PixelShuffle(2))
        self.dec1 = nn.Sequential(*[ByteBlock(D) for _ in range(dec_blocks)])
        self.head = nn.Conv2d(D, 96, 1)
        self.genc = nn.Parameter(torch.linspace(0.0, gain, KNOTS)[:, None].repeat(1, m))  # log gain
        self.gdec = nn.Parameter(-torch.linspace(0.0, gain, KNOTS)[:, None].repeat(1, m))
        c = torch.arange(m)
        is_luma = c % GROUP < LUMA
        self.register_buffer("order", torch.cat([c[is_luma], c[~is_luma]]).argsort(), persistent=False)
        self.cosines(start)

    @torch.no_grad()
    def cosines(self, start):
        """Starts as block cosines and their inverse; training leaves from there."""
        K, D = self.K, self.head.weight.shape[1]
        y, c = basis(16, GROUPS * LUMA), basis(8, (self.M - GROUPS * LUMA) // 2)
        a, b = (K - 16) // 2, (K // 2 - 8) // 2
        self.luma.weight.mul_(0.01)[:, 0, a : a + 16, a : a + 16] += start * y
        self.chroma.weight.mul_(0.01)
        w = self.dec0[0].weight  # 4D x M x 1 x 1; output d*4 + dy*2 + dx
        w[: 4 * 96] = 0
        w.mul_(0.1)
        self.dec0[0].bias.zero_()
        place = torch.arange(self.M)[self.order].argsort()  # latent channel of the i-th of [luma, chroma]
        for dy in (0, 1):
            for dx in (0, 1):
                for d in range(64):
                    w[d * 4 + dy * 2 + dx, place[: GROUPS * LUMA], 0, 0] = y[:, 8 * dy + d // 8, 8 * dx + d % 8] / start
        for i in range(self.M - GROUPS * LUMA):
            p = i % 2
            self.chroma.weight[i, p, b : b + 8, b : b + 8] += start * c[i // 2]
            for dy in (0, 1):
                for dx in (0, 1):
                    for d in range(16):
                        w[(64 + 16 * p + d) * 4 + dy * 2 + dx, place[GROUPS * LUMA + i], 0, 0] = c[i // 2, 4 * dy + d // 4, 4 * dx + d % 4] / start
        self.head.weight.mul_(0.1)
        self.head.weight[:, :96, 0, 0] += torch.eye(96)
        self.head.bias.zero_()
        for block in self.dec1:
            block.b.weight.zero_()
            block.b.bias.zero_()

    def linear(self, y, uv):
        """What the sensor computes, before the gain: BxMx(H/16)x(W/16); the picture's border is repeated outside."""
        a, b = (self.K - 16) // 2, (self.K // 2 - 8) // 2
        t = torch.cat([self.luma(F.pad(y, [a] * 4, mode="replicate")), self.chroma(F.pad(uv, [b] * 4, mode="replicate"))], 1)
        return t[:, self.order].float()

    def encode(self, y, uv, q):
        return compand(self.linear(y, uv) * torch.exp(knots(self.genc, q)))

    def decode(self, yh, q):
        return self.head(self.dec1(self.dec0(decompand(yh) * torch.exp(knots(self.gdec, q)))))


def around(t):
    """Left, above, above left and above right neighbours, 0 outside."""
    p = F.pad(t, (1, 1, 1, 0))
    return p[:, :, 1:, :-2], p[:, :, :-1, 1:-1], p[:, :, :-1, :-2], p[:, :, :-1, 2:]


class LitePrior(nn.Module):
    """Laplace parameters of int8 latents from decoded ones, each a weighted sum: mean of group 0 from group 0 around; mean absolute
    deviation of every channel from the same channel around, from the sums of groups on the left and above, and of earlier groups here."""

    def __init__(self):
        super().__init__()
        m = GROUPS * GROUP
        self.mean = nn.Conv2d(4 * GROUP, GROUP, 1, bias=False)
        self.mean.weight.data.zero_()
        for c in range(GROUP):
            self.mean.weight.data[c, [c, GROUP + c]] = 0.3 if c in (0, 12, 13) else 0.0
        self.floor = nn.Parameter(torch.full((KNOTS, m), -2.0))
        self.own = nn.Parameter(torch.full((3, m), -2.0))
        self.near = nn.Parameter(torch.full((2, m, GROUPS), -7.0))
        self.here = nn.Parameter(torch.full((m, GROUPS), -6.0))
        g = torch.arange(m) // GROUP
        self.register_buffer("before", (torch.arange(GROUPS)[None] < g[:, None]).float(), persistent=False)

    @staticmethod
    def sums(a):
        return a.view(a.shape[0], GROUPS, GROUP, *a.shape[2:]).sum(2)

    def forward(self, yh, q):
        """Integers BxMxhxw -> (mean, log scale)."""
        w = F.softplus
        mean = self.mean(torch.cat([n[:, :GROUP] for n in around(yh)], 1))
        a = yh.abs()
        l, u, ul, ur = around(a)
        mix = lambda t, k: F.conv2d(t, k[:, :, None, None])
        o = w(self.own)[:, None, :, None, None]
        b = w(knots(self.floor, q)) + o[0] * l + o[1] * u + o[2] * (ul + ur)
        n = w(self.near)
        b = b + mix(self.sums(l), n[0]) + mix(self.sums(u), n[1]) + mix(self.sums(a), w(self.here) * self.before)
        return torch.cat([mean, torch.zeros_like(yh[:, GROUP:])], 1), torch.log(b)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("config")
    ap.add_argument("stage", nargs="?", default="a", choices=["a", "b"])
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--init")
    ap.add_argument("--steps", type=int, help="stop early, for a rehearsal")
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--section", help="of the config, with what this run changes")
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg["stage_a"] | cfg["stage_" + a.stage] | cfg.get(a.section, {}), RUNS / "runs" / cfg["name"]
    checkpoint = run / f"{a.stage}.pt"
    run.mkdir(parents=True, exist_ok=True)
    start_on(a.device, c["seed"], c["threads"])
    net, prior = Lite(**cfg["lite"]).to(memory_format=torch.channels_last), LitePrior()
    before = a.init or (run / "a.pt" if a.stage == "b" else None)
    start = read(checkpoint if checkpoint.exists() else before) if checkpoint.exists() or before else {}
    for n, key in ((net, "lite"), (prior, "prior")):
        if start:
            n.load_state_dict({k: v.float() for k, v in start[key].items()})
    whole = a.stage == "a"
    # The sensor's dead zones, once lite_tables.py has written them.
    tables = run / "lite.safetensors"
    zones = load_file(tables)["zone"].float() / 256 if not whole and tables.exists() else None
    synthesis = [net.gdec, *net.dec0.parameters(), *net.dec1.parameters(), *net.head.parameters()]
    rest = [{"params": list(prior.parameters()), "lr": c["lr_prior"]}, {"params": [net.genc, *net.luma.parameters(), *net.chroma.parameters()]}]
    opt = torch.optim.Adam([{"params": synthesis}, *(rest if whole else [])], lr=c["lr"])
    stills, M = pictures(c["crop"]), GROUPS * GROUP

    def loss_of(_):
        y, uv = stills.batch(c["batch"])
        x = pack(y, uv)
        q = torch.rand(len(x)) * (KNOTS - 1)
        lam = lambdas(c["lambda"], q)
        # Random tail drop: orders the groups by importance.
        keep = torch.where(torch.rand(len(x)) < c["tail_drop"], torch.randint(1, GROUPS, (len(x),)) * GROUP, M)
        keep = (torch.arange(M)[None] < keep[:, None])[:, :, None, None]
        with torch.set_grad_enabled(whole):
            v = net.encode(y, uv, q) * keep
            yh = dead_zone(v, c["dead_zone"] if zones is None else zones_at(zones, q))
            bits = laplace_bits(v + torch.rand_like(v) - 0.5, *prior(yh, q)) * keep if whole else torch.zeros_like(v)
        with bf16():
            t = net.decode(yh.contiguous(memory_format=torch.channels_last), q)
        mse = distortion(t.float(), x, c["chroma"])
        bits = bits.sum((1, 2, 3)) / (y.shape[2] * y.shape[3])
        loss = (bits + lam * mse).mean()
        return loss, [loss, bits.mean(), mse.log10().mean() * -10]

    descend(checkpoint, opt, start if checkpoint.exists() else {}, dict(lite=net, prior=prior), loss_of, a.minutes or c["minutes"], a.steps, smooth=0.99, early=True, every=1000, graph=True)


if __name__ == "__main__":
    main()
