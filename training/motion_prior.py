"""Stages d: the prior of motion-compensated frames (kind `motion`), autoencoder frozen, rate alone.

motion_prior.py CONFIG STAGE [--minutes N] [--init WEIGHTS ...] [--steps N] [--validate]
  d        in float
  d-q      in integer arithmetic (straight-through gradients)
Resumes from the run folder; d starts from --init (several: the later one's networks count; without a `motion` in them what `inter`
learned is taken over), d-q from d's result unless --init says otherwise.
--validate prints bits per pixel of 64 sequences of the val split, always the same ones, under the checkpoint or --init.
"""
import argparse
import random
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F

from data import from_i420, to_codes
from model import KNOTS, Autoencoder, InterPrior, MotionPrior, knots, pack, ste_round, unpack
from motion import LUMA, compensate, phases, search, spread
from quant import fixed, half_up, set_quantised
from sequences import Clips, choose, quantise
from train import RUNS, bf16, descend, read, start_on

MARGIN = 16  # samples: beyond what `reach` allows, with the ramp of overlapped blocks
PRICED = 2  # frames at a sequence's end whose bits are the loss
START = {"d": [], "d-q": ["d.pt"]}


def planes(packed):
    """Code values of packed pictures, rounded (straight-through gradients)."""
    y, uv = unpack(packed.float())
    return half_up(y * 219 + 125.5).clamp(0, 255), half_up(uv * 224 + 128).clamp(0, 255)


def shifted(x, v):
    """x BxCxhxw at the position nearest to where each block's vector (Bx2xhxw, quarter samples) points, clamped to the picture."""
    b, c, h, w = x.shape
    s = torch.div(v + 32, 64, rounding_mode="floor")
    at = (torch.arange(h)[:, None] + s[:, 1]).clamp(0, h - 1) * w + (torch.arange(w) + s[:, 0]).clamp(0, w - 1)
    return x.flatten(2).gather(2, at.view(b, 1, h * w).expand(b, c, h * w)).view_as(x)


def blend(copy, shown, made):
    """Copied blocks show the compensated picture, coded ones the synthesised; in between by the share of coded samples in 5x5."""
    m = F.avg_pool2d(F.pad(spread(1 - copy, 16), [2] * 4, mode="replicate"), 5, 1)
    mix = lambda m, a, b: half_up(a + m * (b - a))
    return mix(m, shown[0], made[0]), mix(F.avg_pool2d(m, 2), shown[1], made[1])


def kept(target, k):
    """k, with the gradient of what it stands for where it is coded: a zero stays one whatever its target does."""
    return torch.where(k != 0, target + (k - target).detach(), k)


def chain(ae, net, y, uv, frames, lam, reach, choosing, half, finer=None):
    """Planes of batch * frames pictures, coded in a closed loop as the encoder does -> for each frame but the first what the prior
    prices: dict of k, trace, recent, flags, copy (its arguments), target (k before rounding); latents of the first frame (in its
    steps); the pictures (y, uv) of all frames but, without gradients, the last; q and the first frame's q.

    lam Bx1x1x1: squared error (in steps) that a bit is worth. choosing: symbols by rate and distortion under `net`. finer: (least, most)
    knots by which first frames are finer than the rest; without it most are alike. With gradients
    enabled they flow from a picture through those it was predicted from, but not through choices."""
    b, net_half, grad = len(lam), half and not net.quantised, torch.is_grad_enabled()
    y, uv = to_codes(y, uv)
    q = torch.rand(b) * (KNOTS - 1)
    # Some key frames are finer or coarser: their trace falls between the integers.
    key = torch.where(torch.rand(b) < 0.35, (q + torch.empty(b).uniform_(-0.7, 1.7)).clamp(0, KNOTS - 1), q)
    if finer:
        key = (q + torch.empty(b).uniform_(*finer)).clamp(0, KNOTS - 1)
    nhwc = lambda y, uv: pack(*from_i420(y, uv)).contiguous(memory_format=torch.channels_last)
    with bf16(half):
        latents = ae.enc(nhwc(y, uv)).float().unflatten(0, (b, frames))
        first = latents[:, 0] * torch.exp(knots(ae.genc, key))
        ry, ruv = planes(ae.decode(ste_round(first), key))
    pictures = [(ry, ruv)]
    trace = (first.round() * torch.exp(knots(ae.gdec, key) - knots(ae.gdec, q))).detach()
    recent, latents, y, out = torch.zeros_like(trace), latents * torch.exp(knots(ae.genc, q))[:, None], y.unflatten(0, (b, frames)), []
    per_bit = (50 * 2 ** (-0.45 * q)).view(b, 1, 1, 1) * (lam / 0.15).sqrt()
    for i in range(1, frames):
        ph = phases(ry, LUMA, MARGIN)
        with torch.no_grad():
            v = search(y[:, i], ry, reach, per_bit, MARGIN, ph, step=2)
        shown = compensate(ry, ruv, v, 4, MARGIN, ph)
        with bf16(half):
            base = ae.encode(nhwc(*shown), q)
        d = latents[:, i] - base
        with torch.no_grad():
            k, copy = quantise(d, torch.zeros_like(d), lam)
            size = lambda t: torch.log2(1 + t.abs()).sum(1, keepdim=True)
            # Some blocks are intra for no reason, lest the prior never meets them where references are good.
            intra = (size(latents[:, i]) + 4 < 0.9 * size(d)) | (torch.rand_like(copy) < 0.03)
            intra = intra.float() * (1 - copy)
            target = torch.where(intra > 0, latents[:, i], d)
            k = torch.where(intra > 0, target.round(), k)
            ts, rs = shifted(trace, v), shifted(recent, v)
            known = dict(trace=fixed(ts, 3), recent=fixed(rs, 3), flags=net.flags(copy, intra, v))
            if choosing:
                with bf16(net_half):
                    cells = net.cells(copy)
                    k = choose(target, *net(k, zh=net.hyper(k, known["trace"]).round() * cells, cells=cells, q=q, **known), lam) * (1 - copy)
            trace = torch.where(intra > 0, k, ts + k)
            recent = torch.where(copy > 0, 0.75 * rs, k.abs() * (1 - intra))
        k = kept(torch.where(intra > 0, latents[:, i], d), k)
        out.append(dict(k=k, copy=copy, target=target, **known))
        if grad or i < frames - 1:
            with bf16(half):
                made = planes(ae.decode(base * (1 - intra) + k, q))
            ry, ruv = blend(copy, shown, made)
            pictures.append((ry, ruv))
    return out, first, pictures, q, key


def bits_of(net, frame, q, train):
    return net.bits(frame["k"], frame["trace"], frame["recent"], frame["flags"], frame["copy"], q, train)


def loss_of(ae, net, clips, c):
    """Bits per pixel of the last frames of some sequences."""
    n, frames = c["batch"], random.choice([3, 4])
    y, uv = clips.batch(n, frames)
    lam = torch.empty(n, 1, 1, 1).uniform_(*c["lambda"])
    choosing = random.random() < c["choosing"]
    with torch.no_grad():
        priced, *_, q, _ = chain(ae, net, y, uv, frames, lam, c["reach"], choosing, True)
    frame = {k: torch.cat([f[k] for f in priced[-PRICED:]]) for k in priced[0]}
    with bf16(not net.quantised):
        by, bz = bits_of(net, frame, q.repeat(PRICED), True)
    return (by.sum() + bz.sum()) / (n * PRICED * y.shape[2] * y.shape[3])


@torch.no_grad()
def validate(ae, net, c, sequences=64, batch=4):
    """Prints, for float and integers: bits per pixel of fixed symbols, by thirds of the steps too, and of symbols that the prior
    chose, with what their error adds at its price. Only the former two compare priors alone."""
    random.seed(7), torch.manual_seed(7)
    clips, fixed = Clips(RUNS / "data", c["crop"], c["gaps"], "val"), []
    for i in range(sequences // batch):
        frames = 3 + i % 2
        y, uv = clips.batch(batch, frames)
        lam = torch.empty(batch, 1, 1, 1).uniform_(*c["lambda"])
        coded, *_, q, _ = chain(ae, net, y, uv, frames, lam, c["reach"], False, False)
        fixed += [(f, q, lam) for f in coded[-PRICED:]]
    pixels = batch * c["crop"] ** 2
    print(f"{len(fixed) * batch} frames, copied {sum(f['copy'].mean().item() for f, *_ in fixed) / len(fixed):.3f}", flush=True)
    for quantised in (False, True):
        set_quantised(net, quantised)
        total, hyper, chosen, cost = torch.zeros(3), 0.0, 0.0, 0.0
        counts = torch.zeros(3)
        for f, q, lam in fixed:
            by, bz = bits_of(net, f, q, False)
            third = (q * 3 / (KNOTS - 1)).long().clamp_max(2)
            total.index_add_(0, third, by.sum((1, 2, 3)) + bz.sum((1, 2, 3)))
            counts.index_add_(0, third, torch.ones(batch))
            hyper += bz.sum().item()
            cells = net.cells(f["copy"])
            zh = net.hyper(f["k"], f["trace"]).round() * cells
            k = choose(f["target"], *net(f["k"], f["trace"], f["recent"], f["flags"], zh, cells, q), lam) * (1 - f["copy"])
            by, bz = bits_of(net, f | {"k": k}, q, False)
            chosen += (by.sum() + bz.sum()).item()
            cost += ((k - f["target"]).pow(2) * (1 - f["copy"]) / lam).sum().item()
        px = pixels * len(fixed)
        thirds = " ".join(f"{t:.4f}" for t in (total / counts / c["crop"] ** 2).tolist())
        print(f"{'integers' if quantised else 'float   '} {total.sum().item() / px:.5f} ({thirds}; hyper {hyper / px:.5f})  chosen {chosen / px:.5f} + error {cost / px:.5f}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("stage", choices=list(START))
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--init", nargs="+")
    ap.add_argument("--steps", type=int)
    ap.add_argument("--validate", action="store_true")
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg["stage_" + a.stage.replace("-", "_")], RUNS / "runs" / cfg["name"]
    minutes = a.minutes or c["minutes"]
    start_on("cpu", c["seed"], c["threads"])
    ae, net = Autoencoder(**cfg["autoencoder"]), MotionPrior(**cfg["motion"])
    checkpoint, start = run / f"{a.stage}.pt", {}
    resumed = checkpoint.exists() and not (a.validate and a.init)
    for f in [checkpoint] if resumed else a.init or [run / f for f in START[a.stage]] or ap.error("needs --init"):
        start |= read(f)
    full = lambda key: {k: v.float() for k, v in start[key].items()}
    ae.load_state_dict(full("ae"))
    if "motion" in start:
        net.load_state_dict(full("motion"))
    elif "inter" in start:
        inter = InterPrior(**cfg["inter"])
        inter.load_state_dict(full("inter"))
        net.start_from(inter)
    ae.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    if a.validate:
        return validate(ae, net, c)
    set_quantised(net, a.stage == "d-q")
    clips = Clips(RUNS / "data", c["crop"], c["gaps"])

    def descent(it):
        loss = loss_of(ae, net, clips, c if it >= c["warmup"] else c | {"choosing": 0})
        return loss, [loss]

    opt = torch.optim.Adam(net.parameters(), lr=c["lr"])
    descend(checkpoint, opt, start if resumed else {}, dict(ae=ae, motion=net), descent, minutes, a.steps, early=True, every=1000)


if __name__ == "__main__":
    main()
