"""Trained weights -> analysis-int8.onnx and synthesis-int8.onnx: the float networks with the blocks' convolutions in integers, for CPUs.

int8.py CONFIG RUN OUT    RUN: as for export.py. Ranges are measured on train pictures; prints what it costs on val pictures.

Channels are innermost inside, planes outside. Values are u8, weights s8 with a scale per output. What hurts is one scale for all
channels of a value, so each channel is first divided by its own range, folded into the weights on both sides. The residual stream
stays float (rounding it after every block costs most), as do the first and the last layer. The operators are ONNX Runtime's own
(domain com.microsoft, 1.17 or later).
"""
import random
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from data import Pictures, from_i420, from_rgb, to_codes
from export import Graph, furthest
from model import KNOTS, Autoencoder, Block, knots, pack, unpack
from train import RUNS

CROP = 256
QS = 0, 2, 4, 6, 7  # where the loss is measured
SLOPE = 0.1  # of the leaky ReLU
NEGATIVE = 24  # of 255 levels behind it, those below zero
DOMAIN = "com.microsoft"


# ---- calibration ----------------------------------------------------------------------------------------------------

def gains(ae, q):
    """Factors before and behind the rounding: 1xMx1x1 each."""
    return (torch.exp(knots(t, torch.tensor([float(q)]))) for t in (ae.genc, ae.gdec))


def ranges(ae, pictures=48, steps=6, seed=1):
    """Least and greatest value of each channel, by module: inputs of blocks, outputs of their first two convolutions."""
    random.seed(seed)
    x, found, hooks = pack(*Pictures(RUNS / "data", CROP).batch(pictures)), {}, []

    def note(module, values):
        lo, hi = values.amin((0, 2, 3)).double().numpy(), values.amax((0, 2, 3)).double().numpy()
        a, b = found.get(module, (lo, hi))
        found[module] = np.minimum(a, lo), np.maximum(b, hi)

    for b in (m for m in ae.modules() if isinstance(m, Block)):
        hooks.append(b.register_forward_pre_hook(lambda m, i: note(m, i[0])))
        hooks += [c.register_forward_hook(lambda m, _, o: note(m, o)) for c in (b.dw, b.a)]
    for part in x.split(8):
        v = ae.enc(part.contiguous(memory_format=torch.channels_last))
        for q in np.linspace(0, KNOTS - 1, steps):
            before, behind = gains(ae, q)
            ae.head(ae.dec1(ae.dec0((v * before).round() * behind)))
    for h in hooks:
        h.remove()
    return found


# ---- networks -------------------------------------------------------------------------------------------------------

def arrays(conv):
    """Weights [outputs][inputs] of a 1x1 convolution or [outputs][inputs][h][w], and bias."""
    w = conv.weight.double().numpy()
    return w[:, :, 0, 0] if conv.kernel_size == (1, 1) else w, conv.bias.double().numpy()


def floored(r):
    """Ranges without those near zero: a channel that was silent in calibration must not blow up weights."""
    return np.maximum(r, max(r.max() * 1e-3, 1e-6))


class IntegerGraph(Graph):
    def const(self, a, dtype=np.float32):
        name = self.name()
        self.weights.append(numpy_helper.from_array(np.asarray(a).astype(dtype), name))
        return name

    def half(self, a):
        return self.weight(torch.from_numpy(np.ascontiguousarray(a)))

    def point(self, scale, zero):
        return self.const(scale), self.const(zero, np.uint8)

    def quantize(self, scale, zero):
        self.add("QuantizeLinear", *self.point(scale, zero))

    def reshape(self, *shape):
        self.add("Reshape", self.const(shape, np.int64))

    def linear(self, w, b):
        """1x1, float."""
        self.add("MatMul", self.half(w.T))
        self.add("Add", self.half(b))

    @staticmethod
    def rows(w, b, scale):
        """[outputs][inputs], or depthwise -> s8 weights, their scales, int32 bias in units of scale (of the input) times those."""
        s = np.maximum(np.abs(w.reshape(len(w), -1)).max(1) / 127, np.abs(b) / scale / 2**30 + 1e-12)
        if w.ndim == 2:
            # x86 without VNNI adds two neighbouring products in int16 and saturates: 255 * 128 is as far as they may go.
            pairs = lambda v: v.clip(0).reshape(len(v), -1, 2).sum(2).max(1)
            s = np.maximum(s, np.maximum(pairs(w), pairs(-w)) / 127.5)
        return np.clip(np.round(w / s.reshape(-1, *[1] * (w.ndim - 1))), -127, 127), s, np.round(b / (s * scale))

    def integer_conv(self, scale, zero, w, b, out, **attrs):
        """u8 -> u8 at the point out."""
        w, s, b = self.rows(w, b, scale)
        w = w if w.ndim == 4 else w[:, :, None, None]
        weight = self.const(w, np.int8), self.const(s), self.const(np.zeros(len(s)), np.int8)
        self.add("QLinearConv", *self.point(scale, zero), *weight, *self.point(*out), self.const(b, np.int32), domain=DOMAIN, channels_last=1, kernel_shape=w.shape[2:], **attrs)

    def integer_linear(self, scale, zero, w, b):
        """1x1, u8 -> float."""
        w, s, _ = self.rows(w, b, scale)
        self.add("MatMulIntegerToFloat", self.const(w.T, np.int8), self.const(scale), self.const(s), self.const(zero, np.uint8), self.const(np.zeros(len(s)), np.int8), self.const(b), domain=DOMAIN)

    def block(self, block, found, S, table):
        """The stream comes and goes divided by S. table: the leaky ReLU maps u8 to u8 (faster, rounded once more), else it is float."""
        skip, (dw, db), (aw, ab), (bw, bb) = self.last, arrays(block.dw), arrays(block.a), arrays(block.b)
        stream = np.abs(found[block] / S).max() / 127
        (lo, hi), (least, most) = found[block.dw], found[block.a]
        middle, R = (lo + hi) / 2, floored(hi - lo)
        # A channel behind the leaky ReLU fills the levels above or below zero, whichever takes the greater range.
        G = floored(np.maximum(most.clip(0) / (255 - NEGATIVE), SLOPE * (-least).clip(0) / NEGATIVE) * 255)
        self.quantize(stream, 128)
        self.integer_conv(stream, 128, dw * (S / R)[:, None, None, None], (db - middle) / R, (1 / 255, 128), group=len(db), pads=[1] * 4)
        inner = 1 / 255, 128, aw * R / G[:, None], (ab + aw @ middle) / G
        if table:
            below = NEGATIVE / SLOPE  # the same levels ahead of the leaky ReLU
            wide = (255 - NEGATIVE + below) / 255**2, round(255 * below / (255 - NEGATIVE + below))
            self.integer_conv(*inner, wide)
            self.add("QLinearLeakyRelu", *self.point(*wide), *self.point(1 / 255, NEGATIVE), domain=DOMAIN, alpha=SLOPE)
        else:
            self.integer_linear(*inner)
            self.add("LeakyRelu", alpha=SLOPE)
            self.quantize(1 / 255, NEGATIVE)
        self.integer_linear(1 / 255, NEGATIVE, bw * G / S[:, None], bb / S)
        self.add("Add", skip)

    def model(self, outputs):
        self.nodes[-1].output[0] = "y"
        i = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, self.channels, "h", "w"])
        o = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs, "h2", "w2"])
        m = helper.make_model(helper.make_graph(self.nodes, "lic", [i], [o], self.weights), opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)], ir_version=8)
        onnx.checker.check_model(m)
        return m.SerializeToString()


def stream_scale(blocks, found):
    """One scale per channel for all blocks, as they pass the stream on to each other."""
    return floored(np.max([np.abs(found[b]).max(0) for b in blocks], 0))


def analysis(ae, found):
    g, blocks = IntegerGraph(96), ae.enc[1:-1]
    S = stream_scale(blocks, found)
    w, b = arrays(ae.enc[0])
    g.add("Transpose", perm=[0, 2, 3, 1])
    g.linear(w / S[:, None], b / S)
    for block in blocks:
        g.block(block, found, S, table=True)
    w, b = arrays(ae.enc[-1])
    g.add("Transpose", perm=[0, 3, 1, 2])
    g.add("Conv", g.half(w * S[:, None, None]), g.half(b), kernel_shape=[2, 2], strides=[2, 2])
    return g.model(ae.M)


def synthesis(ae, found):
    g = IntegerGraph(ae.M)
    S = stream_scale(ae.dec1, found)
    D = len(S)
    w, b = arrays(ae.dec0[0])
    order = np.arange(4 * D).reshape(D, 4).T.reshape(-1)  # dy, dx, channel
    g.add("Transpose", perm=[0, 2, 3, 1])
    g.linear((w / S.repeat(4)[:, None])[order], (b / S.repeat(4))[order])
    # hxwx4D -> hx2xwx2D -> 2hx2wxD; a zero keeps the dimension at its place.
    g.add("Squeeze", g.const([0], np.int64))
    g.reshape(0, 0, 2, 2 * D)
    g.add("Transpose", perm=[0, 2, 1, 3])
    g.reshape(0, 0, -1, D)
    g.reshape(1, -1, 0, D)
    for block in ae.dec1:
        g.block(block, found, S, table=False)
    w, b = arrays(ae.head)
    g.linear(w * S, b)
    g.add("Transpose", perm=[0, 3, 1, 2])
    return g.model(96)


# ---- what it costs --------------------------------------------------------------------------------------------------

def runner(model):
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = 1
    s = onnxruntime.InferenceSession(model, o, providers=["CPUExecutionProvider"])
    return lambda x: torch.cat([torch.from_numpy(s.run(None, {"x": i[None].numpy()})[0]) for i in x])


def losses(ae, models, pictures=24):
    """(networks in integers, [PSNR lost in dB: Y, YUV 6:1:1] by q) twice; latents rounded plainly, PSNR averaged over val pictures."""
    images = [i for i in torch.load(RUNS / "data/pictures_val.pt") if min(i.shape[:2]) >= CROP]
    images = images[:: max(1, len(images) // pictures)][:pictures]
    middle = lambda i: i[(i.shape[0] - CROP) // 2 :, (i.shape[1] - CROP) // 2 :][:CROP, :CROP].numpy()
    source = to_codes(*(torch.from_numpy(np.stack(p)) for p in zip(*(from_rgb(middle(i)) for i in images))))
    psnr = lambda a, b: -10 * torch.log10((a - b).square().mean((2, 3)) / 255**2).mean(0)
    enc, dec = (runner(m) for m in models)
    x = pack(*from_i420(*source))
    latents = ae.enc(x), enc(x)

    def quality(v, decode, q):
        before, behind = gains(ae, q)
        y, uv = map(psnr, to_codes(*unpack(decode((v * before).round() * behind))), source)
        return np.array([y.item(), (6 * y.item() + uv.sum().item()) / 8])

    floats = [quality(latents[0], lambda t: ae.head(ae.dec1(ae.dec0(t))), q) for q in QS]
    return [(name, [f - quality(v, dec, q) for q, f in zip(QS, floats)]) for name, v in (("synthesis", latents[0]), ("both", latents[1]))]


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    cfg, out = tomllib.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    ae = Autoencoder(**cfg["autoencoder"]).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    ae.load_state_dict({k: v.float() for k, v in furthest(Path(sys.argv[2]))["ae"].items()})
    found = ranges(ae)
    models = {"analysis-int8.onnx": analysis(ae, found), "synthesis-int8.onnx": synthesis(ae, found)}
    for name, model in models.items():
        (out / name).write_bytes(model)
    print({name: len(model) for name, model in models.items()})
    print("dB lost, Y and YUV, at q", *QS)
    for name, row in losses(ae, models.values()):
        print(f"{name:10}", "  ".join(f"{y:.3f} {yuv:.3f}" for y, yuv in row))


if __name__ == "__main__":
    main()
