"""usage: transcode.py SOURCES OUT [--workers 2] [--address auto] [-- OPTIONS of lic transcode]

A folder of recordings to .lic files on a Ray cluster (https://docs.ray.io): one file to one file, each by the `lic` command on whatever machine
has a free core; folders must be the same on all of them (NFS, a bucket mounted). Progress and retries are Ray's: a worker that dies takes
its `lic` with it, its files are begun anew elsewhere, and finished ones stay, since `lic transcode --resume` keeps them.
"""
import argparse
import ctypes
import signal
import subprocess
import sys
from pathlib import Path

import ray

ENDINGS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".lic"}


def follow():
    """In the child: it ends when its worker does, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


# Exceptions are retried as well: another worker's lic may need a moment to go.
@ray.remote(num_cpus=1, max_retries=5, retry_exceptions=True)
def transcode(source, out, options):
    command = ["lic", "transcode", source, "--to", "lic", "--out", out, "--resume", "--threads", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=follow)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return out


def main():
    own, options = sys.argv[1:], []
    if "--" in own:
        own, options = own[: own.index("--")], own[own.index("--") + 1 :]
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("sources"), ap.add_argument("out"), ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--address", help="of a cluster; none: workers on this machine")
    a = ap.parse_args(own)
    ray.init(**({"address": a.address} if a.address else {"num_cpus": a.workers, "include_dashboard": False}))
    sources = [p for p in sorted(Path(a.sources).rglob("*")) if p.suffix.lower() in ENDINGS]
    outs = [Path(a.out) / p.relative_to(a.sources).with_suffix(".lic") for p in sources]
    waiting = {transcode.remote(str(s), str(o), options): s for s, o in zip(sources, outs)}
    failed = 0
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        source = waiting.pop(done)
        try:
            print(f"{source} -> {ray.get(done)}, {len(waiting)} left", flush=True)
        except ray.exceptions.RayError as e:
            failed += 1
            print(f"{source}: {e}", file=sys.stderr)
    sys.exit(failed > 0)


main()
