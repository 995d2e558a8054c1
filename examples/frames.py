"""Shows or saves JPEG frames that lic sends over zenoh: native ones (zenohsink after jpegenc) and ROS 2's (ros2sink, any node).

usage: frames.py [--connect tcp/HOST:7447] [--save FOLDER] [--count N] [KEY]
KEY: lic/** (default), or of a ROS topic */camera/image/compressed/** (rmw_zenoh), camera/image/compressed (ros2dds)
Needs eclipse-zenoh (1.10.2 was tried); to show instead of to save, opencv-python too.
"""

import argparse
import json
import queue
from pathlib import Path

import zenoh

options = argparse.ArgumentParser(usage=__doc__)
options.add_argument("--connect", default="tcp/127.0.0.1:7447")
options.add_argument("--save", type=Path)
options.add_argument("--count", type=int, default=0)
options.add_argument("key", nargs="?", default="lic/**")
options = options.parse_args()

config = zenoh.Config()
for key, value in {"mode": "client", "connect/endpoints": [options.connect], "scouting/multicast/enabled": False}.items():
    config.insert_json5(key, json.dumps(value))
samples, shown = queue.Queue(maxsize=8), 0
with zenoh.open(config) as session:
    session.declare_subscriber(options.key, lambda sample: samples.full() or samples.put(sample))
    while not options.count or shown < options.count:
        data = samples.get().payload.to_bytes()
        begin = data.find(b"\xff\xd8\xff")  # in a ROS message the picture is the last field
        if begin < 0:
            continue  # no JPEG: lic's own bitstream needs licdec
        if options.save:
            (options.save / f"{shown:06d}.jpg").write_bytes(data[begin:])
        else:
            import cv2, numpy
            cv2.imshow("lic", cv2.imdecode(numpy.frombuffer(data[begin:], numpy.uint8), cv2.IMREAD_COLOR))
            cv2.waitKey(1)
        shown += 1
