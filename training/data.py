"""Pictures and clips as planes; packed once into one file so that a run starts in seconds.

data.py DATA OUT   reads DATA/{train,val}_{images,video} and writes OUT/{pictures,clips}_{train,val}.pt
"""
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image


def from_rgb(a):
    """HxWx3 uint8, H and W even -> y 1xHxW, uv 2x(H/2)x(W/2), BT.709, luma and chroma in [-0.5, 0.5]."""
    a = a.astype(np.float32) / 255
    r, g, b = a[..., 0], a[..., 1], a[..., 2]
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    uv = np.stack([(b - y) / 1.8556, (r - y) / 1.5748])
    uv = uv.reshape(2, uv.shape[1] // 2, 2, uv.shape[2] // 2, 2).mean((2, 4))
    return y[None] - 0.5, uv.astype(np.float32)


def from_i420(y, uv):
    """uint8 limited-range planes (tensors) -> the same scale."""
    return (y.float() - 16) / 219 - 0.5, (uv.float() - 128) / 224


def to_codes(y, uv):
    """The way back, rounded, as floats."""
    return (y * 219 + 125.5).round().clamp(0, 255), (uv * 224 + 128).round().clamp(0, 255)


def size(path):
    out = subprocess.check_output(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(path)], text=True)
    return map(int, out.strip().split(",")[:2])


def clip(path, frames=None, every=1, align=32):
    """Every k-th frame: y nx1xHxW and uv nx2x(H/2)x(W/2), uint8, cropped to multiples of align."""
    w, h = size(path)
    w, h = w // align * align, h // align * align
    cmd = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"select='not(mod(n,{every}))',crop={w}:{h}:0:0", "-fps_mode", "passthrough"]
    cmd += (["-frames:v", str(frames)] if frames else []) + ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    f = np.frombuffer(subprocess.check_output(cmd), np.uint8).reshape(-1, w * h * 3 // 2).copy()
    return torch.from_numpy(f[:, : w * h].reshape(-1, 1, h, w)), torch.from_numpy(f[:, w * h :].reshape(-1, 2, h // 2, w // 2))


def both(path, every=16):
    """A clip's planes, and every so many frames of it as RGB."""
    if not shutil.which("ffmpeg"):
        return both_by_opencv(path, every)
    w, h = size(path)
    raw = subprocess.check_output(["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"select='not(mod(n,{every}))'", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
    return clip(path, align=16), list(np.frombuffer(raw, np.uint8).reshape(-1, h, w, 3))


def both_by_opencv(path, every):
    """The same where there is no ffmpeg: out of OpenCV's BT.601 RGB, with chroma that was interpolated and averaged again."""
    import cv2

    video, ys, uvs, pictures = cv2.VideoCapture(str(path)), [], [], []
    while True:
        ok, frame = video.read()
        if not ok:
            return (torch.from_numpy(np.stack(ys)), torch.from_numpy(np.stack(uvs))), pictures
        rgb = frame[..., ::-1]
        if len(ys) % every == 0:
            pictures.append(rgb)
        h, w = (s // 16 * 16 for s in rgb.shape[:2])
        r, g, b = (rgb[:h, :w, i].astype(np.float32) / 255 for i in range(3))
        y = 0.299 * r + 0.587 * g + 0.114 * b
        uv = np.stack([(b - y) / 1.772, (r - y) / 1.402]).reshape(2, h // 2, 2, w // 2, 2).mean((2, 4))
        ys.append((y * 219 + 16.5).clip(0, 255).astype(np.uint8)[None])
        uvs.append((uv * 224 + 128.5).clip(0, 255).astype(np.uint8))


def pack_all(data, out):
    out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        if not (data / f"{split}_images").exists():
            continue
        pictures = [torch.from_numpy(np.asarray(Image.open(f).convert("RGB"))) for f in sorted((data / f"{split}_images").iterdir())]
        with ThreadPoolExecutor() as threads:
            found = list(threads.map(both, sorted((data / f"{split}_video").glob("*.mp4"))))
        clips = [c for c, _ in found]
        pictures += [torch.from_numpy(a.copy()) for _, more in found for a in more]
        torch.save(pictures, out / f"pictures_{split}.pt")
        torch.save(clips, out / f"clips_{split}.pt")
        print(f"{split}: {len(pictures)} pictures, {len(clips)} clips", flush=True)


class Pictures:
    """Random crops with flips and transposition."""

    def __init__(self, root, crop):
        self.crop = crop
        self.im = [i.numpy() for i in torch.load(Path(root) / "pictures_train.pt") if min(i.shape[:2]) >= crop + 8]

    def batch(self, n):
        out = []
        for _ in range(n):
            i, p = random.choice(self.im), self.crop
            a, b = random.randrange(i.shape[0] - p + 1), random.randrange(i.shape[1] - p + 1)
            c = i[a : a + p, b : b + p]
            c = c[:, ::-1] if random.random() < 0.5 else c
            c = c[::-1] if random.random() < 0.5 else c
            c = c.transpose(1, 0, 2) if random.random() < 0.5 else c
            out.append(from_rgb(np.ascontiguousarray(c)))
        return torch.from_numpy(np.stack([y for y, _ in out])), torch.from_numpy(np.stack([u for _, u in out]))


if __name__ == "__main__":
    pack_all(Path(sys.argv[1]), Path(sys.argv[2]))
