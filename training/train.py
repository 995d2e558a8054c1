"""Stage a: autoencoder, quantiser steps, hyper and spatial prior, all rates in one model.

train.py CONFIG [--stage a2] [--minutes N] [--init WEIGHTS]   resumes from the run folder if it holds a checkpoint
A later round (a2, ...) starts from --init with what its section of the config changes.
"""
import argparse
import math
import random
import time
import tomllib
from pathlib import Path

import torch

import data
import gpu
import weights
from model import KNOTS, Autoencoder, IntraPrior, knots, pack, ste_round

RUNS = Path.home() / ".cache/lic"


def start_on(device, seed, threads):
    """Everything that follows computes there; cuda: one GPU, its data in its memory."""
    torch.set_num_threads(threads)
    torch.set_default_device(device)
    if device != "cpu":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    torch.manual_seed(seed)
    random.seed(seed)


def bf16(on=True):
    return torch.autocast(torch.get_default_device().type, dtype=torch.bfloat16, enabled=on)


def pictures(crop):
    return (gpu if torch.get_default_device().type == "cuda" else data).Pictures(RUNS / "data", crop)


def read(path):
    return weights.read(path, torch.get_default_device())


def schedule(done, it, lr):
    """Warm-up, then a cosine down to 2%."""
    return lr * min(1, (it + 1) / 200) * (0.49 * (1 + math.cos(math.pi * min(done, 1))) + 0.02)


def save(path, **state):
    tmp = path.with_suffix(".tmp")
    torch.save(state, tmp)
    tmp.rename(path)


def descend(checkpoint, opt, start, nets, loss_of, minutes, steps=None, rates=None, smooth=0.998, report=500, early=False, every=2000, graph=False):
    """Minimises loss_of(iteration) -> (loss, values to report) for so many minutes, going on from a checkpoint's state `start` if that has
    an optimiser's; saves `nets` (name: module) with it. rates: peak of each parameter group, the optimiser's own unless given; gradients
    are clipped group by group. graph: loss_of makes no choice in Python, so that on a GPU a step is one CUDA graph. smooth: of the mean that is printed every `report` iterations, `early` also every 100 of the first 1000."""
    it, spent, mean = 0, 0.0, None
    rates = rates or [g["lr"] for g in opt.param_groups]
    if "opt" in start:
        opt.load_state_dict(start["opt"])
        it, spent = start["it"], start["spent"]
    graph = graph and torch.get_default_device().type == "cuda"
    if graph:
        for g in opt.param_groups:
            g["lr"], g["capturable"] = torch.tensor(0.0), True

    def step():
        loss, values = loss_of(it)
        opt.zero_grad()
        loss.backward()
        for g in opt.param_groups:
            torch.nn.utils.clip_grad_norm_(g["params"], 1.0)
        opt.step()
        return torch.stack([v.detach() for v in values])  # .item() would make a GPU wait for every step

    run = gpu.captured(step) if graph else step
    state = lambda: {k: n.state_dict() for k, n in nets.items()} | dict(opt=opt.state_dict(), it=it, spent=spent)
    last = time.time()
    while spent < minutes * 60 and it != steps:
        for g, lr in zip(opt.param_groups, rates):
            now = schedule(spent / (minutes * 60), it, lr)
            g["lr"] = g["lr"].fill_(now) if graph else now
        values = run().clone() if graph else run()
        it += 1
        if graph and it % 50 == 0:
            torch.cuda.synchronize()  # else a queue of many seconds builds up
        now = time.time()
        spent, last = spent + min(now - last, 5), now  # a stopped process does not age
        mean = values if mean is None else smooth * mean + (1 - smooth) * values
        if it % report == 0 or early and it % 100 == 0 and it < 1000:
            print(it, round(spent), *(round(m, 4) for m in mean.tolist()), flush=True)
        if it % every == 0:
            save(checkpoint, **state())
    save(checkpoint, **state())


def lambdas(ends, q):
    """What a unit of distortion is worth in bits per pixel, at each quantiser step."""
    lo, hi = map(math.log2, ends)
    return 2 ** (lo + (hi - lo) * q / (KNOTS - 1))


def distortion(t, x, chroma):
    """Mean squared error of packed pictures, luma with weight 6 and each chroma plane with `chroma`: (B,)."""
    e = [(t[:, i] - x[:, i]).pow(2).mean((1, 2, 3)) for i in (slice(0, 64), slice(64, 80), slice(80, 96))]
    return (6 * e[0] + chroma * (e[1] + e[2])) / 8


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("config")
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--stage", default="a")
    ap.add_argument("--init")
    ap.add_argument("--steps", type=int, help="stop early, for a rehearsal")
    ap.add_argument("--device", default="cpu")
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg["stage_a"] | cfg["stage_" + a.stage], RUNS / "runs" / cfg["name"]
    checkpoint = run / f"{a.stage}.pt"
    run.mkdir(parents=True, exist_ok=True)
    minutes = a.minutes or c["minutes"]
    start_on(a.device, c["seed"], c["threads"])
    ae, prior = Autoencoder(**cfg["autoencoder"]), IntraPrior(**cfg["intra"])
    ae = ae.to(memory_format=torch.channels_last)
    prior = prior.to(memory_format=torch.channels_last)
    opt = torch.optim.Adam([*ae.parameters(), *prior.parameters()], lr=c["lr"])
    start = read(checkpoint if checkpoint.exists() else a.init) if checkpoint.exists() or a.init else {}
    for net, key in ((ae, "ae"), (prior, "intra")):
        if start:
            net.load_state_dict({k: v.float() for k, v in start[key].items()})
    stills, M = pictures(c["crop"]), ae.M

    def loss_of(_):
        y, uv = stills.batch(c["batch"])
        x = pack(y, uv).to(memory_format=torch.channels_last)
        q = torch.rand(len(x)) * (KNOTS - 1)
        lam = lambdas(c["lambda"], q)
        # Random tail drop: orders the channels by importance.
        keep = torch.where(torch.rand(len(x)) < c["tail_drop"], torch.randint(1, 8, (len(x),)) * M // 8, M)
        keep = (torch.arange(M)[None] < keep[:, None])[:, :, None, None]
        with bf16():
            v = ae.encode(x, q) * keep
            yh = ste_round(v)
            by, bz = prior.bits(v, yh, v + torch.rand_like(v) - 0.5, q, train=True)
            t = ae.decode(yh, q)
        mse = distortion(t.float(), x, c["chroma"])
        bits = ((by * keep).sum((1, 2, 3)) + bz.sum((1, 2, 3))) / (y.shape[2] * y.shape[3])
        loss = (bits + lam * mse).mean()
        return loss, [loss]

    descend(checkpoint, opt, start if checkpoint.exists() else {}, dict(ae=ae, intra=prior), loss_of, minutes, a.steps, smooth=0.995, graph=True)


if __name__ == "__main__":
    main()
