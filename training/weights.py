"""Committed weights: compressed (.pt.xz), and what a pack's ONNX files hold already, to the bit, is read from there."""
import io
import lzma
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

PACKS = Path(__file__).parent.parent / "models"
HALVES = {"analysis.onnx": ("enc.",), "synthesis.onnx": ("dec0.", "dec1.", "head.")}


def names(state, file):
    """Of the autoencoder's state, what the file holds, in its order."""
    return [k for prefix in HALVES[file] for k in state if k.startswith(prefix)]


def read(path, device="cpu"):
    """A checkpoint or weights, whole."""
    data = Path(path).read_bytes()
    if str(path).endswith(".xz"):
        planes = np.frombuffer(lzma.decompress(data), np.uint8).reshape(2, -1)
        data = planes.T.tobytes()
    state = torch.load(io.BytesIO(data), map_location=device)
    for key, (pack, layout) in state.pop("elsewhere", {}).items():
        for file, shapes in layout.items():
            tensors = [numpy_helper.to_array(t) for t in onnx.load(PACKS / pack / file).graph.initializer]
            if [list(t.shape) for t in tensors] != [s for _, s in shapes]:
                raise SystemExit(f"{path} belongs to another version of {PACKS / pack / file}")
            state[key] |= {name: torch.from_numpy(t.copy()).to(device) for (name, _), t in zip(shapes, tensors)}
    return state


def rounded(tensor):
    """fp16 with 7 bits of mantissa: half a unit is 0.4%, as much as the priors' int8 rounds away. Saves a fifth of the file."""
    bits = tensor.half().numpy().view(np.uint16).astype(np.uint32)
    return torch.from_numpy(((bits + 4 >> 3) << 3).astype(np.uint16).view(np.float16))


def write(path, state, pack):
    """All networks as fp16, for a later training to start from; the autoencoder's convolutions stay in the pack's files."""
    half = {key: {k: v.half() if key == "ae" else rounded(v.cpu()) for k, v in net.items()} for key, net in state.items()}
    layout = {file: [(k, list(half["ae"][k].shape)) for k in names(half["ae"], file)] for file in HALVES}
    for file, shapes in layout.items():
        for name, _ in shapes:
            del half["ae"][name]
    f = io.BytesIO()
    torch.save(half | {"elsewhere": {"ae": (pack, layout)}}, f)
    # Signs and exponents, then mantissas: those of fp16 that compress, apart from those that do not.
    data = np.frombuffer(f.getvalue() + b"\0" * (f.tell() % 2), np.uint8)
    Path(path).write_bytes(lzma.compress(data.reshape(-1, 2).T.tobytes(), preset=9))
