"""Stages b and c, on a frozen analysis: rate alone, but for synthesis, which learns what the encoder's choices leave.

temporal.py CONFIG STAGE [--minutes N] [--init WEIGHTS] [--steps N]
  b        the temporal prior in float (STEM's second stage)
  c-intra  the prior without reference in integer arithmetic (straight-through gradients), and synthesis, on symbols that
           rate-distortion optimisation would choose
  c-inter  the temporal prior likewise
Resumes from the run folder; b and c-intra start from stage a's result, c-inter from b's, unless --init says otherwise.
"""
import argparse
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F

from model import KNOTS, Autoencoder, InterPrior, IntraPrior, laplace_bits, pack, ste_round
from quant import activation, set_quantised
from sequences import Clips, chain, choose
from train import RUNS, bf16, descend, distortion, lambdas, pictures, read, start_on

FRAMES = 4
START = {"b": "a.pt", "c-intra": "a.pt", "c-inter": "b.pt"}


def intra_loss(ae, intra, stills, c, a):
    """Bits per pixel and weighted error of pictures as rate-distortion optimisation leaves their latents."""
    n = c["batch"]
    y, uv = stills.batch(n)
    x = pack(y, uv).contiguous(memory_format=torch.channels_last)
    q = torch.rand(n) * (KNOTS - 1)
    with torch.no_grad():
        v = ae.encode(x, q)
        z = ste_round(intra.hyper_analysis(activation(intra, v)))
        k = choose(v, *intra(v.round(), z, q), torch.empty(n, 1, 1, 1).uniform_(*c["lambda"]))
    z = intra.hyper_analysis(activation(intra, v))
    by = laplace_bits(k, *intra(k, ste_round(z), q))
    bz = intra.hyper_bits(z + torch.rand_like(z) - 0.5, q)
    with bf16():
        t = ae.decode(k, q)
    return (by.sum() + bz.sum()) / y.numel() + (lambdas(a["lambda"], q) * distortion(t.float(), x, a["chroma"])).mean()


def inter_loss(ae, inter, clips, c, optimised):
    """Bits per pixel of inter frames' latents; optimised: as the encoder chooses them once it knows their distribution."""
    n = c["batch"]
    y, uv = clips.batch(n, FRAMES)
    lam = torch.empty(n, 1, 1, 1).uniform_(*c["lambda"])
    v, ref, yh, skip, q = chain(ae, y, uv, n, FRAMES, lam)
    if optimised:
        with torch.no_grad():
            cells = F.max_pool2d(F.pad(1 - skip, (0, skip.shape[3] % 2, 0, skip.shape[2] % 2)), 2)
            z = ste_round(inter.hyper_analysis(activation(inter, torch.cat([yh, ref], 1)))) * cells
            k = choose(v, *inter(yh, ref, skip, z, cells, q), lam)
            yh = torch.where(skip > 0, ref, k)
    by, bz = inter.bits(yh, ref, skip, q, train=True)
    return (by.sum() + bz.sum()) / (n * y.shape[2] * y.shape[3])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("stage", choices=list(START))
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--init")
    ap.add_argument("--steps", type=int)
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg["stage_" + a.stage.replace("-", "_")], RUNS / "runs" / cfg["name"]
    minutes = a.minutes or c["minutes"]
    start_on("cpu", c["seed"], c["threads"])
    ae, intra, inter = Autoencoder(**cfg["autoencoder"]), IntraPrior(**cfg["intra"]), InterPrior(**cfg["inter"])
    checkpoint = run / f"{a.stage}.pt"
    start = read(checkpoint if checkpoint.exists() else a.init or run / START[a.stage])
    for net, key in ((ae, "ae"), (intra, "intra"), (inter, "inter")):
        if key in start:
            net.load_state_dict({k: v.float() for k, v in start[key].items()})
    ae.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    if a.stage == "c-intra":
        set_quantised(intra, True)
        synthesis = [p for m in (ae.dec0, ae.dec1, ae.head) for p in m.parameters()]
        params = [*intra.parameters(), *(p.requires_grad_() for p in synthesis)]
        stills = pictures(c["crop"])
        loss_of = lambda: intra_loss(ae, intra, stills, c, cfg["stage_a"])
    else:
        set_quantised(inter, a.stage == "c-inter")
        params = [*inter.parameters()]
        clips = Clips(RUNS / "data", c["crop"], c["gaps"])
        loss_of = lambda: inter_loss(ae, inter, clips, c, a.stage == "c-inter")
    def descent(_):
        with bf16(a.stage == "b"):
            loss = loss_of()
        return loss, [loss]

    opt = torch.optim.Adam(params, lr=c["lr"])
    descend(checkpoint, opt, start if checkpoint.exists() else {}, dict(ae=ae, intra=intra, inter=inter), descent, minutes, a.steps)


if __name__ == "__main__":
    main()
