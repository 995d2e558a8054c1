"""Trained weights -> networks.safetensors: analysis and synthesis in exact integers (kernels/src/network), for the pictures that others
are predicted from.

integers.py CONFIG RUN OUT    RUN: as for export.py. Ranges are measured on train pictures; prints what it costs on val pictures.

Inside blocks activations are bytes and weights int8; between blocks (the stream), at both ends and in their weights int16. What hurts
is one scale for all channels of a value, so each channel is first divided by its own range, folded into the weights on both sides.
Whole pictures are synthesised finer ("whole."), with int16 inside blocks as well: twice the time and nothing lost.
"""
import random
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from data import Pictures, from_i420, from_rgb, to_codes
from export import furthest
from model import KNOTS, Autoencoder, Block, knots, pack, unpack
from train import RUNS

CROP = 256
QS = 0, 2, 4, 6, 7  # where the loss is measured
SLOPE = 0.1  # of the leaky ReLU
ZERO, NEGATIVE = 128, 24  # what stands for zero in bytes, and in those behind the leaky ReLU
STREAM = 16256.0  # of 32767: the range measured; blocks take it as bytes by a factor of 256 / 32768
LATENT = 8192.0
SUM = 60000  # absolute int16 weights of an output, so that no sum leaves int32
SUM_AROUND = 30000
# Samples as the networks take them: (code - zero) / range.
RANGE = np.repeat([219.0, 224.0], [64, 32])
OFFSET = np.repeat([125.5, 128.0], [64, 32])


def gains(ae, q):
    """Factors before and behind the rounding: 1xMx1x1 each."""
    return (torch.exp(knots(t, torch.tensor([float(q)]))) for t in (ae.genc, ae.gdec))


def ranges(ae, pictures=48, steps=6, seed=1):
    """Least and greatest value of each channel, by module: inputs of blocks and of the layers at both ends, outputs of blocks' first two convolutions."""
    random.seed(seed)
    x, found, hooks = pack(*Pictures(RUNS / "data", CROP).batch(pictures)), {}, []

    def note(module, values):
        lo, hi = values.amin((0, 2, 3)).double().numpy(), values.amax((0, 2, 3)).double().numpy()
        a, b = found.get(module, (lo, hi))
        found[module] = np.minimum(a, lo), np.maximum(b, hi)

    blocks = [m for m in ae.modules() if isinstance(m, Block)]
    for b in [*blocks, ae.enc[-1], ae.dec0[0], ae.head]:
        hooks.append(b.register_forward_pre_hook(lambda m, i: note(m, i[0])))
    for b in blocks:
        hooks += [c.register_forward_hook(lambda m, _, o: note(m, o)) for c in (b.dw, b.a)]
    for part in x.split(8):
        v = ae.enc(part.contiguous(memory_format=torch.channels_last))
        for q in np.linspace(0, KNOTS - 1, steps):
            before, behind = gains(ae, q)
            ae.head(ae.dec1(ae.dec0((v * before).round() * behind)))
    for h in hooks:
        h.remove()
    return found


def arrays(conv):
    """Weights [outputs][inputs] of a 1x1 convolution or [outputs][inputs][h][w], and bias."""
    w = conv.weight.double().numpy()
    return w[:, :, 0, 0] if conv.kernel_size == (1, 1) else w, conv.bias.double().numpy()


def floored(r):
    """Ranges without those near zero: a channel that was silent in calibration must not blow up weights."""
    return np.maximum(r, max(r.max() * 1e-3, 1e-6))


def layer(w, b, kind, zero=0):
    """Float weights [outputs][inputs] and bias, in units of activations -> integers with a scale each. zero: what stands for zero in the
    activations; of depthwise weights it is the kernel's business."""
    size = np.abs(w)
    if kind == np.int16:
        s = np.maximum(size.max(1) / 32767, size.sum(1) / (SUM_AROUND if w.shape[1] == 9 else SUM))
    else:
        s = size.max(1) / 127
        if w.shape[1] != 9:
            # AVX2 adds two neighbouring products in int16: 255 * 128 is as far as they may go.
            pairs = lambda v: v.clip(0).reshape(len(v), -1, 2).sum(2).max(1)
            s = np.maximum(s, np.maximum(pairs(w), pairs(-w)) / 127)
    s = np.maximum(s, np.abs(b) / 2**27 + 1e-12).astype(np.float32).astype(np.float64)
    k = np.round(w / s[:, None])
    return {"weight": k.astype(kind), "bias": (np.round(b / s) - zero * k.sum(1)).astype(np.int32), "scale": s.astype(np.float32)}


def stream_unit(modules, found):
    """A unit of the stream, by channel: one for all blocks, as they pass it on to each other."""
    return floored(np.max([np.abs(found[m]).max(0) for m in modules], 0)) / STREAM


def block(b, found, unit):
    (dw, db), (aw, ab), (bw, bb) = arrays(b.dw), arrays(b.a), arrays(b.b)
    entry = min(32767, int(32768 * 127 / (np.abs(found[b]).max(0) / unit).max()))
    byte = 32768 / entry * unit  # what a level of the entering bytes is
    (lo, hi), (least, most) = found[b.dw], found[b.a]
    middle, R = (lo + hi) / 2, floored(hi - lo) / 255
    # A channel behind the leaky ReLU fills the levels above or below zero, whichever takes the greater range.
    G = floored(np.maximum(most.clip(0) / (255 - NEGATIVE), SLOPE * (-least).clip(0) / NEGATIVE))
    return {
        "entry": np.array([entry], np.int32),
        **named("around", layer(dw.reshape(-1, 9) * (byte / R)[:, None], (db - middle) / R, np.int8)),
        **named("up", layer(aw * R / G[:, None], (ab + aw @ middle) / G, np.int8, ZERO)),
        **named("down", layer(bw * G / unit[:, None], bb / unit, np.int8, NEGATIVE)),
    }


def fine_block(b, found, unit):
    (dw, db), (aw, ab), (bw, bb) = arrays(b.dw), arrays(b.a), arrays(b.b)
    (lo, hi), (least, most) = found[b.dw], found[b.a]
    R = floored(np.maximum(-lo, hi)) / STREAM
    G = floored(np.maximum(most, -SLOPE * least)) / STREAM
    return {
        "entry": np.array([1], np.int32),
        **named("around", layer(dw.reshape(-1, 9) * (unit / R)[:, None], db / R, np.int16)),
        **named("up", layer(aw * R / G[:, None], ab / G, np.int16)),
        **named("down", layer(bw * G / unit[:, None], bb / unit, np.int16)),
    }


def named(prefix, tensors):
    return {f"{prefix}.{k}": v for k, v in tensors.items()}


def analysis(ae, found):
    unit = stream_unit([*ae.enc[1:-1], ae.enc[-1]], found)
    w, b = arrays(ae.enc[0])
    out = named("first", layer(w / RANGE / unit[:, None], (b - w @ (OFFSET / RANGE)) / unit, np.int16))
    for i, m in enumerate(ae.enc[1:-1]):
        out |= named(f"block{i}", block(m, found, unit))
    w, b = arrays(ae.enc[-1])
    return out | named("last", layer((w * unit[:, None, None]).transpose(0, 2, 3, 1).reshape(len(w), -1), b, np.int16))


def synthesis(ae, found, block=block):
    unit = stream_unit([*ae.dec1, ae.head], found)
    D = len(unit)
    entry = (LATENT / floored(np.abs(found[ae.dec0[0]]).max(0))).astype(np.float32)
    w, b = arrays(ae.dec0[0])
    order = np.arange(4 * D).reshape(D, 4).T.reshape(-1)  # dy, dx, channel
    w, b = (w / entry / unit.repeat(4)[:, None])[order], (b / unit.repeat(4))[order]
    out = {"entry": entry} | named("first", layer(w, b, np.int16))
    for i, m in enumerate(ae.dec1):
        out |= named(f"block{i}", block(m, found, unit))
    w, b = arrays(ae.head)
    return out | named("last", layer(w * unit * RANGE[:, None], b * RANGE + OFFSET, np.int16))


# ---- the kernels' arithmetic, in doubles that hold it exactly --------------------------------------------------------

def sums(x, t, name, **conv):
    w = torch.from_numpy(t[f"{name}.weight"].astype(np.float64))
    w = w.reshape(-1, 1, 3, 3) if "groups" in conv else w[:, :, None, None]
    s = F.conv2d(x, w, **conv) + torch.from_numpy(t[f"{name}.bias"].astype(np.float64))[None, :, None, None]
    return s.float() * torch.from_numpy(t[f"{name}.scale"])[None, :, None, None]


def run_block(s, t, name):
    if t[f"{name}.up.weight"].dtype == np.int16:
        x = word(sums(s, t, f"{name}.around", padding=1, groups=s.shape[1]))
        v = sums(x, t, f"{name}.up")
        return (s + sums(word(torch.maximum(v, v * np.float32(SLOPE))), t, f"{name}.down").round().double()).clamp(-32768, 32767)
    x = ((s * t[f"{name}.entry"].item() + 0x4000) / 32768).floor().clamp(-128, 127)
    x = (sums(x, t, f"{name}.around", padding=1, groups=s.shape[1]).round().double() + ZERO).clamp(0, 255)
    v = sums(x, t, f"{name}.up")
    x = (torch.maximum(v, v * np.float32(SLOPE)).round().double() + NEGATIVE).clamp(0, 255)
    return (s + sums(x, t, f"{name}.down").round().double()).clamp(-32768, 32767)


def word(v):
    return v.round().double().clamp(-32768, 32767)


def run_analysis(codes, t):
    """Bx96xhxw code values -> latents before gain."""
    s = word(sums(codes.double(), t, "first"))
    for i in range(sum(k.endswith(".entry") for k in t)):
        s = run_block(s, t, f"block{i}")
    b, c, h, w = s.shape
    s = s.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(b, 4 * c, h // 2, w // 2)
    return sums(s, t, "last")


def run_synthesis(latents, t):
    """BxMxhxw in units of the picture -> Bx96x2hx2w code values."""
    s = word(sums(word(latents.float() * torch.from_numpy(t["entry"])[None, :, None, None]), t, "first"))
    b, d, h, w = s.shape
    s = s.reshape(b, 2, 2, d // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(b, d // 4, 2 * h, 2 * w)
    for i in range(sum(k.endswith(".entry") for k in t)):
        s = run_block(s, t, f"block{i}")
    return sums(s, t, "last").round().clamp(0, 255)


# ---- what it costs --------------------------------------------------------------------------------------------------

def losses(ae, a, s, whole, pictures=24):
    """(networks in integers, [PSNR lost in dB: Y, YUV 6:1:1] by q) three times; latents rounded plainly, PSNR averaged over val pictures."""
    images = [i for i in torch.load(RUNS / "data/pictures_val.pt") if min(i.shape[:2]) >= CROP]
    images = images[:: max(1, len(images) // pictures)][:pictures]
    middle = lambda i: i[(i.shape[0] - CROP) // 2 :, (i.shape[1] - CROP) // 2 :][:CROP, :CROP].numpy()
    source = to_codes(*(torch.from_numpy(np.stack(p)) for p in zip(*(from_rgb(middle(i)) for i in images))))
    psnr = lambda a, b: -10 * torch.log10((a - b).square().mean((2, 3)) / 255**2).mean(0)
    latents = ae.enc(pack(*from_i420(*source))), run_analysis(pack(*source), a)

    def quality(v, decode, q):
        before, behind = gains(ae, q)
        y, uv = map(psnr, decode((v * before).round() * behind), source)
        return np.array([y.item(), (6 * y.item() + uv.sum().item()) / 8])

    floats = [quality(latents[0], lambda t: to_codes(*unpack(ae.head(ae.dec1(ae.dec0(t))))), q) for q in QS]
    which = ("whole synthesis", latents[0], whole), ("synthesis", latents[0], s), ("both", latents[1], s)
    return [(name, [f - quality(v, lambda t: unpack(run_synthesis(t, n)), q) for q, f in zip(QS, floats)]) for name, v, n in which]


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    cfg, out = tomllib.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    ae = Autoencoder(**cfg["autoencoder"]).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    ae.load_state_dict({k: v.float() for k, v in furthest(Path(sys.argv[2]))["ae"].items()})
    found = ranges(ae)
    a, s, whole = analysis(ae, found), synthesis(ae, found), synthesis(ae, found, fine_block)
    tensors = named("analysis", a) | named("synthesis", s) | named("whole.synthesis", whole)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, out / "networks.safetensors")
    print((out / "networks.safetensors").stat().st_size, "bytes; dB lost, Y and YUV, at q", *QS)
    for name, row in losses(ae, a, s, whole):
        print(f"{name:15}", "  ".join(f"{y:.3f} {yuv:.3f}" for y, yuv in row))


if __name__ == "__main__":
    main()
