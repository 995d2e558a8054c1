"""usage: bag.py write PICTURES OUT.mcap | bag.py compare BAG LIC JPEG

A bag with a camera, depth of 16 bits, PNG pictures and a topic of text by mcap-ros2-support; and what lic made of it, read by the same library.
"""
import sys
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from mcap_ros2.writer import Writer

COMPRESSED = """std_msgs/Header header
string format
uint8[] data
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
IMAGE = COMPRESSED.replace("string format\n", "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n")
OTHERS = "/text", "/depth/image", "/mask/compressed"
START = 1_700_000_000_000_000_123


def write(pictures, out):
    with open(out, "wb") as f:
        w = Writer(f)
        image = w.register_msgdef("sensor_msgs/msg/CompressedImage", COMPRESSED)
        text = w.register_msgdef("std_msgs/msg/String", "string data\n")
        depth = w.register_msgdef("sensor_msgs/msg/Image", IMAGE)
        for i, path in enumerate(sorted(Path(pictures).glob("*.jpg"))):
            t = START + i * 40_000_000
            header = {"stamp": {"sec": t // 10**9, "nanosec": t % 10**9}, "frame_id": "cam"}
            w.write_message("/cam/image/compressed", image, {"header": header, "format": "jpeg", "data": path.read_bytes()}, t + 5, t + 3, i)
            w.write_message("/text", text, {"data": f"number {i}"}, t + 6, t + 6, i)
            z = {"header": header, "height": 2, "width": 3, "encoding": "16UC1", "is_bigendian": 0, "step": 6, "data": bytes(range(i, i + 12))}
            w.write_message("/depth/image", depth, z, t + 7, t + 7, i)
            w.write_message("/mask/compressed", image, {"header": header, "format": "png", "data": b"\x89PNG" + bytes([i])}, t + 8, t + 8, i)
        w.finish()


def read(path, topic, decode=True):
    with open(path, "rb") as f:
        reader = make_reader(f, decoder_factories=[DecoderFactory()])
        if not decode:
            return [(m.log_time, m.publish_time, m.sequence, m.data, s.name, s.data, c.metadata) for s, c, m in reader.iter_messages(topics=[topic])]
        return [(m.log_time, m.publish_time, d) for _, _, m, d in reader.iter_decoded_messages(topics=[topic])]


def stamp(d):
    return d.header.stamp.sec * 10**9 + d.header.stamp.nanosec


def compare(bag, lic, jpeg):
    before, coded, again = read(bag, "/cam/image/compressed"), read(lic, "/cam/image/lic"), read(jpeg, "/cam/image/compressed")
    assert len(before) == len(coded) == len(again) == 50, (len(before), len(coded), len(again))
    for a, b, c in zip(before, coded, again):
        assert a[:2] == b[:2] == c[:2] and stamp(a[2]) == stamp(b[2]) == stamp(c[2])
        assert a[2].header.frame_id == b[2].header.frame_id == c[2].header.frame_id == "cam"
        assert b[2].format == "lic" and bytes(b[2].data[:2]) == b"\x4c\xc5"
        assert c[2].format == "jpeg" and bytes(c[2].data[:3]) == b"\xff\xd8\xff"
    for topic in OTHERS:  # what lic does not code goes on as it is
        text = read(bag, topic, decode=False)
        assert text and text == read(lic, topic, decode=False) == read(jpeg, topic, decode=False), topic
    sizes = [sum(len(m[2].data) for m in x) for x in (before, coded, again)]
    print(f"bag.py: 50 pictures and {len(text) * len(OTHERS)} other messages; {sizes[0]} bytes of JPEG, {sizes[1]} of lic, {sizes[2]} of JPEG again")


{"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
