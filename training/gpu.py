"""Pictures and clips in a GPU's memory, as bytes; crops are cut there by index arithmetic.

The same interfaces and the same distribution as data.Pictures and sequences.Clips, which a GPU would wait for.
"""
import random
from pathlib import Path

import torch

from data import from_i420


def flat(tensors):
    """Tensors of bytes end to end, and where each starts."""
    starts, n = [], 0
    for t in tensors:
        starts.append(n)
        n += t.numel()
    return torch.cat([t.reshape(-1) for t in tensors]).to(torch.get_default_device()), starts


def captured(step):
    """A step (tensors in, tensors out, no choice in Python) as one CUDA graph: launching its kernels one by one takes several times
    as long as they run. -> a function that runs it and returns the tensors, always the same ones."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()

    def run():
        graph.replay()
        return out

    return run


def column(values, dims):
    return torch.tensor(values).view(-1, *[1] * dims)


class Pictures:
    """As data.Pictures."""

    def __init__(self, root, crop):
        self.crop = crop
        images = [i for i in torch.load(Path(root) / "pictures_train.pt", map_location="cpu") if min(i.shape[:2]) >= crop + 8]
        self.bytes, starts = flat(images)
        self.places = torch.tensor([(*i.shape[:2], s) for i, s in zip(images, starts)]).T.contiguous()

    def batch(self, n):
        """Tensor operations alone, the draws too, so that a CUDA graph can hold it."""
        p, below = self.crop, lambda limit: (torch.rand(n) * limit).long()
        h, w, start = self.places[:, below(self.places.shape[1])]
        a, b = below(h - p + 1), below(w - p + 1)
        up, left, turned = torch.rand(3, n) < 0.5
        a, dy = torch.where(up, a + p - 1, a), torch.where(up, -w, w)
        b, dx = torch.where(left, b + p - 1, b), torch.where(left, -1, 1)
        dy, dx = torch.where(turned, dx, dy), torch.where(turned, dy, dx)
        along, each = torch.arange(p), lambda t: (3 * t).view(-1, 1, 1, 1)
        index = (start.view(-1, 1, 1, 1) + each(a * w + b)) + each(dy) * along[:, None, None] + each(dx) * along[:, None] + torch.arange(3)
        r, g, b = (self.bytes[index].float() / 255).unbind(-1)
        y = 0.2126 * r + 0.7152 * g + 0.0722 * b
        uv = torch.stack([(b - y) / 1.8556, (r - y) / 1.5748], 1)
        return y[:, None] - 0.5, torch.nn.functional.avg_pool2d(uv, 2)


class Clips:
    """As sequences.Clips."""

    def __init__(self, root, crop, gaps, split="train"):
        self.crop, self.gaps = crop, gaps
        clips = [c for c in torch.load(Path(root) / f"clips_{split}.pt", map_location="cpu", mmap=True) if min(c[0].shape[2:]) >= crop]
        self.shapes = [c[0].shape for c in clips]
        self.y, self.y_starts = flat([y for y, _ in clips])
        self.uv, self.uv_starts = flat([uv for _, uv in clips])

    def batch(self, n, frames):
        p, yat, uat, width, noise = self.crop, [], [], [], []
        for _ in range(n):
            c, gap = random.randrange(len(self.shapes)), random.choice(self.gaps)
            count, _, h, w = self.shapes[c]
            t = random.randrange(max(1, count - (frames - 1) * gap))
            still = random.random() < 0.15
            a, b = random.randrange((h - p) // 2 + 1) * 2, random.randrange((w - p) // 2 + 1) * 2
            flip = random.random() < 0.5
            s = random.choice([0.5, 1, 2, 3, 4]) / 255 if still or random.random() < 0.4 else 0.0
            for i in range(frames):
                f = t if still else min(count - 1, t + gap * i)
                yat.append(self.y_starts[c] + (f * h + a) * w + b + (p - 1 if flip else 0))
                uat.append(self.uv_starts[c] + (f * h + a // 2) * (w // 2) + b // 2 + (p // 2 - 1 if flip else 0))
                width.append((w, -1 if flip else 1, h * w // 4)), noise.append(s)
        width = torch.tensor(width)
        row, step, plane = (width[:, i].view(-1, 1, 1, 1) for i in range(3))
        down, across = torch.arange(p)[:, None], torch.arange(p)
        y = self.y[column(yat, 3) + down * row + across * step]
        uv = self.uv[column(uat, 3) + torch.arange(2)[:, None, None] * plane + down[: p // 2] * (row // 2) + across[: p // 2] * step]
        y, uv = from_i420(y, uv)
        s = column(noise, 3)
        return y + torch.randn_like(y) * s, uv + torch.randn_like(uv) * s * 0.7
