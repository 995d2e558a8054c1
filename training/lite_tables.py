"""The lite pack's sensor in integers and its entropy model (codec/BITSTREAM.md, section Lite), fitted to latents of training pictures and clips.

lite_tables.py CHECKPOINT OUT [--steps N]   writes OUT, the pack's lite.safetensors; prints what validation latents cost, beside JPEG-LS

A position (16x16 pixels) is coded as intra (t = y) or inter (t = y - reference). s = t, less a mean predicted from the four decoded
neighbours in group 0. n groups are coded, the last of them not all zero. Each s is Laplace-like with a mean absolute value that is
estimated as a weighted sum of known magnitudes; its quantised logarithm chooses one of 48 histograms.
"""
import argparse
import random

import imagecodecs
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

from lite import GROUP, GROUPS, around, dead_zone, zones_at
from lite_eval import load, planes
from model import KNOTS, knots, laplace_bits
from train import RUNS

M, STEPS = GROUPS * GROUP, 64
LEVELS, PER_OCTAVE, LOWEST, ONE = 48, 4, 7, 4096  # level = 4 * (log2(acc) - 7), acc in 1/4096
LIMIT = 15  # |s| above it is an escape
PROB_BITS = 14
COST = torch.tensor([0, 8, 12, 15, 17, 17, 20, 20, 22, 22, 22, 22, 24, 24, 24, 24]).float()  # of a magnitude, in quarter bits: chooses the mode


def sums(a):
    return a.view(a.shape[0], GROUPS, GROUP, *a.shape[2:]).sum(2).clamp_max(255)


class Context(nn.Module):
    """Of one mode: the mean of group 0 and everybody's mean absolute value."""

    def __init__(self, inter):
        super().__init__()
        self.inter = inter
        self.mean = nn.Parameter(torch.zeros(GROUP, 4 * GROUP))
        if not inter:
            with torch.no_grad():
                for c in (0, 12, 13):
                    self.mean[c, [c, GROUP + c]] = 0.4
        self.floor = nn.Parameter(torch.full((KNOTS, M), -3.0))
        self.count = nn.Parameter(torch.full((GROUPS + 1, M), -3.0))
        self.own = nn.Parameter(torch.full((4, M), -2.5))
        self.near = nn.Parameter(torch.full((2, M, GROUPS), -6.0))
        self.here = nn.Parameter(torch.full((M, GROUPS), -5.0))
        g = torch.arange(M) // GROUP
        self.register_buffer("before", (torch.arange(GROUPS)[None] < g[:, None]).float(), persistent=False)

    def symbols(self, t, rounded=True):
        """t BxMxhxw -> s, and the mean's error before rounding (what training wants small)."""
        around0 = torch.cat([n[:, :GROUP] for n in around(t)], 1)
        w = self.mean
        if rounded:
            w = w + ((w * 64).round().clamp(-127, 127) / 64 - w).detach()
        mu = F.conv2d(around0, w[:, :, None, None])
        whole = torch.floor(mu + 0.5).clamp(-255, 255)
        return torch.cat([t[:, :GROUP] - whole.detach(), t[:, GROUP:]], 1), torch.cat([t[:, :GROUP] - mu, t[:, GROUP:]], 1)

    def weights(self):
        """Of the sum, each >= 0: floor per step, count, own, near, here."""
        w = F.softplus
        q = torch.arange(STEPS) / (STEPS - 1) * (KNOTS - 1)
        return w(knots(self.floor, q)[:, :, 0, 0]), w(self.count), w(self.own), w(self.near), w(self.here) * self.before

    def spread(self, m, n, step, ref, weights):
        """Magnitudes m BxMxhxw of coded symbols, groups coded n Bxhxw, step index (B,) -> mean absolute value, in the weights' unit."""
        floor, count, own, near, here = weights
        l, u, ul, ur = around(m)
        mix = lambda t, k: F.conv2d(t, k[:, :, None, None])
        o = own[:, None, :, None, None]
        b = floor[step][:, :, None, None] + count[n].movedim(-1, 1) + o[0] * l + o[1] * u + o[2] * (ul + ur)
        if self.inter:
            b = b + o[3] * ref.abs()
        return b + mix(sums(l), near[0]) + mix(sums(u), near[1]) + mix(sums(m), here)


def count(s):
    """Groups coded: 1 + the last with a symbol that is not 0; Bxhxw."""
    on = s.view(s.shape[0], GROUPS, GROUP, *s.shape[2:]).abs().amax(2) > 0
    return (on * torch.arange(1, GROUPS + 1)[None, :, None, None]).amax(1)


def cost(s):
    return COST[s.abs().clamp_max(15).long()].sum(1, keepdim=True)


def choose(nets, y, ref):
    """Per position the mode with the cheaper magnitudes: s, m, inter (Bx1xhxw)."""
    s0, _ = nets[0].symbols(y)
    if ref is None:
        return s0, s0.abs(), torch.zeros_like(s0[:, :1], dtype=torch.bool)
    s1, _ = nets[1].symbols(y - ref)
    inter = cost(s1) <= cost(s0)
    s = torch.where(inter, s1, s0)
    return s, s.abs(), inter


@torch.no_grad()
def hold(v, ref, threshold, zone):
    """Latents before rounding -> integers that stay at the reference where they hardly moved."""
    y = dead_zone(v, zone)
    return torch.where((v - ref).abs() < threshold, ref, y) if threshold else y


class Latents:
    """Random pictures, or pairs of frames a few apart, at random steps: (y, reference or None, step)."""

    def __init__(self, net, split, zones=None):
        self.net, self.zones = net, torch.full((STEPS, M), 0.6) if zones is None else zones.float() / 256
        self.pictures = [p.numpy() for p in torch.load(RUNS / f"data/pictures_{split}.pt")]
        self.clips = torch.load(RUNS / f"data/clips_{split}.pt", mmap=True)

    @torch.no_grad()
    def still(self, i, step, groups=GROUPS):
        im = self.pictures[i]
        y, uv = planes(np.ascontiguousarray(im[: im.shape[0] // 16 * 16, : im.shape[1] // 16 * 16]))
        v = self.net.encode(y, uv, self.q(step))
        return self.drop(dead_zone(v, self.zone(step)), groups), None

    def zone(self, step):
        return zones_at(self.zones, self.q(step))

    @staticmethod
    def q(step):
        return torch.tensor([step / (STEPS - 1) * (KNOTS - 1)])

    @staticmethod
    def drop(y, groups):
        y[:, groups * GROUP :] = 0
        return y

    @torch.no_grad()
    def raw(self, clip, frame, step):
        y, uv = self.clips[clip]
        y, uv = (y[frame : frame + 1].float() - 16) / 219 - 0.5, (uv[frame : frame + 1].float() - 128) / 224
        return self.net.encode(y, uv, self.q(step))

    def pair(self, clip, frame, gap, step, groups=GROUPS, threshold=0.7):
        ref = dead_zone(self.raw(clip, frame, step), self.zone(step))
        return self.drop(hold(self.raw(clip, frame + gap, step), ref, threshold, self.zone(step)), groups), self.drop(ref, groups)

    def random(self, inter):
        step = random.randrange(STEPS)
        groups = GROUPS if random.random() < 0.8 else random.randrange(1, GROUPS)
        if not inter:
            return *self.still(random.randrange(len(self.pictures)), step, groups), step
        clip, gap = random.randrange(len(self.clips)), random.choice([1, 1, 3, 3, 6])
        frame = random.randrange(len(self.clips[clip][0]) - gap)
        return *self.pair(clip, frame, gap, step, groups, random.choice([0.5, 0.7, 0.7])), step


def fit(nets, data, steps):
    opt = torch.optim.Adam([p for n in nets for p in n.parameters()], lr=0.02)
    for it in range(steps):
        for g in opt.param_groups:
            g["lr"] = 0.02 * min(1, (steps - it) / steps * 1.2)
        y, ref, step = data.random(it % 2 == 1)
        s, m, inter = choose(nets, y, ref)
        n, loss = count(s), 0
        for k, net in enumerate(nets):
            use = (inter if k else ~inter).float()
            if ref is None and k:
                continue
            _, e = net.symbols(y - ref if k else y)
            b = net.spread(m, n, [step], ref, net.weights())
            coded = (torch.arange(M)[None, :, None, None] // GROUP < n[:, None]).float() * use
            mean = torch.cat([(s - e)[:, :GROUP], torch.zeros_like(s[:, GROUP:])], 1)  # of s about 0, less what rounding took
            loss = loss + (laplace_bits(s, mean, torch.log(b)) * coded).sum() / (y.shape[2] * y.shape[3])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if it % 200 == 199:
            print(it + 1, loss.item(), flush=True)


def integers(net):
    """Weights in 1/ONE, means in 1/64."""
    f = lambda w: (w.detach() * ONE).round().clamp(0, 32767)
    return tuple(f(w) for w in net.weights())


def level(acc):
    """acc in 1/ONE -> 0..47: four levels an octave, the two bits after the leading one."""
    a = acc.clamp(1 << LOWEST, (1 << (LOWEST + LEVELS // PER_OCTAVE)) - 1).long()
    e = torch.floor(torch.log2(a.double() + 0.5)).long()  # exact: a + 0.5 is no power of two
    return (e - LOWEST) * PER_OCTAVE + ((a >> (e - 2)) & 3)


CLASSES = 8


def histograms(nets, items):
    """Counts [class][level][symbol], class = 4 inter + 2 (last group) + (group 0); and of (mode, n) in its context."""
    h = torch.zeros(CLASSES * LEVELS * 2 * (LIMIT + 1))
    maps = torch.zeros(2, 17, 2 * (GROUPS + 1))
    rows = []
    ints = [integers(n) for n in nets]
    for y, ref, step in items:
        s, m, inter = choose(nets, y, ref)
        n = count(s)
        g = torch.arange(M)[None, :, None, None] // GROUP
        coded = g < n[:, None]
        acc = nets[0].spread(m, n, [step], ref, ints[0])
        if ref is not None:
            acc = torch.where(inter, nets[1].spread(m, n, [step], ref, ints[1]), acc)
        k = 4 * inter.long() + 2 * (g == n[:, None] - 1).long() + (g == 0).long()
        sym = torch.where(s.abs() > LIMIT, 2 * LIMIT + 1, s + LIMIT).long()
        at = ((k * LEVELS + level(acc)) * 2 * (LIMIT + 1) + sym)[coded]
        own = torch.bincount(at, minlength=h.numel())
        own_map = torch.zeros_like(maps)
        value = (inter[:, 0].long() * (GROUPS + 1) + n)
        pad = F.pad(value, (1, 0, 1, 0), value=0 if ref is None else GROUPS + 1)  # outside: n = 0
        left, above = pad[:, 1:, :-1], pad[:, :-1, 1:]
        c = map_context(left, above, ref is not None)
        own_map[int(ref is not None)] = torch.bincount((c * 18 + value).flatten(), minlength=17 * 18).view(17, 18)
        escapes = (2 * torch.log2((s.abs() - LIMIT).clamp_min(1)) + 2)[s.abs() > LIMIT].floor().sum().item()
        rows.append((own, own_map, escapes))
        h += own
        maps += own_map
    return h.view(CLASSES, LEVELS, -1), maps, rows


def map_context(left, above, inter):
    """left, above: mode * 9 + n. Kind none: nL + nA; latent: 4 classes each."""
    if not inter:
        return left + above
    f = lambda v: torch.where(v < 9, 3, torch.where(v == 9, 0, torch.where(v < 12, 1, 2)))
    return f(left) * 4 + f(above)


def probabilities(h):
    """Counts, smoothed by the Laplace distribution of the level -> frequencies that sum to 2^14, each at least 1."""
    b = 2.0 ** ((torch.arange(LEVELS) + 0.5) / PER_OCTAVE + LOWEST) / ONE
    v = torch.arange(-LIMIT, LIMIT + 1)[None].float()
    p = 2.0 ** -laplace_bits(v.expand(LEVELS, -1), torch.zeros(LEVELS, 1), torch.log(b)[:, None])
    p = torch.cat([p, (1 - p.sum(1, keepdim=True)).clamp_min(1e-4)], 1)
    sym = h.clone()
    sym[..., : 2 * LIMIT + 1] = (h[..., : 2 * LIMIT + 1] + h[..., : 2 * LIMIT + 1].flip(-1)) / 2  # signs are even
    f = sym + 40 * p[None] / p.sum(1)[None, :, None]
    return normalise(f, 1 << PROB_BITS)


def normalise(f, total):
    """Integers >= 1 in proportion to f that sum to total and stay below it."""
    f = f / f.sum(-1, keepdim=True)
    out = (f * (total - f.shape[-1])).floor().long() + 1
    top = out.argmax(-1, keepdim=True)
    return out.scatter_add(-1, top, total - out.sum(-1, keepdim=True))


def bits(row, freq, maps):
    own, own_map, escapes = row
    entropy = lambda n, p: -(n * torch.log2(p.clamp_min(1e-9))).sum().item()
    return entropy(own, freq.flatten().double() / (1 << PROB_BITS)) + entropy(own_map, maps / maps.sum(-1, keepdim=True).clamp_min(1)) + escapes


def jpegls(y, groups=GROUPS):
    """Bytes of JPEG-LS of the latents, channels one below the other (as FRAPPE arranges them)."""
    return len(imagecodecs.jpegls_encode((y[0, : groups * GROUP].numpy() + 127).astype(np.uint8).reshape(-1, y.shape[3])))


def validate(nets, net, freq, maps, zones):
    """On validation latents: our bits (symbols' tables and the maps' entropy) against JPEG-LS."""
    data = Latents(net, "val", zones)
    for step in (4, 16, 32, 48):
        items = [(*data.still(i, step), step) for i in range(0, len(data.pictures), 6)]
        rows = histograms(nets, items)[2]
        ours, theirs = sum(bits(r, freq, maps) for r in rows) / 8, sum(jpegls(i[0]) for i in items)
        px = sum(i[0].shape[2] * i[0].shape[3] * 256 for i in items)
        print(f"pictures, step {step}: {ours * 8 / px:.4f} bpp, JPEG-LS {theirs * 8 / px:.4f}: {100 * (ours / theirs - 1):+.1f}%", flush=True)
    for threshold in (0, 0.7):
        for step in (4, 16, 32, 48):
            items = []
            for c in range(0, len(data.clips), 3):
                ref = dead_zone(data.raw(c, 0, step), data.zone(step))
                for f in range(3, min(len(data.clips[c][0]), 22), 3):  # about 10 a second
                    y = hold(data.raw(c, f, step), ref, threshold, data.zone(step))
                    items.append((y, ref, step))
                    ref = y
            rows = histograms(nets, items)[2]
            ours, theirs = sum(bits(r, freq, maps) for r in rows) / 8, sum(jpegls(i[0]) for i in items)
            px = sum(i[0].shape[2] * i[0].shape[3] * 256 for i in items)
            print(f"clips, hold {threshold}, step {step}: {ours * 8 / px:.4f} bpp, JPEG-LS {theirs * 8 / px:.4f}: {100 * (ours / theirs - 1):+.1f}%", flush=True)


@torch.no_grad()
def sensor(net):
    """Projections in int8, the gains that belong to them, and what synthesis takes for a latent of 1."""
    out, units = {}, []
    for name, conv in (("luma", net.luma), ("chroma", net.chroma)):
        w = conv.weight
        unit = w.abs().amax((1, 2, 3), keepdim=True) / 127
        k = (w / unit).round()
        for i in range(len(w)):  # what rounding does to the sum would leak brightness into every channel
            for p in range(w.shape[1]):
                exact, whole = (w[i, p] / unit[i]).flatten(), k[i, p].flatten()
                off = int((exact.sum() - whole.sum()).round())
                rest = (exact - whole) * (1 if off > 0 else -1)
                whole[rest.topk(abs(off)).indices] += 1 if off > 0 else -1
                k[i, p] = whole.view_as(w[i, p]).clamp(-127, 127)
        out[name] = k.to(torch.int8)
        units.append(unit.flatten())
    q = torch.arange(STEPS) / (STEPS - 1) * (KNOTS - 1)
    gain = torch.empty(STEPS, M)
    gain[:, net.order] = torch.exp(knots(net.genc, q))[:, :, 0, 0]
    unit = torch.exp(knots(net.gdec, q))[:, :, 0, 0]
    return out | {"gain": gain * torch.cat(units), "unit": (unit * 65536).round().clamp(1, (1 << 20) - 1).to(torch.int32)}


@torch.no_grad()
def zones(net, price, pictures=60):
    """Below which magnitude a latent is worth no bits, per step and channel in 1/256: 1/2 + price / 2 * what 1 costs more than 0."""
    data, knots_ = Latents(net, "train"), list(range(0, STEPS, 9))
    chosen = random.sample(range(len(data.pictures)), pictures)
    rows = []
    for step in knots_:
        n = torch.ones(2, M)
        for i in chosen:
            a = data.still(i, step)[0].abs()
            n += torch.stack([(a == 0).sum((0, 2, 3)), (a == 1).sum((0, 2, 3)) / 2])
        rows.append((n[0] / n[1]).log2())
    more = torch.stack(rows)
    at = torch.arange(STEPS) / 9
    low = at.floor().long().clamp_max(len(rows) - 2)
    f = (at - low)[:, None]
    more = more[low] * (1 - f) + more[low + 1] * f
    return ((0.5 + price / 2 * more).clamp(0.602, 0.99) * 256).round().to(torch.uint8)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("checkpoint")
    ap.add_argument("out")
    ap.add_argument("--steps", type=int, default=4000)
    ap.add_argument("--price", type=float, default=0.16, help="squared error, in steps, that a bit is worth: of the dead zones")
    a = ap.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    random.seed(1)
    net, prior = load(a.checkpoint)
    nets = [Context(False), Context(True)]
    nets[0].mean.data.copy_(prior.mean.weight.data[:, :, 0, 0])
    zone = zones(net, a.price)
    data = Latents(net, "train", zone)
    fit(nets, data, a.steps)
    with torch.no_grad():
        h, maps, _ = histograms(nets, [data.random(i % 2 == 1) for i in range(800)])
        freq = probabilities(h)
        validate(nets, net, freq, maps, zone)
    out = sensor(net) | {"zone": zone} | {"freq": freq.to(torch.int16), "map.none": normalise(maps[0, :, : GROUPS + 1] + 0.5, 32768).to(torch.int32), "map.latent": normalise(maps[1, :16] + 0.5, 32768).to(torch.int32)}
    for name, n in zip(("intra", "inter"), nets):
        floor, cnt, own, near, here = (w.to(torch.int16) for w in integers(n))
        out |= {f"{name}.floor": floor, f"{name}.count": cnt, f"{name}.own": own, f"{name}.near": near, f"{name}.here": here}
        out[f"{name}.mean"] = (n.mean.detach() * 64).round().clamp(-127, 127).to(torch.int8)
    save_file({k: v.contiguous() for k, v in out.items()}, a.out)


if __name__ == "__main__":
    main()
