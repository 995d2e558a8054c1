"""Motion compensation as codec/BITSTREAM.md, section "Pictures", defines it, and a block search, on batches of planes.

Planes are in units of 8-bit code values, luma Bx1xHxW and chroma Bx2x(H/2)x(W/2); vectors Bx2x(H/16)x(W/16) are (x, y) in quarter
luma samples: where in the reference a block comes from.
"""
import torch
import torch.nn.functional as F

from quant import half_up

# Interpolation filters of HEVC (ITU-T H.265, 8.5.3.3.3): luma in quarters, chroma in eighths.
LUMA = torch.tensor([[0, 0, 0, 64, 0, 0, 0, 0], [-1, 4, -10, 58, 17, -5, 1, 0], [-1, 4, -11, 40, 40, -11, 4, -1], [0, 1, -5, 17, 58, -10, 4, -1]]) / 64.0
CHROMA = torch.tensor([[0, 64, 0, 0], [-2, 58, 10, -2], [-4, 54, 16, -2], [-6, 46, 28, -4], [-4, 36, 36, -4], [-4, 28, 46, -6], [-2, 16, 54, -4], [-2, 10, 58, -2]]) / 64.0
MARGIN = 24  # samples by which the edge is repeated for the search


def taps_along(x, taps, dim, n):
    """x filtered along dim, n outputs, for each row of taps: a list. Sums of slices: far faster here than a convolution of one channel."""
    out = []
    for row in taps.tolist():
        used = [(i, t) for i, t in enumerate(row) if t]
        y = x.narrow(dim, used[0][0], n) * used[0][1]
        for i, t in used[1:]:
            y.add_(x.narrow(dim, i, n), alpha=t)
        out.append(y)
    return out


def edges(x, n, margin):
    """x with its edges repeated, enough for n taps at every offset within the margin."""
    return F.pad(x, [margin + n // 2 - 1, margin + n // 2] * 2, mode="replicate")


def phases(x, taps, margin):
    """Bx1xHxW -> Bx(P*P)x(H+2m)x(W+2m): the plane at every fractional offset, P*fy + fx, edges repeated."""
    n = taps.shape[1]
    h, w = (s + 2 * margin + 1 for s in x.shape[2:])
    across = torch.cat(taps_along(edges(x, n, margin), taps, 3, w - 1), 1)
    return torch.cat(taps_along(across, taps, 2, h - 1), 1)


def blocks(ph, v, block, margin, unit, first, count, step=1):
    """Samples around each block: phases ph BxPxhhxww, vectors v BxKx2xhxw in 1/unit samples -> BxKxhxwx(count/step)xcount, rows and
    columns first to first + count - 1 of the block, every step-th row. Samples beyond the margin are clamped to its edge."""
    b, p, hh, ww = ph.shape
    i, f = torch.div(v, unit, rounding_mode="floor"), v.remainder(unit)
    along = lambda i, n, size, step: (i[..., None] + n + torch.arange(first, first + count, step) + margin).clamp(0, size - 1)
    y = along(i[:, :, 1], torch.arange(v.shape[3])[:, None, None] * block, hh, step)
    x = along(i[:, :, 0], torch.arange(v.shape[4])[:, None] * block, ww, 1)
    plane = torch.arange(b).view(b, 1, 1, 1) * p + (f[:, :, 1] * unit + f[:, :, 0] if p > 1 else 0)
    return ph.reshape(-1).take(((plane[..., None] * hh + y) * ww)[..., None] + x[..., None, :])


def spread(v, block):
    return v.repeat_interleave(block, 2).repeat_interleave(block, 3)


def window(n, block, ramp):
    """Weight of the neighbour before/after at each sample of a block, in 1-D: linear over `ramp` samples on both sides of the border."""
    i = torch.arange(block) + 0.5
    before = ((ramp - i) / (2 * ramp)).clamp_min(0)
    return before, before.flip(0)


def overlap(t, block, ramp):
    """Extended blocks BxNxNxhxw (N = block + 2 ramp) -> Bx1xHxW, weighted; at the picture's edge a block stands for its missing neighbour."""
    b, n, _, h, w = t.shape
    r = int(ramp)
    before, after = window(0, block, ramp)
    own = torch.cat([after[block - r :], 1 - before - after, before[:r]])
    t = half_up(t).clamp(0, 255)  # each sample is rounded before they are mixed
    weight = (own[:, None] * own)[None, :, :, None, None]
    fold = lambda t: F.fold(t.flatten(1, 2).flatten(2), (h * block + 2 * r, w * block + 2 * r), n, stride=block)[:, :, r : r + h * block, r : r + w * block]
    return fold(t * weight) / fold(weight.expand(1, n, n, h, w))


def compensate(ry, ruv, v, ramp=4, margin=MARGIN, ph=None):
    """The predicted picture, rounded to code values. ph: phases(ry, LUMA, margin), if at hand."""
    b, _, h, w = v.shape
    ph = phases(ry, LUMA, margin) if ph is None else ph
    y = overlap(blocks(ph, v[:, None], 16, margin, 4, -ramp, 16 + 2 * ramp)[:, 0].permute(0, 3, 4, 1, 2), 16, ramp)
    m, r = margin // 2, ramp // 2
    n, taps = 8 + 2 * r, CHROMA.to(v.device)[v.remainder(8)][:, None]  # Bx1x2xhxwx4
    t = blocks(edges(ruv, 4, m).flatten(0, 1)[:, None], v.repeat_interleave(2, 0)[:, None], 8, m, 8, -r, n + 3)
    t = t.view(b, 2, h, w, n + 3, n + 3)
    t = sum(t[..., i : i + n] * taps[:, :, 0, ..., i, None, None] for i in range(4))
    t = sum(t[..., i : i + n, :] * taps[:, :, 1, ..., i, None, None] for i in range(4))
    uv = overlap(t.flatten(0, 1).permute(0, 3, 4, 1, 2), 8, r).view(b, 2, h * 8, w * 8)
    return half_up(y), half_up(uv)


def search(cy, ry, reach=8, per_bit=4.0, margin=MARGIN, ph=None, step=1):
    """Vectors by full search at half size, refined to quarter samples, then neighbours' vectors where their sum of absolute
    differences plus `per_bit` a bit (of a rough code) is less. per_bit: a number or Bx1x1x1. step: of the rows that the last
    refinements compare, every step-th (twice that in the first ones, if not 1); ph: phases(ry, LUMA, margin), if at hand."""
    b, _, h, w = cy.shape
    hb, wb, n = h // 16, w // 16, 2 * reach + 1
    per_bit = torch.as_tensor(per_bit, dtype=torch.float32).expand(b, 1, 1, 1)
    c, r = F.avg_pool2d(cy, 2)[:, 0, None], F.pad(F.avg_pool2d(ry, 2), [reach] * 4, mode="replicate")[:, 0]
    pool = torch.block_diag(*[torch.ones(8, 1)] * wb) * 4
    across = r.unfold(2, w // 2, 1).transpose(1, 2).contiguous()  # B x n x (rows + 2 reach) x columns
    e = torch.stack([(across[:, :, dy : dy + h // 2] - c).abs_().unflatten(2, (hb, 8)).sum(3) @ pool for dy in range(n)], 1)
    away = torch.arange(-reach, reach + 1)
    e = e + ((away[:, None].abs() + away.abs()) * 0.5)[None, :, :, None, None] * per_bit[..., None]
    at = e.flatten(1, 2).argmin(1)
    v = torch.stack([at % n - reach, torch.div(at, n, rounding_mode="floor") - reach], 1) * 8
    ph = phases(ry, LUMA, margin) if ph is None else ph
    cur = cy.view(b, 1, hb, 16, wb, 16).transpose(3, 4)
    # BxKx2xhxw -> BxKxhxw
    sad = lambda t, step: (blocks(ph, t, 16, margin, 4, 0, 16, step) - cur[..., ::step, :]).abs_().sum((-1, -2)) * step
    pick = lambda t, e: t.gather(1, e.argmin(1)[:, None, None].expand(b, 1, 2, hb, wb))[:, 0]
    ring = torch.tensor([[0, 0]] + [[dx, dy] for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dx or dy])[None, :, :, None, None]
    for s in (4, 2, 1):
        t = v[:, None] + s * ring
        v = pick(t, sad(t, step if s == 1 else 2 * step if step > 1 else 1))
    for _ in range(3):
        p = F.pad(v.float(), (1, 1, 1, 1), mode="replicate").long()
        near = [p[:, :, 1 : hb + 1, 0:wb], p[:, :, 0:hb, 1 : wb + 1], p[:, :, 0:hb, 2 : wb + 2]]
        median = torch.stack(near).median(0).values
        t = torch.stack([v, median, *near, torch.zeros_like(v)], 1)
        off = t - median[:, None]
        bits = (2 * torch.log2(1 + off.abs().float())).sum(2) + 2 * (off != 0).any(2)
        v = pick(t, sad(t, step) + per_bit * bits)
    return v
