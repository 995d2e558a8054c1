"""usage: video.py FILE.lic FILE.rgb WIDTH HEIGHT

lic.Video gives licdec's pictures, in any order, in other processes too. Pictures are RGB without gaps: GStreamer's lines are multiples of four.
"""
import multiprocessing
import pickle
import random
import sys

import numpy as np

import lic


def check(numbers):
    return all((video[n] == pictures[n]).all() for n in numbers)


def main():
    numbers = list(range(len(video)))
    assert len(video) == len(pictures) == 50 and check(numbers), "in order"
    random.Random(1).shuffle(numbers)
    assert check(numbers), "in any order"
    assert [video.time(n) for n in range(50)] == [n * 40_000_000 for n in range(50)] and video.notes["source"] == "a.mp4"
    assert (video[-1] == pictures[49]).all() and video[3:9:2].shape == (3, *pictures.shape[1:])
    assert [n for group in video.groups for n in group] == list(range(50)) and max(len(group) for group in video.groups) == 12, "groups"
    copy = pickle.loads(pickle.dumps(video))
    assert (copy[7] == pictures[7]).all() and lic.Video(sys.argv[1], grey=True)[7].shape == pictures.shape[1:3]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(pool.map(check, [numbers[:25], numbers[25:]])), "in forked processes"
    for wrong in (lambda: video[50], lambda: lic.Video("/nowhere.lic"), lambda: lic.Video(__file__)):
        try:
            wrong()
        except (IndexError, OSError, ValueError) as e:
            assert str(e)
        else:
            raise AssertionError("no error")
    print("video.py: 50 frames as licdec shows them")


path, raw, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
video = lic.Video(path)
pictures = np.fromfile(raw, np.uint8).reshape(-1, height, width, 3)
if __name__ == "__main__":
    main()
