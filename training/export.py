"""Trained weights -> a model pack: analysis.onnx, synthesis.onnx, prior.safetensors (model.toml is written by hand and by evaluate.py).

export.py CONFIG RUN OUT    RUN: a folder of checkpoints (the furthest stage of each network counts), one checkpoint, or a pack. What the run
did not train is taken from the pack in OUT, if there is one.
"""
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

import weights
from data import from_i420, from_rgb, to_codes
from model import KNOTS, LS_LEVELS, LS_MIN, LS_PER_NAT, Autoencoder, InterPrior, IntraPrior, MotionPrior, knots, pack, unpack
from quant import EXP
from train import RUNS

STEPS = 64
PROB_BITS = 15


# ---- float networks -------------------------------------------------------------------------------------------------

class Graph:
    """A chain of ONNX nodes. Weights are stored as fp16, or those of blocks' 1x1 convolutions as bytes with a scale for each output, and cast when the session is built."""

    def __init__(self, channels, bytes=False):
        self.bytes = bytes
        self.nodes, self.weights, self.channels, self.last, self.n = [], [], channels, "x", 0

    def name(self):
        self.n += 1
        return f"t{self.n}"

    def weight(self, w):
        half, full = self.name(), self.name()
        self.weights.append(numpy_helper.from_array(w.detach().numpy().astype(np.float16), half))
        self.nodes.append(helper.make_node("Cast", [half], [full], to=TensorProto.FLOAT))
        return full

    def scaled(self, w, inputs=False):
        """A convolution's weights as int8: half the size. inputs: with a scale for each input as well, where those differ much."""
        by_input = w.abs().amax((0, 2, 3), keepdim=True).sqrt() if inputs else None
        w = w / by_input if inputs else w
        scale = w.abs().amax((1, 2, 3), keepdim=True) / 127
        byte, full = self.name(), self.name()
        self.weights.append(numpy_helper.from_array((w / scale).round().detach().numpy().astype(np.int8), byte))
        self.nodes.append(helper.make_node("Cast", [byte], [full], to=TensorProto.FLOAT))
        for factor in (scale, by_input)[: 1 + inputs]:
            name, last, full = self.name(), full, self.name()
            self.weights.append(numpy_helper.from_array(factor.detach().numpy().astype(np.float32), name))
            self.nodes.append(helper.make_node("Mul", [last, name], [full]))
        return full

    def add(self, op, *inputs, **attrs):
        self.last, inputs = self.name(), [self.last, *inputs]
        self.nodes.append(helper.make_node(op, inputs, [self.last], **attrs))

    def conv(self, c, bytes=False, inputs=False):
        self.add("Conv", self.scaled(c.weight, inputs) if bytes else self.weight(c.weight), self.weight(c.bias), kernel_shape=list(c.kernel_size), strides=list(c.stride), pads=[c.padding[0]] * 4, group=c.groups)

    def block(self, b):
        skip = self.last
        self.conv(b.dw)
        self.conv(b.a, self.bytes)
        self.add("LeakyRelu", alpha=0.1)
        self.conv(b.b, self.bytes)
        self.add("Add", skip)

    def save(self, path, outputs):
        self.nodes[-1].output[0] = "y"
        i = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, self.channels, "h", "w"])
        o = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs, "h2", "w2"])
        m = helper.make_model(helper.make_graph(self.nodes, "lic", [i], [o], self.weights), opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(m)
        path.write_bytes(m.SerializeToString())


def networks(ae, out):
    g = Graph(96)
    g.conv(ae.enc[0])
    for b in ae.enc[1:-1]:
        g.block(b)
    g.conv(ae.enc[-1])
    g.save(out / "analysis.onnx", ae.M)
    g = Graph(ae.M)
    g.conv(ae.dec0[0])
    g.add("DepthToSpace", blocksize=2, mode="CRD")
    for b in ae.dec1:
        g.block(b)
    g.conv(ae.head)
    g.save(out / "synthesis.onnx", 96)


# ---- integer prior --------------------------------------------------------------------------------------------------

def integers(conv, weight=None, perm=None):
    """A QConv as int8 [outputs][inputs], int32 bias, shift. weight: its weights in the layout wanted; perm: order of outputs."""
    r, k = conv.row_scale(), conv.shifts()
    w = conv.conv.weight.detach() * r[:, None, None, None] if weight is None else weight
    q = torch.round(w * 2.0 ** k.view(-1, *[1] * (w.dim() - 1))).clamp(-127, 127).reshape(w.shape[0], -1)
    b = torch.zeros(w.shape[0]) if conv.conv.bias is None else conv.conv.bias.detach() * r
    shift = k.clone()
    if conv.head:
        M = conv.head[0]
        b[M : 2 * M] -= LS_MIN * LS_PER_NAT
        shift[:M] += EXP - 3
        shift[M : 2 * M] += EXP
    b = torch.round(b.double() * 2.0 ** (k.double() + EXP))
    if perm is not None:
        q, b, shift, k = q[perm], b[perm], shift[perm], k[perm]
    return {"weight": q.numpy().astype(np.int8), "bias": b.numpy().astype(np.int32), "shift": shift.numpy().astype(np.uint8)}, k


def prior_tensors(net, inter):
    out = {}
    add = lambda name, conv, **kw: out.update({f"{name}.{k}": v for k, v in integers(conv, **kw)[0].items()})
    H, q = net.H, torch.arange(STEPS) * (KNOTS - 1) / (STEPS - 1)
    add("hyper.analysis0", net.henc0)
    add("hyper.analysis1", net.henc1, weight=net.henc1.conv.weight.detach().permute(0, 2, 3, 1))
    add("hyper.synthesis", net.hdec, perm=torch.arange(4 * H).view(H, 4).T.reshape(-1))
    add("hyper.smooth", net.hdw)
    out["hyper.mean"] = np.round(knots(net.zmu.detach(), q)[:, :, 0, 0].numpy() * 8).clip(-32767, 32767).astype(np.int16)
    out["hyper.scale"] = np.round((knots(net.zls.detach(), q)[:, :, 0, 0].numpy() - LS_MIN) * LS_PER_NAT).clip(0, LS_LEVELS - 1).astype(np.uint8)
    first = "context0" if inter else "context"
    conv = net.c1 if inter else net.c
    add(first, conv)
    k = integers(conv)[1].double()
    out[f"{first}.step_bias"] = torch.round(knots(net.cbias.detach(), q)[:, :, 0, 0].double() * 2.0 ** (k + EXP)).numpy().astype(np.int32)
    if inter:
        add("reference", net.rdw)
        add("context1", net.c2)
    add("first", net.p1)
    add("spatial", net.sp)
    add("second0", net.p2a)
    add("second1", net.p2b)
    return out


def laplace_tables():
    """Integer CDFs for every scale index and eighth of a step: low, entries (the last an escape), raw bits by scale, data."""
    low, entries, raws, data = [], [], [], []
    for s in range(LS_LEVELS):
        b = np.exp(LS_MIN + s / LS_PER_NAT)
        raw = max(0, int(np.ceil(np.log2(b / 14))))
        raws.append(raw)
        for phase in range(8):
            edge = np.arange(-400, 402) * 2.0**raw - 0.5 - phase / 8
            F = np.where(edge < 0, 0.5 * np.exp(np.minimum(edge, 0) / b), 1 - 0.5 * np.exp(-np.maximum(edge, 0) / b))
            # The difference of the upper tails keeps its digits where F is near one.
            G = np.where(edge > 0, 0.5 * np.exp(-np.maximum(edge, 0) / b), 1 - F)
            p = np.where(edge[:-1] > 0, G[:-1] - G[1:], F[1:] - F[:-1])
            keep = np.nonzero(p > 2.0**-17)[0]
            first, last = keep[0], keep[-1]
            p = p[first : last + 1]
            freq = np.maximum(1, np.round(np.append(p, max(0.0, 1 - p.sum())) * 2**PROB_BITS)).astype(np.int64)
            freq[freq.argmax()] += 2**PROB_BITS - freq.sum()
            assert freq.min() >= 1
            low.append(first - 400)
            entries.append(len(freq))
            data.append(np.concatenate([[0], np.cumsum(freq)]))
    return {"cdf.low": np.array(low, np.int16), "cdf.entries": np.array(entries, np.uint16), "cdf.raw": np.array(raws, np.uint8), "cdf.data": np.concatenate(data).astype(np.uint16)}


def skip_init():
    """First probabilities of the skip map by number of skipped neighbours; it adapts within a slice."""
    table = [0.1, 0.3, 0.6, 0.85, 0.97]
    return np.array([round(32768 * table[bin(i).count("1")]) for i in range(16)], np.uint16)


@torch.no_grad()
def pixel_error(ae, pictures=40, crop=256):
    """f32 of the 64 steps: c, so that the pixel error of a 16x16 block (0.75 x squared error of luma + 1.25 x that of chroma, in code
    values) is about c * e, with e the squared error (in steps) of its latents. Least squares over val pictures. Flat blocks err less,
    detailed ones more: the encoder corrects it block by block."""
    ae.to(memory_format=torch.channels_last)  # several times faster
    images = [i for i in torch.load(RUNS / "data/pictures_val.pt") if min(i.shape[:2]) >= crop]
    images = images[:: max(1, len(images) // pictures)][:pictures]
    middle = lambda i: i[(i.shape[0] - crop) // 2 :, (i.shape[1] - crop) // 2 :][:crop, :crop].numpy()
    y, uv = (torch.from_numpy(np.stack(p)) for p in zip(*(from_rgb(middle(i)) for i in images)))
    fits, blocks = [], lambda t, n: t.unflatten(3, (-1, n)).unflatten(2, (-1, n)).sum((1, 3, 5)).flatten()
    for knot in range(KNOTS):
        up = down = 0.0
        for at in range(0, len(y), 8):
            source = to_codes(y[at : at + 8], uv[at : at + 8])
            q = torch.full((len(source[0]),), float(knot))
            v = ae.encode(pack(*from_i420(*source)).contiguous(memory_format=torch.channels_last), q)
            for dead in (0, 0.15, 0.3):  # what optimised symbols cut off: errors beyond those of rounding
                k = v.sign() * (v.abs() + 0.5 - dead).floor()
                luma, chroma = ((a - b).square() for a, b in zip(to_codes(*unpack(ae.decode(k, q))), source))
                e = (v - k).square().sum(1).flatten().double()
                up += (e * (0.75 * blocks(luma, 16) + 1.25 * blocks(chroma, 8))).sum().item()
                down += (e * e).sum().item()
        fits.append(up / down)
    return np.exp(np.interp(np.linspace(0, KNOTS - 1, STEPS), np.arange(KNOTS), np.log(fits))).astype(np.float32)


def furthest(run, earlier=None):
    """ae, intra, inter and motion from the latest stage of a run that trained them; what it did not train, from an earlier pack."""
    if run.is_file() or (run / "prior.safetensors").exists():
        return weights.read(run)
    out = weights.read(earlier) if earlier and (earlier / "prior.safetensors").exists() else {}
    for stage, keys in (("a", ("ae", "intra")), ("b", ("inter",)), ("c-intra", ("ae", "intra")), ("c-inter", ("inter",)), ("d", ("motion",)), ("d-q", ("motion",))):
        if (run / f"{stage}.pt").exists():
            s = torch.load(run / f"{stage}.pt")
            out |= {k: s[k] for k in keys}
    return out


def main():
    cfg = tomllib.loads(Path(sys.argv[1]).read_text())
    out = Path(sys.argv[3])
    s = furthest(Path(sys.argv[2]), out)
    out.mkdir(parents=True, exist_ok=True)
    ae, intra, inter = Autoencoder(**cfg["autoencoder"]), IntraPrior(**cfg["intra"]), InterPrior(**cfg["inter"])
    nets = {"ae": ae, "intra": intra, "inter": inter}
    if "motion" in s:  # packs without it have no slices of kind `motion`
        nets["motion"] = MotionPrior(**cfg["motion"])
    for key, net in nets.items():
        if key in s:
            net.load_state_dict({k: v.float() for k, v in s[key].items()})
        else:
            print(f"warning: {key} is not trained")
    networks(ae, out)
    q = torch.arange(STEPS) * (KNOTS - 1) / (STEPS - 1)
    table = lambda t: torch.exp(knots(t.detach(), q))[:, :, 0, 0]
    x = cfg["export"]
    by_step = lambda v: np.interp(np.linspace(0, 1, STEPS), np.linspace(0, 1, len(v)), v).astype(np.float32)
    tensors = {f"intra.{k}": v for k, v in prior_tensors(intra, False).items()} | {f"inter.{k}": v for k, v in prior_tensors(inter, True).items()}
    if "motion" in s:
        tensors |= {f"motion.{k}": v for k, v in prior_tensors(nets["motion"], True).items()} | {
            "motion.pixel_error": pixel_error(ae),
            "motion.lambda": by_step(x["lambda_motion"]),
        }
    tensors |= laplace_tables() | {
        "skip_init": skip_init(),
        "gain": table(ae.genc).numpy().astype(np.float32),
        "step_size": torch.round(table(ae.gdec) * 65536).numpy().astype(np.int32),
        "lambda": np.stack([by_step(x[k]) for k in ("lambda_none", "lambda_reference")]),
    }
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, out / "prior.safetensors")
    if not (out / "model.toml").exists() or not (out / "model.toml").read_text():
        (out / "model.toml").write_text(f'name = "{cfg["name"]}"\nformat = 1\n')
    print({f.name: f.stat().st_size for f in out.iterdir()})


if __name__ == "__main__":
    main()
