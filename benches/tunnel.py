"""A real IP link that is late, loses packets and carries only so much, in a network namespace of its own.

`enter()` moves this process and its children into a new network namespace (needs root); `Tunnel` then makes a device there. What is sent to
OTHER comes back, after its time on the link, as if OTHER had sent it to HERE: source and destination are swapped, which keeps every checksum.
A program that connects to OTHER thus reaches one that listens on HERE, and each packet crosses the link in either direction.
"""
import ctypes, fcntl, heapq, os, random, select, struct, subprocess, threading, time

HERE, OTHER = "10.99.0.1", "10.99.0.2"
NEW_NET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 1, 0x1000


def enter():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NET):
        raise OSError(ctypes.get_errno(), "a network namespace (are you root?)")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Tunnel:
    """`delay` in seconds one way; `loss` a share of packets; `rate` a function of seconds since the start, in bit/s, both ways apart."""

    def __init__(self, delay=0.0, loss=0.0, rate=None, queue=1.0, seed=1, name="lic0"):
        self.delay, self.loss, self.rate, self.queue = delay, loss, rate, queue
        self.random = random.Random(seed)
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        subprocess.run(["ip", "addr", "add", HERE + "/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "txqueuelen", "1000", "up"], check=True)
        self.began, self.running = time.monotonic(), True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        waiting, free, order = [], {True: 0.0, False: 0.0}, 0
        forth = None
        while self.running:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                try:
                    os.write(self.fd, heapq.heappop(waiting)[2])
                except OSError:
                    pass  # the device's own queue is full: lost, as anywhere
            pause = min(0.1, waiting[0][0] - now) if waiting else 0.1
            if not select.select([self.fd], [], [], max(0, pause))[0]:
                continue
            packet = os.read(self.fd, 65536)
            if packet[0] >> 4 != 4 or self.random.random() < self.loss:
                continue
            now = at = time.monotonic()
            if self.rate:
                # Directions by the port that was connected to: the first packet's destination.
                port = packet[22:24]
                forth = forth or port
                way = port == forth
                if free[way] - now > self.queue:
                    continue
                at = free[way] = max(free[way], now) + 8 * len(packet) / self.rate(now - self.began)
            heapq.heappush(waiting, (at + self.delay, order, packet[:12] + packet[16:20] + packet[12:16] + packet[20:]))
            order += 1

    def close(self):
        self.running = False
        self.thread.join()
        os.close(self.fd)
