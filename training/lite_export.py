"""Trained lite weights and tables -> a pack: model.toml, synthesis.onnx, lite.safetensors.

lite_export.py CHECKPOINT TABLES OUT   CHECKPOINT: of stage a or b; TABLES: what lite_tables.py wrote for the same sensor
"""
import shutil
import sys
from pathlib import Path

from export import Graph
from lite_eval import load

MANIFEST = """name = "lite"
format = 1 # of this file and its neighbours: codec/BITSTREAM.md, section "Pack"

[card]
about = "A sensor of one linear map (patches of 24x24 at stride 16), companded to int8, with a context coder; a decoder of the base pack's kind, larger. YUV 4:2:0, 128 channels at 1/16 in order of importance, 64 quantiser steps."
encoder_kmac_per_pixel = 0.25
decoder_kmac_per_pixel = 13.4
licence = "non-commercial research: the training pictures' licences, see models/README.md"
training_data = "train_images and train_video of the project's data folder; choices on val_*"
commands = [
  "training/lite.py configs/lite.toml a --device cuda --section large --minutes 2.5",
  "training/lite.py configs/lite.toml b --minutes 31",
  "training/lite_tables.py",
  "training/lite_export.py",
]
"""


def main():
    net, _ = load(sys.argv[1])
    out = Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    g = Graph(net.M, bytes=True)
    g.conv(net.dec0[0], bytes=True, inputs=True)
    g.add("DepthToSpace", blocksize=2, mode="CRD")
    for b in net.dec1:
        g.block(b)
    g.conv(net.head)
    g.save(out / "synthesis.onnx", 96)
    shutil.copyfile(sys.argv[2], out / "lite.safetensors")
    (out / "model.toml").write_text(MANIFEST)


if __name__ == "__main__":
    main()
