"""Tunes a lite pack's synthesis for those who look at its pictures with a network: after SEAOTTER, the sensor stays as it is, the synthesis
learns to preserve what frozen classifiers say of the undistorted picture.

task.py CONFIG PACK [--minutes N] [--steps N] [--device cuda]     writes ~/.cache/lic/runs/NAME/task.pt; resumes from it
task.py CONFIG PACK --export OUT.onnx                             the tuned synthesis as an add-on of the pack

Loss: Kullback-Leibler divergence of the classes' probabilities, and the picture's error, so that people still see a picture. Half of the
pictures go through what lictojpeg's rounding of coefficients does to them.
"""
import argparse
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F

from colour import straight
from export import Graph
from lite import dct
from lite_pack import STEPS, Sensor, Synthesis
from model import KNOTS, pack, unpack
from perception import Classifier
from train import RUNS, bf16, descend, distortion, lambdas, pictures, read, start_on


def rgb(y, uv):
    """Planes as in data.from_rgb -> Bx3xHxW in [0, 1]."""
    uv = F.interpolate(uv, scale_factor=2, mode="bilinear", align_corners=False)
    y, b, r = y[:, 0] + 0.5, uv[:, 0] * 1.8556, uv[:, 1] * 1.5748
    return torch.stack([y + r, y - (0.2126 * r + 0.0722 * b) / 0.7152, y + b], 1).clamp(0, 1)


def rounded(plane, entry, basis):
    """Samples in [-0.5, 0.5] as coefficients of 8x8 blocks in whole multiples of entry (B,) leave them (codec/src/jpeg/tables.rs, nearly flat)."""
    b, c, h, w = plane.shape
    e = entry[:, None, None, None, None, None]
    v = basis @ (plane * 255).view(b, c, h // 8, 8, w // 8, 8).transpose(3, 4) @ basis.T / e
    v = straight(torch.sign(v) * torch.floor(v.abs() + 0.4), v) * e
    return (basis.T @ v @ basis).transpose(3, 4).reshape(b, c, h, w) / 255


def export(net, path):
    g = Graph(net.dec0[0].weight.shape[1], bytes=True)
    g.conv(net.dec0[0], bytes=True, inputs=True)
    g.add("DepthToSpace", blocksize=2, mode="CRD")
    for b in net.dec1:
        g.block(b)
    g.conv(net.head)
    g.save(path, 96)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("pack", type=Path)
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--steps", type=int)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--section", default="task")
    ap.add_argument("--export", type=Path)
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, d, run = cfg["task"] | cfg[a.section], cfg["stage_a"], RUNS / "runs" / cfg["name"]
    checkpoint = run / "task.pt"
    net = Synthesis(a.pack / "synthesis.onnx")
    if a.export:
        net.load_state_dict({k: v.float() for k, v in torch.load(checkpoint, map_location="cpu")["task"].items()})
        return export(net, a.export)
    run.mkdir(parents=True, exist_ok=True)
    sensor, judges = Sensor(a.pack), [Classifier(i) for i in c["classifiers"]]
    start_on(a.device, c["seed"], c["threads"])
    last = dict(device=a.device, memory_format=torch.channels_last)
    net.to(**last)
    sensor.to(a.device)
    [j.to(**last) for j in judges]
    start = read(checkpoint) if checkpoint.exists() else {}
    if start:
        net.load_state_dict(start["task"])
    opt = torch.optim.Adam(net.parameters(), lr=c["lr"])
    stills, basis, (coarse, fine) = pictures(c["crop"]), dct(8).to(a.device), c["steps"]

    def loss_of(_):
        y, uv = stills.batch(c["batch"])
        n = len(y)
        step = coarse + (torch.rand(n) * (fine - coarse + 1)).long()
        with torch.no_grad():
            held = sensor.held(sensor(y, uv, step), step)
        with bf16():
            with torch.no_grad():
                said = [j(rgb(y, uv)) for j in judges]
            t = net(held.contiguous(memory_format=torch.channels_last)).float()
            ty, tuv = unpack(t)
            entry, through = 48 * 2 ** (-step / 16), (torch.rand(n) < 0.5)[:, None, None, None]
            seen = rgb(torch.where(through, rounded(ty, entry, basis), ty), torch.where(through, rounded(tuv, entry * 0.58, basis), tuv))
            says = [j(seen) for j in judges]
        kl = torch.stack([F.kl_div(F.log_softmax(b.float(), 1), F.log_softmax(a.float(), 1), log_target=True, reduction="batchmean") for a, b in zip(said, says)])
        same = torch.stack([(b.argmax(1) == a.argmax(1)).float().mean() for a, b in zip(said, says)])
        q = step * ((KNOTS - 1) / (STEPS - 1))
        error = distortion(t, pack(y, uv), d["chroma"])
        loss = kl.mean() + c["picture"] * (lambdas(d["lambda"], q) * error).mean()
        return loss, [*kl, *same, error.log10().mean() * -10]

    descend(checkpoint, opt, start, dict(task=net), loss_of, a.minutes or c["minutes"], a.steps, smooth=0.99, early=True, every=1000, graph=True)


if __name__ == "__main__":
    main()
