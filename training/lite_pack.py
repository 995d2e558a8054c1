"""A lite pack as networks again: the sensor as it rounds, and the synthesis, to train on from there."""
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

from lite import GROUP, LUMA, ByteBlock, compand, dead_zone, decompand
from weights import convolutions

STEPS = 64


class Sensor(nn.Module):
    """Planes -> latents (whole numbers in int8) at steps (B,), 0 to 63: what the encoder makes of a single picture."""

    def __init__(self, pack):
        super().__init__()
        t = load_file(Path(pack) / "lite.safetensors")
        self.K, M = t["luma"].shape[-1], t["zone"].shape[1]
        c = torch.arange(M)
        luma = c % GROUP < LUMA
        for name, value in dict(luma=t["luma"].float(), chroma=t["chroma"].float(), gain=t["gain"], zone=t["zone"].float() / 256, unit=t["unit"].float() / 65536, order=torch.cat([c[luma], c[~luma]]).argsort()).items():
            self.register_buffer(name, value)

    def forward(self, y, uv, step):
        a, b = (self.K - 16) // 2, (self.K // 2 - 8) // 2
        t = torch.cat([F.conv2d(F.pad(y, [a] * 4, mode="replicate"), self.luma, stride=16), F.conv2d(F.pad(uv, [b] * 4, mode="replicate"), self.chroma, stride=8)], 1)
        row = lambda table: table[step][:, :, None, None]
        return dead_zone(compand((t * row(self.gain))[:, self.order]), row(self.zone))

    def held(self, latents, step):
        """What synthesis takes for them."""
        return decompand(latents) * self.unit[step][:, :, None, None]


class Synthesis(nn.Module):
    """What is held -> the packed picture, 96 channels at 1/8."""

    def __init__(self, path):
        super().__init__()
        convs = convolutions(path)
        D, M = convs[-1][0].shape[1], convs[0][0].shape[1]
        self.dec0 = nn.Sequential(nn.Conv2d(M, 4 * D, 1), nn.PixelShuffle(2))
        self.dec1 = nn.Sequential(*[ByteBlock(D) for _ in range((len(convs) - 2) // 3)])
        self.head = nn.Conv2d(D, 96, 1)
        own = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        with torch.no_grad():
            for conv, (weight, bias) in zip(own, convs, strict=True):
                conv.weight.copy_(weight)
                conv.bias.copy_(bias)

    def forward(self, held):
        return self.head(self.dec1(self.dec0(held)))
