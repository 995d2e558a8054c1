"""Integer arithmetic of the priors, and its differentiable twin for quantisation-aware training.

Activations are int16 with EXP fractional bits, clamped; weights are int8 with a power-of-two scale per output channel;
sums are int32. One rule everywhere, so that any SIMD width or GPU gives the same bits (codec/BITSTREAM.md, section "Prior").
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

EXP = 6
LIMIT = 32767


class _Floor(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.floor()

    @staticmethod
    def backward(ctx, g):
        return g


def half_up(x):
    """floor(x + 1/2): what an add and an arithmetic shift do."""
    return _Floor.apply(x + 0.5)


def fixed(x, exp):
    """x on a grid of 2^-exp, within int16."""
    return half_up(x * 2.0**exp).clamp(-LIMIT, LIMIT) / 2.0**exp


def activation(net, x):
    """Latents as the prior's input."""
    return fixed(x.float(), EXP) if net.quantised else x


def leaky(x, quantised):
    """max(x, x/8); in integers an arithmetic shift by three, which rounds down."""
    y = torch.where(x >= 0, x, x / 8)
    return _Floor.apply(y * 2.0**EXP) / 2.0**EXP if quantised else y


class QConv(nn.Module):
    """A convolution that can be rounded to integers. head=(M, gate): output is M means (exponent 3), M log scales (as
    scale indices) and, with gate, M gates (exponent EXP); otherwise an activation, through a leaky ReLU if act."""

    def __init__(self, i, o, kernel=1, stride=1, groups=1, bias=True, head=None, act=False):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, 1 if kernel == 3 else 0, groups=groups, bias=bias)
        self.head, self.act, self.quantised = head, act, False

    def shifts(self):
        """Exponent of each output channel's weights: the largest that keeps them within int8."""
        w = self.conv.weight * self.row_scale()[:, None, None, None]
        return torch.floor(torch.log2(127 / w.detach().abs().amax((1, 2, 3)).clamp_min(2.0**-20))).clamp(0, 16)

    def row_scale(self):
        """Log-scale rows are trained in nats and shipped in scale indices."""
        s = torch.ones(self.conv.weight.shape[0], device=self.conv.weight.device)
        if self.head:
            s[self.head[0] : 2 * self.head[0]] = 7.0
        return s

    def forward(self, x, extra=None):
        if not self.quantised:
            y = self.conv(x) if extra is None else self.conv(x) + extra
            return leaky(y, False) if self.act else y
        c, r = self.conv, self.row_scale()
        k = 2.0 ** self.shifts()
        w = c.weight * r[:, None, None, None]
        w = w + (torch.round(w * k[:, None, None, None]).clamp(-127, 127) / k[:, None, None, None] - w).detach()
        y = F.conv2d(x, w, c.bias * r if c.bias is not None else None, c.stride, c.padding, c.dilation, c.groups)
        if extra is not None:
            y = y + extra
        if not self.head:
            return leaky(fixed(y, EXP), True) if self.act else fixed(y, EXP)
        M = self.head[0]
        parts = [fixed(y[:, :M], 3), (half_up(y[:, M : 2 * M] + 21) - 21) / 7]  # 21 = -LS_MIN * LS_PER_NAT
        if self.head[1]:
            parts.append(fixed(y[:, 2 * M :], EXP))
        return torch.cat(parts, 1)


def set_quantised(net, on):
    """Switches a prior between float and integer arithmetic (straight-through gradients)."""
    net.quantised = on
    for m in net.modules():
        if isinstance(m, QConv):
            m.quantised = on
