"""Networks to train on from: a checkpoint, or a pack's own files, which hold all that a training left, rounded as the codec rounds it."""
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file

from model import KNOTS, LS_MIN, LS_PER_NAT
from quant import EXP

# A pack's names of the layers of a prior.
LAYERS = {
    "hyper.analysis0": "henc0", "hyper.analysis1": "henc1", "hyper.synthesis": "hdec", "hyper.smooth": "hdw", "context": "c", "context0": "c1",
    "context1": "c2", "reference": "rdw", "first": "p1", "spatial": "sp", "second0": "p2a", "second1": "p2b",
}  # fmt: skip


def read(path, device="cpu"):
    """A checkpoint's state by network; of a folder, the pack's in it: ae, intra, inter, motion."""
    if Path(path).is_dir():
        return {k: {n: t.to(device) for n, t in state.items()} for k, state in pack(Path(path)).items()}
    return torch.load(path, map_location=device)


def convolutions(path):
    """Of a file's convolutions in order (weight, bias); bytes times their scales."""
    graph = onnx.load(path).graph
    values = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in graph.initializer}
    out = []
    for n in graph.node:
        if n.op_type == "Cast":
            values[n.output[0]] = values[n.input[0]]
        elif n.op_type == "Mul":
            values[n.output[0]] = values[n.input[0]] * values[n.input[1]]
        elif n.op_type == "Conv":
            out.append(tuple(torch.from_numpy(values[i].copy()) for i in n.input[1:]))
    return out


def named(convs, first, blocks, last):
    """State of a chain of one convolution, residual blocks of three, one convolution."""
    between = [f"{blocks(i)}.{part}" for i in range((len(convs) - 2) // 3) for part in ("dw", "a", "b")]
    return {f"{n}.{k}": t for n, conv in zip([first, *between, last], convs, strict=True) for k, t in zip(("weight", "bias"), conv)}


def pack(folder):
    t = load_file(folder / "prior.safetensors")
    analysis, synthesis = (convolutions(folder / f"{n}.onnx") for n in ("analysis", "synthesis"))
    at = np.arange(KNOTS) * (len(t["gain"]) - 1) // (KNOTS - 1)  # knots lie on steps
    ae = named(analysis, "enc.0", lambda i: f"enc.{i + 1}", f"enc.{(len(analysis) - 2) // 3 + 1}")
    ae |= named(synthesis, "dec0.0", lambda i: f"dec1.{i}", "head")
    ae |= {"genc": torch.from_numpy(np.log(t["gain"][at])), "gdec": torch.from_numpy(np.log(t["step_size"][at] / 65536).astype(np.float32))}
    kinds = {n.split(".")[0] for n in t} & {"intra", "inter", "motion"}
    kinds = [k for k in kinds if f"{k}.first.weight" in t]
    return {"ae": ae} | {k: prior({n.split(".", 1)[1]: v for n, v in t.items() if n.startswith(k + ".")}, t["gain"].shape[1], at) for k in kinds}


def prior(t, M, at):
    """A prior's state out of its integers: export.py's `prior_tensors`, backwards."""
    out = {"zmu": t["hyper.mean"][at] / 8, "zls": t["hyper.scale"][at] / LS_PER_NAT + LS_MIN}
    for name, layer in LAYERS.items():
        if f"{name}.weight" not in t:
            continue
        w, b, k = (t[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "shift"))
        scale = np.ones(len(w))
        if layer in ("p1", "p2b"):
            k[:M] -= EXP - 3
            k[M : 2 * M] -= EXP
            scale[M : 2 * M] = LS_PER_NAT
        b = b / 2 ** (k + EXP)
        if layer in ("p1", "p2b"):
            b[M : 2 * M] += LS_MIN * LS_PER_NAT
        w, b = w / (2**k * scale)[:, None], b / scale
        if layer == "hdec":
            back = np.argsort(np.arange(len(w)).reshape(-1, 4).T.reshape(-1))
            w, b = w[back], b[back]
        if layer == "henc1":
            w = w.reshape(len(w), 2, 2, -1).transpose(0, 3, 1, 2)
        elif layer in ("hdw", "rdw", "sp"):
            w = w.reshape(-1, 1, 3, 3)
        else:
            w = w[:, :, None, None]
        out[f"{layer}.conv.weight"] = w
        if layer in ("c", "c1"):
            out["cbias"] = t[f"{name}.step_bias"][at] / 2 ** (k + EXP)
        else:
            out[f"{layer}.conv.bias"] = b
    return {n: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for n, v in out.items()}
