"""Reads the messages that `print_for_python` prints, with the libraries of ROS's world, and compares every field."""

import sys

from mcap_ros2._dynamic import generate_dynamic
from rosbags.typesys import Stores, get_typestore

messages = dict(line.split(" ")[-2:] for line in sys.stdin.read().splitlines() if line.startswith(("image ", "info ")))
assert set(messages) == {"image", "info"}, messages
IMAGE, INFO = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"


def ramp(start, count):
    return [start + i / 8 for i in range(count)]


def check(image, info, get):
    header = get(image, "header")
    assert (get(get(header, "stamp"), "sec"), get(get(header, "stamp"), "nanosec")) == (1, 2)
    assert (get(header, "frame_id"), get(image, "format"), bytes(get(image, "data"))) == ("cam", "jpeg", b"\xff\xd8\xff")
    header = get(info, "header")
    assert (get(get(header, "stamp"), "sec"), get(get(header, "stamp"), "nanosec")) == (-3, 999_999_999)
    assert get(header, "frame_id") == "front/optical é"
    assert (get(info, "height"), get(info, "width"), get(info, "distortion_model")) == (480, 640, "plumb_bob")
    for name, start, count in (("d", -1, 5), ("k", 100, 9), ("r", 200, 9), ("p", 300, 12)):
        assert list(get(info, name)) == ramp(start, count), name
    assert (get(info, "binning_x"), get(info, "binning_y")) == (2, 3)
    roi = get(info, "roi")
    assert [get(roi, name) for name in ("x_offset", "y_offset", "height", "width", "do_rectify")] == [4, 5, 6, 7, True]


image, info = (bytes.fromhex(messages[name]) for name in ("image", "info"))
for distro in (Stores.ROS2_HUMBLE, Stores.ROS2_JAZZY):
    store = get_typestore(distro)
    check(store.deserialize_cdr(image, IMAGE), store.deserialize_cdr(info, INFO), getattr)
    for name, whole in ((IMAGE, image), (INFO, info)):
        assert bytes(store.serialize_cdr(store.deserialize_cdr(whole, name), name)) == whole, f"{name} of {distro}"

store = get_typestore(Stores.ROS2_JAZZY)
readers = {name: generate_dynamic(name, store.generate_msgdef(name, ros_version=2)[0])[name] for name in (IMAGE, INFO)}
check(readers[IMAGE](image), readers[INFO](info), getattr)
hashes = {name: store.hash_rihs01(name) for name in (IMAGE, INFO)}
assert hashes[IMAGE] == "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a", hashes
assert hashes[INFO] == "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275", hashes
print("rosbags and mcap-ros2-support read every field; hashes are those of rosbags")
