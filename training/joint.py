"""Stage e: autoencoder and priors tuned together, on pictures and on closed loops.

joint.py CONFIG [--minutes N] [--init WEIGHTS ...] [--steps N]
Gradients flow from a frame back through those it was predicted from: copying and coding again must not blur over time. Priors run in
integer arithmetic (straight-through gradients) from the start. The quantiser's gains stay as they are: left free, they made every frame
finer because later ones profit, which the encoder's step does already. Resumes from the run folder.
"""
import argparse
import random
import tomllib
from pathlib import Path

import torch

import gpu
from data import from_i420
from model import KNOTS, Autoencoder, InterPrior, IntraPrior, MotionPrior, laplace_bits, pack, ste_round
from motion_prior import bits_of, chain
from quant import activation, set_quantised
from sequences import Clips, choose
from temporal import inter_loss
from train import RUNS, bf16, descend, distortion, lambdas, pictures, read, start_on


def intra_bits(net, v, k, q):
    """Bits of each picture: latents v before rounding, k as chosen. Half of a latent's price is that of noise in place of rounding,
    without which zeros had no gradient."""
    z = net.hyper_analysis(activation(net, v))
    parameters = net(k, ste_round(z), q)
    noisy = laplace_bits(v + torch.rand_like(v) - 0.5, *parameters)
    bz = net.hyper_bits(z + torch.rand_like(z) - 0.5, q)
    return (noisy + laplace_bits(k, *parameters)).sum((1, 2, 3)) / 2 + bz.sum((1, 2, 3))


def picture_loss(ae, intra, stills, c, a):
    y, uv = stills.batch(c["pictures"])
    x = pack(y, uv).contiguous(memory_format=torch.channels_last)
    q = torch.rand(len(x)) * (KNOTS - 1)
    with bf16(True):
        v = ae.encode(x, q)
    with torch.no_grad():
        z = ste_round(intra.hyper_analysis(activation(intra, v)))
        k = choose(v, *intra(v.round(), z, q), torch.empty(len(x), 1, 1, 1).uniform_(*c["lambda_none"]))
    k = v + (k - v).detach()
    with bf16(True):
        t = ae.decode(k, q)
    bits = intra_bits(intra, v, k, q) / y[0].numel()
    return (bits + lambdas(a["lambda"], q) * distortion(t.float(), x, a["chroma"])).mean()


def loop_loss(ae, intra, net, clips, c, a):
    """A frame's mean cost; the key frame's own counts as one more."""
    n, frames = c["batch"], random.choice(c["frames"])
    y, uv = clips.batch(n, frames)
    x, px = pack(y, uv).unflatten(0, (n, frames)), y[0].numel()
    lam = torch.empty(n, 1, 1, 1).uniform_(*c["lambda"])
    coded, first, pictures, q, key = chain(ae, net, y, uv, frames, lam, c["reach"], random.random() < c["choosing"], True, c["finer"])
    error = lambda i: distortion(pack(*from_i420(*pictures[i])), x[:, i], a["chroma"])
    loss = (intra_bits(intra, first, ste_round(first), key) / px + lambdas(a["lambda"], key) * error(0)).mean()
    for i, frame in enumerate(coded):
        by, bz = bits_of(net, frame, q, True)
        loss = loss + ((by.sum((1, 2, 3)) + bz.sum((1, 2, 3))) / px + c["inter_error"] * lambdas(a["lambda"], q) * error(i + 1)).mean()
    return loss / frames


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config")
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--init", nargs="+")
    ap.add_argument("--steps", type=int)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--section", help="of the config, with what this run changes")
    a = ap.parse_args()
    cfg = tomllib.loads(Path(a.config).read_text())
    c, run = cfg["stage_e"] | cfg.get(a.section, {}), RUNS / "runs" / cfg["name"]
    minutes = a.minutes or c["minutes"]
    start_on(a.device, c["seed"], c["threads"])
    ae, intra, net, inter = Autoencoder(**cfg["autoencoder"]), IntraPrior(**cfg["intra"]), MotionPrior(**cfg["motion"]), InterPrior(**cfg["inter"])
    checkpoint, start = run / "e.pt", {}
    for f in [checkpoint] if checkpoint.exists() else a.init or ap.error("needs --init"):
        start |= read(f)
    for module, key in ((ae, "ae"), (intra, "intra"), (net, "motion"), (inter, "inter")):
        module.load_state_dict({k: v.float() for k, v in start[key].items()})
    ae.to(memory_format=torch.channels_last)
    set_quantised(intra, True)
    set_quantised(net, True)
    set_quantised(inter, True)
    clips = (gpu.Clips if a.device == "cuda" else Clips)(RUNS / "data", c["crop"], c["gaps"])
    stills = pictures(c["picture_crop"])
    gains = {id(ae.genc), id(ae.gdec)}
    tuned, priors = [p for p in ae.parameters() if id(p) not in gains], [*intra.parameters(), *net.parameters(), *inter.parameters()]
    opt = torch.optim.Adam([dict(params=tuned), dict(params=priors)])

    def loss_of(_):
        one, two = picture_loss(ae, intra, stills, c, cfg["stage_a"]), loop_loss(ae, intra, net, clips, c, cfg["stage_a"])
        # The prior of kind `latent` follows the autoencoder, which it has no say in.
        three = inter_loss(ae, inter, clips, c | {"batch": c["latent_batch"]}, True) if c["latent_batch"] else torch.zeros(())
        return c["pictures_weight"] * one + two + three, [one, two, three]

    nets, rates = dict(ae=ae, intra=intra, motion=net, inter=inter), (c["lr"], c["lr_priors"])
    descend(checkpoint, opt, start if checkpoint.exists() else {}, nets, loss_of, minutes, a.steps, rates, 0.995, 250, True, 500)


if __name__ == "__main__":
    main()
