"""Turns the prototype's weights into a starting point of the base pack: channels sorted by importance, prior layers merged.

seed.py PROTOTYPE_PT CONFIG OUT
"""
import sys
import tomllib
from pathlib import Path

import torch

from data import from_rgb
from model import Autoencoder, IntraPrior, knots, pack

RUNS = Path.home() / ".cache/lic"


@torch.no_grad()
def importance(ae, pictures):
    """Rise of the squared error of the decoded picture when one channel is zeroed."""
    q, total = torch.full((1,), 4.0), torch.zeros(ae.M)
    for p in pictures:
        y, uv = (torch.from_numpy(v)[None] for v in from_rgb(p[:256, :256].numpy()))
        x = pack(y, uv)
        yh = ae.encode(x, q).round()
        base = (ae.decode(yh, q) - x).pow(2).mean()
        for i in range(ae.M):
            cut = yh.clone()
            cut[:, i] = 0
            total[i] += (ae.decode(cut, q) - x).pow(2).mean() - base
    return total


def fill(net, state):
    """Loads what is named in state; new residual blocks start as the identity."""
    own = net.state_dict()
    for k, v in state.items():
        assert own[k].shape == v.shape, k
        own[k] = v
    net.load_state_dict(own)


def main():
    s = {k: v.float() for k, v in torch.load(sys.argv[1]).items()}
    cfg = tomllib.loads(Path(sys.argv[2]).read_text())
    M = cfg["autoencoder"]["M"]
    eb, db = cfg["autoencoder"]["enc_blocks"], cfg["autoencoder"]["dec_blocks"]
    names = {k: k for k in s if k.split(".")[0] in ("genc", "gdec", "dec0", "dec1", "head")}
    names |= {f"enc.{i}.{k}": f"enc.{i}.{k}" for i in (0, 1) for k in [n.split(".", 2)[2] for n in s if n.startswith(f"enc.{i}.")]}
    names |= {f"enc.2.{k}": f"enc.{eb + 1}.{k}" for k in ("weight", "bias")}

    def build(state):
        ae = Autoencoder(**cfg["autoencoder"])
        fill(ae, {new: state[old] for old, new in names.items()})
        for b in [ae.enc[i] for i in range(2, eb + 1)] + [ae.dec1[i] for i in range(4, db)]:
            b.b.weight.data.zero_(); b.b.bias.data.zero_()
        return ae

    val = torch.load(RUNS / "data/pictures_val.pt")[::4][:8]
    order = importance(build(s), val).argsort(descending=True)
    both = torch.cat([order, order + M])
    for k in ("enc.2.weight", "enc.2.bias", "p1.weight", "p1.bias", "p2.2.weight", "p2.2.bias", "sp.0.weight", "sp.0.bias"):
        s[k] = s[k][both if k.startswith("p") else order]
    for k in ("genc", "gdec", "dec0.0.weight", "henc.0.weight", "sp.1.weight"):
        s[k] = s[k][:, order]
    ae = build(s)

    prior = IntraPrior(**cfg["intra"])
    w = lambda k: s[k + ".weight"][:, :, 0, 0]
    p2, sp = w("p2.0"), w("sp.1")
    one = lambda m: m[:, :, None, None]
    fill(prior, {
        "zmu": s["zmu"], "zls": s["zls"],
        "henc0.conv.weight": s["henc.0.weight"], "henc0.conv.bias": s["henc.0.bias"],
        "henc1.conv.weight": s["henc.2.weight"][:, :, 1:, 1:], "henc1.conv.bias": s["henc.2.bias"],
        "hdec.conv.weight": s["hdec.0.weight"], "hdec.conv.bias": s["hdec.0.bias"],
        "hdw.conv.weight": s["hdec.3.weight"], "hdw.conv.bias": s["hdec.3.bias"],
        "c.conv.weight": one(w("ctxin.0") @ w("hdec.4")),
        "cbias": (s["hdec.4.bias"] + s["qemb.weight"]) @ w("ctxin.0").T + s["ctxin.0.bias"],
        "p1.conv.weight": s["p1.weight"], "p1.conv.bias": s["p1.bias"],
        "sp.conv.weight": s["sp.0.weight"], "sp.conv.bias": s["sp.0.bias"],
        "p2a.conv.weight": one(torch.cat([p2[:, :M], p2[:, M:] @ sp], 1)), "p2a.conv.bias": s["p2.0.bias"] + p2[:, M:] @ s["sp.1.bias"],
        "p2b.conv.weight": s["p2.2.weight"], "p2b.conv.bias": s["p2.2.bias"],
    })
    torch.save({"ae": ae.state_dict(), "intra": prior.state_dict()}, sys.argv[3])


if __name__ == "__main__":
    main()
