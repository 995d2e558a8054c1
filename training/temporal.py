"""Stages b and c: the priors on a frozen autoencoder, for rate alone.

temporal.py CONFIG STAGE [--minutes N] [--init WEIGHTS] [--steps N]
  b  the temporal prior in float (STEM's second stage)
  c  both priors in integer arithmetic with straight-through gradients, on symbols that the encoder would choose
Resumes from the run folder; b starts from stage a's result, c from b's.
"""
import argparse
import random
import time
import tomllib
from pathlib import Path

import torch

from data import Pictures
from model import KNOTS, Autoencoder, InterPrior, IntraPrior, laplace_bits, pack, ste_round
from quant import activation, set_quantised
from sequences import Clips, chain, choose
from train import RUNS, save, schedule

FRAMES = 4


def intra_loss(ae, intra, pictures, c, n):
    """Bits per pixel of pictures' latents as rate-distortion optimisation leaves them."""
    y, uv = pictures.batch(n)
    q = torch.rand(n) * (KNOTS - 1)
    with torch.no_grad():
        v = ae.encode(pack(y, uv).contiguous(memory_format=torch.channels_last), q)
        z = ste_round(intra.hyper_analysis(activation(intra, v)))
        lam = torch.rand(n, 1, 1, 1) * c["lambda"][1]
        k = choose(v, *intra(v.round(), z, q), lam)
    z = intra.hyper_analysis(activation(intra, v))
    by = laplace_bits(k, *intra(k, ste_round(z), q))
    bz = intra.hyper_bits(z + torch.rand_like(z) - 0.5, q)
    return (by.sum() + bz.sum()) / y.numel()


def inter_loss(ae, inter, clips, c, n, optimised):
    y, uv = clips.batch(n, FRAMES)
    lam = torch.empty(n, 1, 1, 1).uniform_(*c["lambda"])
    v, ref, yh, skip, q = chain(ae, y, uv, n, FRAMES, lam)
    if optimised:
        with torch.no_grad():
            coded = 1 - skip
            cells = torch.nn.functional.max_pool2d(torch.nn.functional.pad(coded, (0, skip.shape[3] % 2, 0, skip.shape[2] % 2)), 2)
            z = ste_round(inter.hyper_analysis(activation(inter, torch.cat([yh, ref], 1)))) * cells
            k = choose(v, *inter(yh, ref, skip, z, cells, q), lam)
            yh = torch.where(skip > 0, ref, k)
    by, bz = inter.bits(yh, ref, skip, q, train=True)
    return (by.sum() + bz.sum()) / (n * y.shape[2] * y.shape[3])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("stage", choices=["b", "c"])
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--init")
    ap.add_argument("--steps", type=int)
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg[f"stage_{a.stage}"], RUNS / "runs" / cfg["name"]
    minutes = a.minutes or c["minutes"]
    torch.set_num_threads(c["threads"])
    torch.manual_seed(c["seed"])
    random.seed(c["seed"])
    ae, intra, inter = Autoencoder(**cfg["autoencoder"]), IntraPrior(**cfg["intra"]), InterPrior(**cfg["inter"])
    checkpoint = run / f"{a.stage}.pt"
    start = torch.load(checkpoint if checkpoint.exists() else a.init or run / ("a.pt" if a.stage == "b" else "b.pt"))
    for net, key in ((ae, "ae"), (intra, "intra"), (inter, "inter")):
        if key in start:
            net.load_state_dict({k: v.float() for k, v in start[key].items()})
    ae.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    params = [*inter.parameters()]
    if a.stage == "c":
        params += [*intra.parameters()]
        set_quantised(intra, True)
        set_quantised(inter, True)
    opt = torch.optim.Adam(params, lr=c["lr"])
    it, spent, means = 0, 0.0, None
    if checkpoint.exists():
        opt.load_state_dict(start["opt"])
        it, spent = start["it"], start["spent"]
    clips = Clips(RUNS / "data", c["crop"], c["gaps"])
    pictures = Pictures(RUNS / "data", c["crop"]) if a.stage == "c" else None
    state = lambda: dict(ae=ae.state_dict(), intra=intra.state_dict(), inter=inter.state_dict(), opt=opt.state_dict(), it=it, spent=spent)
    last = time.time()
    while spent < minutes * 60 and it != a.steps:
        for g in opt.param_groups:
            g["lr"] = schedule(spent / (minutes * 60), it, c["lr"])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.stage == "b"):
            losses = [inter_loss(ae, inter, clips, c, c["batch"], a.stage == "c")]
            if a.stage == "c":
                losses.append(intra_loss(ae, intra, pictures, c, c["batch"]))
        opt.zero_grad()
        sum(losses).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        it += 1
        now = time.time()
        spent, last = spent + min(now - last, 5), now
        now = torch.tensor([x.item() for x in losses])
        means = now if means is None else 0.995 * means + 0.005 * now
        if it % 500 == 0:
            print(it, round(spent), [round(m, 4) for m in means.tolist()], flush=True)
        if it % 2000 == 0:
            save(checkpoint, **state())
    save(checkpoint, **state())


if __name__ == "__main__":
    main()
