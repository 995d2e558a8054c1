"""Frames of .lic files as NumPy arrays.

    import lic
    video = lic.Video("drive.lic")
    len(video), video[100].shape, video.time(100)

Any frame costs the decoding of its group of pictures up to it; one after the other they cost what playing does. A Video can be pickled and
forked: every process opens the file when it first reads, so it works as a data set of torch.utils.data.DataLoader with any number of workers.
"""
import os

import numpy as np

from . import _lic

__all__ = ["Video"]


class Video:
    """A file's frames: height x width x 3, uint8, RGB; height x width with grey=True. threads: 0 for all cores."""

    def __init__(self, path, grey=False, threads=1):
        self.path, self.grey, self.threads = os.fspath(path), grey, threads
        self._file, self._process = None, None
        self._length = len(self._open())

    def _open(self):
        if self._process != os.getpid():
            # A fork must not share its parent's place in the file.
            self._file, self._process = _lic.File(self.path, self.threads), os.getpid()
        return self._file

    def __getstate__(self):
        return self.__dict__ | {"_file": None, "_process": None}

    def __len__(self):
        return self._length

    def __getitem__(self, n):
        if isinstance(n, slice):
            return np.stack([self[i] for i in range(*n.indices(len(self)))])
        n = n.__index__()
        if not -len(self) <= n < len(self):
            raise IndexError(f"frame {n} of {len(self)}")
        data, height, width, _ = self._open().frame(n % len(self), self.grey)
        return np.frombuffer(data, np.uint8).reshape((height, width) if self.grey else (height, width, 3))

    def time(self, n):
        """Nanoseconds since the first frame of its recording; None where the file has no times."""
        return self._open().time(n % len(self))

    @property
    def groups(self):
        """Groups of pictures as ranges of frame numbers: reading one whole decodes nothing twice, so they make good batches (batch_sampler)."""
        ends = np.cumsum(self._open().groups(), dtype=int).tolist()
        return [range(begin, end) for begin, end in zip([0, *ends], ends)]

    @property
    def notes(self):
        """What the file says of itself: its source, how it was made."""
        return self._open().notes()
