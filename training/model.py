"""The base codec's networks: one autoencoder for every frame, and two priors of its quantised latents.

Pictures are planes in about [-0.5, 0.5]: y Bx1xHxW, uv Bx2x(H/2)x(W/2), H and W multiples of 32. Packed: Bx96x(H/8)x(W/8).
Latents: BxMx(H/16)x(W/16), in units of the quantiser step. Hyper latents: BxNx(H/32)x(W/32).
The quantiser step is a number q in [0, KNOTS-1]; parameters that depend on it are interpolated linearly between knots.

Sources: STEM (arXiv 2104.06083) for one autoencoder with a temporal, hyper and spatial prior; checkerboard context
(arXiv 2103.15306) for the two passes; gain units (arXiv 2003.02012) for many rates in one model.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from quant import QConv, activation

KNOTS = 8
LS_MIN, LS_PER_NAT, LS_LEVELS = -3.0, 7, 64  # scale index = (log b - LS_MIN) * LS_PER_NAT


class Block(nn.Module):
    """Residual: depthwise 3x3, 1x1 up, leaky ReLU, 1x1 down."""

    def __init__(self, c, expand=2):
        super().__init__()
        self.dw = nn.Conv2d(c, c, 3, 1, 1, groups=c)
        self.a = nn.Conv2d(c, c * expand, 1)
        self.b = nn.Conv2d(c * expand, c, 1)

    def forward(self, x):
        return x + self.b(F.leaky_relu(self.a(self.dw(x)), 0.1))


def pack(y, uv):
    return torch.cat([F.pixel_unshuffle(y, 8), F.pixel_unshuffle(uv, 4)], 1)


def unpack(t):
    return F.pixel_shuffle(t[:, :64], 8), F.pixel_shuffle(t[:, 64:], 4)


def knots(table, q):
    """Rows of a KNOTSxC table at positions q (B,), linearly interpolated: BxCx1x1."""
    i = q.clamp(0, table.shape[0] - 1 - 1e-4).floor().long()
    f = (q - i)[:, None]
    return (table[i] * (1 - f) + table[i + 1] * f)[:, :, None, None]


def laplace_bits(v, mean, log_scale):
    """Bits of the integers (or noisy values) v under Laplace(mean, exp(log_scale)), elementwise."""
    v, mean, log_scale = v.float(), mean.float(), log_scale.float()
    b = torch.exp(log_scale.clamp(LS_MIN, LS_MIN + (LS_LEVELS - 1) / LS_PER_NAT))
    d = (v - mean).abs()
    # Both tails are taken on the far side of the mean, where the difference of exponentials keeps its digits.
    hi, lo = (d + 0.5) / b, (d - 0.5) / b
    inside = 1 - 0.5 * torch.exp(-hi) - 0.5 * torch.exp(lo.clamp_max(0))
    outside = 0.5 * torch.exp(-lo.clamp_min(0)) - 0.5 * torch.exp(-hi)
    return -torch.log2(torch.where(lo < 0, inside, outside).clamp_min(2.0**-16))


def ste_round(v):
    return v + (v.round() - v).detach()


def checkerboard(h, w, device=None):
    m = torch.zeros(1, 1, h, w, device=device)
    m[..., 0::2, 0::2] = 1
    m[..., 1::2, 1::2] = 1
    return m


class Autoencoder(nn.Module):
    """analysis: packed picture -> latents before gain; synthesis: latents in units of the picture -> packed picture."""

    def __init__(self, C=96, M=128, D=128, enc_blocks=2, dec_blocks=5, gain=3.2):
        super().__init__()
        self.M = M
        self.enc = nn.Sequential(nn.Conv2d(96, C, 1), *[Block(C) for _ in range(enc_blocks)], nn.Conv2d(C, M, 2, 2))
        self.dec0 = nn.Sequential(nn.Conv2d(M, 4 * D, 1), nn.PixelShuffle(2))
        self.dec1 = nn.Sequential(*[Block(D) for _ in range(dec_blocks)])
        self.head = nn.Conv2d(D, 96, 1)
        self.genc = nn.Parameter(torch.linspace(0.0, gain, KNOTS)[:, None].repeat(1, M))  # log gain
        self.gdec = nn.Parameter(-torch.linspace(0.0, gain, KNOTS)[:, None].repeat(1, M))

    def encode(self, x, q):
        return (self.enc(x) * torch.exp(knots(self.genc, q))).float()

    def decode(self, yh, q):
        return self.head(self.dec1(self.dec0(yh * torch.exp(knots(self.gdec, q)))))


class HyperPrior(nn.Module):
    """What both priors share: hyper analysis and synthesis, the distribution of the hyper latents."""

    def __init__(self, inputs, N, H):
        super().__init__()
        self.N, self.H, self.quantised = N, H, False
        self.henc0 = QConv(inputs, N, act=True)
        self.henc1 = QConv(N, N, kernel=2, stride=2)
        self.hdec = QConv(N, 4 * H, act=True)
        self.hdw = QConv(H, H, kernel=3, groups=H)
        self.zmu = nn.Parameter(torch.zeros(KNOTS, N))
        self.zls = nn.Parameter(torch.zeros(KNOTS, N))

    def hyper_analysis(self, x):
        """Latents BxMxhxw (and references) -> hyper latents before rounding. Odd sizes are padded with zeros."""
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return self.henc1(self.henc0(x)).float()

    def hyper_bits(self, zt, q):
        return laplace_bits(zt, knots(self.zmu, q), knots(self.zls, q))

    def hyper_synthesis(self, zh, cells, h, w):
        """Features at 1/16; a cell that is not sent counts as zero, like the outside of the slice."""
        t = self.hdec(zh) * cells
        return self.hdw(F.pixel_shuffle(t, 2)[:, :, :h, :w])


class IntraPrior(HyperPrior):
    """Laplace parameters of latents from hyper latents and, in the second pass, the checkerboard's first half."""

    def __init__(self, M=128, N=64):
        super().__init__(M, N, M)
        self.M = M
        self.cbias = nn.Parameter(torch.zeros(KNOTS, M))
        self.c = QConv(M, M, bias=False, act=True)
        self.p1 = QConv(M, 2 * M, head=(M, 0))
        self.sp = QConv(M, M, kernel=3, groups=M)
        self.p2a = QConv(2 * M, 2 * M, act=True)
        self.p2b = QConv(2 * M, 2 * M, head=(M, 0))

    def forward(self, yh, zh, q):
        """Rounded latents and hyper latents -> (mean, log scale), each BxMxhxw."""
        h, w = yh.shape[2:]
        c = self.c(self.hyper_synthesis(zh, 1, h, w), knots(self.cbias, q))
        mask = checkerboard(h, w, yh.device)
        first = self.p1(c).chunk(2, 1)
        second = self.p2b(self.p2a(torch.cat([c, self.sp(activation(self, yh) * mask)], 1))).chunk(2, 1)
        return [a * mask + b * (1 - mask) for a, b in zip(first, second)]

    def bits(self, y, yh, yt, q, train):
        """y before rounding, yh rounded, yt what is priced (noisy in training): bits of latents (elementwise) and of hyper latents."""
        z = self.hyper_analysis(activation(self, y))
        zh = ste_round(z)
        zt = z + torch.rand_like(z) - 0.5 if train else zh
        return laplace_bits(yt, *self.forward(yh, zh, q)), self.hyper_bits(zt, q)


class InterPrior(HyperPrior):
    """Laplace parameters of the coded latents of a frame from those of a reference (temporal), hyper latents and checkerboard.

    A position (16x16 pixels) whose skip flag is 1 copies the reference and costs nothing here.
    """

    parts = 2  # times M channels in the context, beside hyper features and flags

    def __init__(self, M=128, N=64, H=64, C=192, P=256):
        super().__init__(2 * M, N, H)
        self.M = M
        self.rdw = QConv(M, M, kernel=3, groups=M)
        self.cbias = nn.Parameter(torch.zeros(KNOTS, C))
        self.c1 = QConv(H + self.parts * M + 16, C, bias=False, act=True)
        self.c2 = QConv(C, C, act=True)
        self.p1 = QConv(C, 3 * M, head=(M, 1))
        self.sp = QConv(2 * M, 2 * M, kernel=3, groups=2 * M)
        self.p2a = QConv(C + 2 * M, P, act=True)
        self.p2b = QConv(P, 3 * M, head=(M, 1))

    @staticmethod
    def neighbours(skip):
        """The 3x3 skip flags around each position, 0 outside the slice, then 7 zero channels: Bx16xhxw."""
        B, _, h, w = skip.shape
        n = F.unfold(skip, 3, padding=1).view(B, 9, h, w)
        return torch.cat([n, n.new_zeros(B, 7, h, w)], 1)

    def heads(self, t, known, ref, q):
        """Context's input t, what the second pass sees of latents around (0 where unknown), reference -> (mean, log scale)."""
        c = self.c2(self.c1(t, knots(self.cbias, q)))
        mask = checkerboard(*t.shape[2:], t.device)
        m1, l1, g1 = self.p1(c).chunk(3, 1)
        m2, l2, g2 = self.p2b(self.p2a(torch.cat([c, self.sp(known)], 1))).chunk(3, 1)
        mean = lambda m, g: m + g.clamp(0, 1) * ref
        return mean(m1, g1) * mask + mean(m2, g2) * (1 - mask), l1 * mask + l2 * (1 - mask)

    def forward(self, yh, ref, skip, zh, cells, q):
        """yh, ref BxMxhxw, skip Bx1xhxw, zh and cells at half size -> (mean, log scale)."""
        h, w = yh.shape[2:]
        yh, ra = activation(self, yh), activation(self, ref)
        t = torch.cat([self.hyper_synthesis(zh, cells, h, w), ra, self.rdw(ra), self.neighbours(skip)], 1)
        known = torch.maximum(checkerboard(h, w, yh.device).expand(yh.shape[0], 1, h, w), skip)
        return self.heads(t, torch.cat([yh * known, (yh - ra) * known], 1), ref, q)

    @staticmethod
    def cells(skip):
        """1 for each hyper cell with something coded."""
        return F.max_pool2d(F.pad(1 - skip, (0, skip.shape[3] % 2, 0, skip.shape[2] % 2)), 2)

    def bits(self, yh, ref, skip, q, train):
        """Bits of the coded latents (elementwise) and of the hyper latents of cells with something coded."""
        coded, cells = 1 - skip, self.cells(skip)
        z = self.hyper_analysis(activation(self, torch.cat([yh, ref], 1)))
        zh = ste_round(z)
        zt = z + torch.rand_like(z) - 0.5 if train else zh
        return laplace_bits(yh, *self.forward(yh, ref, skip, zh * cells, cells, q)) * coded, self.hyper_bits(zt, q) * cells


class MotionPrior(InterPrior):
    """Laplace parameters of the coded latents k of a motion-compensated frame, from decoded integers alone: what was decoded before
    at the shifted position (trace: its latents; recent: how much of them is news), what kind of block it is, its vector.

    k is a difference to the compensated picture's latents, in intra blocks the latents themselves; copied blocks have none (k = 0).
    """

    parts = 3

    @staticmethod
    def flags(copy, intra, v):
        """Maps Bx1xhxw of copied and intra blocks, vectors Bx2xhxw in quarter samples -> Bx16xhxw: the 3x3 copy flags (0 outside
        the slice), own block is intra, differences to the vectors on the left and above, length, has a fraction, two zeros."""
        v = v.float()
        length = lambda v: v.abs().sum(1, keepdim=True)
        left = length(v - F.pad(v, (1, 0, 0, 0), mode="replicate")[..., :-1])
        above = length(v - F.pad(v, (0, 0, 1, 0), mode="replicate")[..., :-1, :])
        own = [intra, (left / 8).clamp_max(64), (above / 8).clamp_max(64), (length(v) / 32).clamp_max(64), (v % 4 != 0).any(1, keepdim=True).float()]
        return torch.cat([InterPrior.neighbours(copy)[:, :9], *own, copy.new_zeros(copy.shape[0], 2, *copy.shape[2:])], 1)

    def forward(self, k, trace, recent, flags, zh, cells, q):
        """k, shifted trace and recent BxMxhxw, flags Bx16xhxw, zh and cells at half size -> (mean, log scale)."""
        h, w = k.shape[2:]
        k, ta = activation(self, k), activation(self, trace)
        t = torch.cat([self.hyper_synthesis(zh, cells, h, w), ta, self.rdw(ta.abs()), activation(self, recent), flags], 1)
        return self.heads(t, torch.cat([k, k.abs()], 1) * checkerboard(h, w, k.device), trace, q)

    def hyper(self, k, trace):
        """Hyper latents before rounding."""
        return self.hyper_analysis(activation(self, torch.cat([k, trace], 1)))

    def bits(self, k, trace, recent, flags, copy, q, train):
        """Bits of the coded latents (elementwise) and of the hyper latents of cells with something coded."""
        cells, z = self.cells(copy), self.hyper(k, trace)
        zh = ste_round(z)
        zt = z + torch.rand_like(z) - 0.5 if train else zh
        return laplace_bits(k, *self.forward(k, trace, recent, flags, zh * cells, cells, q)) * (1 - copy), self.hyper_bits(zt, q) * cells

    @torch.no_grad()
    def start_from(self, inter):
        """Takes over what the prior of kind `latent` has learned: k is its difference to the reference."""
        M, H, s = self.M, self.H, inter.state_dict()
        own = self.state_dict()
        for name in own:
            if own[name].shape == s[name].shape:
                own[name].copy_(s[name])
        h = self.henc0.conv.weight  # a value is reference + difference
        h[:, M:] += h[:, :M]
        c, old = self.c1.conv.weight, inter.c1.conv.weight
        c[:, H + M : -16] *= 0.3  # the depthwise layer and `recent` are new
        c[:, : H + M] = old[:, : H + M]
        c[:, -16:] = 0
        c[:, -16:-7] = old[:, -16:-7]
        torch.nn.init.kaiming_uniform_(self.rdw.conv.weight, a=5**0.5)
        swap = torch.cat([torch.arange(M, 2 * M), torch.arange(M)])
        self.sp.conv.weight.copy_(inter.sp.conv.weight[swap])
        self.sp.conv.bias.copy_(inter.sp.conv.bias[swap])
        C = self.c2.conv.weight.shape[0]
        self.p2a.conv.weight[:, C:] = inter.p2a.conv.weight[:, C:][:, swap]
        self.p2a.conv.weight[:, C + M :] *= 0.3
        for head in (self.p1, self.p2b):
            head.conv.weight[2 * M :] *= 0.1
            head.conv.bias[2 * M :] = 0.02  # not below zero, where the clamp has no gradient
