"""What every table here measures alike: truth, averaging, codecs, ladders, BD-rate, and the machine it ran on.

Truth: what every codec is given and compared with is I420. Pictures: BT.709 limited range, made by ffmpeg, cropped to
multiples of 8. Clips: the planes as they decode. A clip at a lower rate (--fps) is every k-th frame, each of the k
phases a sequence of its own. Noise (--noise S): Gaussian, standard deviation S on luma and 0.7 S on chroma (each 4:2:0
sample averages neighbours), independent per sample and frame, seeded by the frame's number in the clip, rounded and
clipped to 0..255; the noisy planes are then the truth.
Bits: the bytes written, headers included. PSNR: per plane, mean over frames in dB; YUV is (6Y+U+V)/8.
BD-rate: PCHIP over log rate, per picture or clip, then the mean over all.
"""
import datetime, functools, hashlib, json, math, os, platform, re, shlex, shutil, subprocess, sys, tempfile, time

import numpy as np

CHROMA_NOISE = 0.7


def run(cmd, **kw):
    """Runs a shell command; returns wall and CPU seconds of it and its children."""
    started = time.monotonic()
    # wait4 and not RUSAGE_CHILDREN, which would also count what other threads of --jobs run.
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(["bash", "-c", "set -o pipefail; " + cmd], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **kw)
        _, status, used = os.wait4(p.pid, 0)
        wall = time.monotonic() - started
        p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode:
            out.seek(0)
            raise RuntimeError(f"failed ({p.returncode}): {cmd}\n{out.read().decode(errors='replace')[-2000:]}")
    return wall, used.ru_utime + used.ru_stime


class Video:
    """n frames of w x h I420 in a file."""

    def __init__(self, path, w, h, n, fps, still, identity, colorimetry="bt709"):
        self.path, self.w, self.h, self.n, self.fps, self.still = path, w, h, n, fps, still
        self.identity = identity  # what the frames are, for the cache: the path is a temporary one
        self.colorimetry = colorimetry

    @property
    def frame_bytes(self):
        return self.w * self.h * 3 // 2

    def planes(self, path=None):
        a = np.fromfile(path or self.path, np.uint8)
        n, y = len(a) // self.frame_bytes, self.w * self.h
        a = a[: n * self.frame_bytes].reshape(n, self.frame_bytes)
        return a[:, :y], a[:, y : y + y // 4], a[:, y + y // 4 :]

    @property
    def caps(self):
        return f"rawvideoparse width={self.w} height={self.h} format=i420 framerate={self.fps}/1 colorimetry={self.colorimetry}"

    @property
    def gst(self):
        return f"filesrc location={self.path} blocksize={self.frame_bytes} ! {self.caps}"

    @property
    def ff(self):
        return f"ffmpeg -v error -y -f rawvideo -pix_fmt yuv420p -s {self.w}x{self.h} -r {self.fps} -i {self.path}"


def psnr(ref, got):
    """Per frame and plane, in dB: an array (frames, 3)."""
    mse = [np.array([((x.astype(np.float32) - y) ** 2).mean() for x, y in zip(r, g)]) for r, g in zip(ref, got)]
    return 10 * np.log10(255**2 / np.maximum(np.stack(mse, 1), 1e-2))


def yuv(planes):
    return float(planes @ [6, 1, 1]) / 8


# ---------------------------------------------------------------------------------------------------------------- codecs

BACK = "videoconvert ! video/x-raw,format=I420 ! filesink location="


class Gst:
    """A codec made of two GStreamer pipelines; the encoder is a format string of q and gop."""

    def __init__(self, encoder, decoder, ladder, stills=True, clips=True):
        self.encoder, self.decoder, self.ladder, self.stills, self.clips = encoder, decoder, ladder, stills, clips

    def encode(self, q, gop):
        return self.encoder.format(q=q, gop=gop)

    def __call__(self, v, q, gop, tmp):
        e = run(f"gst-launch-1.0 -q {v.gst} ! {self.encode(q, gop)} ! filesink location={tmp}/bits")
        d = run(f"gst-launch-1.0 -q filesrc location={tmp}/bits ! {self.decoder} ! {BACK}{tmp}/out.yuv")
        return os.path.getsize(f"{tmp}/bits"), e, d


class Jpeg(Gst):
    def __call__(self, v, q, gop, tmp):
        size, e, d = super().__call__(v, q, gop, tmp)
        if v.still:  # stored pictures get optimised Huffman tables, a live stream does not
            run(f"jpegtran -optimize -copy none -outfile {tmp}/opt {tmp}/bits")
            size = os.path.getsize(f"{tmp}/opt")
        return size, e, d


class Avif:
    ladder, stills, clips = [60, 52, 44, 36, 28, 20], True, False

    def __init__(self, speed):
        self.speed = speed

    def __call__(self, v, q, gop, tmp):
        run(f"{v.ff} -strict -1 {tmp}/in.y4m")
        e = run(f"avifenc -j 2 -s {self.speed} --min 0 --max 63 -a end-usage=q -a cq-level={q} -a tune=psnr {tmp}/in.y4m {tmp}/o.avif")
        d = run(f"avifdec -j 2 {tmp}/o.avif {tmp}/o.y4m")
        run(f"ffmpeg -v error -y -i {tmp}/o.y4m -pix_fmt yuv420p -f rawvideo {tmp}/out.yuv")
        return os.path.getsize(f"{tmp}/o.avif"), e, d


class Webp:
    ladder, stills, clips = [1, 10, 30, 50, 75, 90], True, False

    def __call__(self, v, q, gop, tmp):
        e = run(f"{v.ff} -c:v libwebp -quality {q} -compression_level 4 -f webp {tmp}/o.webp")
        d = run(f"ffmpeg -v error -y -i {tmp}/o.webp -pix_fmt yuv420p -f rawvideo {tmp}/out.yuv")
        return os.path.getsize(f"{tmp}/o.webp"), e, d


def lic(*properties):
    line = " ".join(["licenc quality={q} key-int-max={gop}", *[p for p in properties if p]])
    return Gst(line, "licparse ! licdec", [5, 15, 30, 45, 60, 75, 90])


def x264(preset):
    line = f"x264enc tune=zerolatency speed-preset={preset} pass=quant quantizer={{q}} key-int-max={{gop}} threads=2"
    return Gst(line, "h264parse ! avdec_h264", [20, 25, 30, 35, 40, 45], stills=False)


X265 = "x265enc tune=zerolatency speed-preset=veryfast qp={q} key-int-max={gop} option-string=pools=2"
LIC_VARIANTS = {"lic": "", "lic-intra": "inter=none", "lic-latent": "inter=latent", "lic-plain": "rdo=false"}
PEERS = {
    "jpeg": Jpeg("jpegenc quality={q}", "jpegparse ! avdec_mjpeg", [5, 12, 25, 45, 65, 85]),
    "webp": Webp(),
    "avif10": Avif(10),
    "avif6": Avif(6),
    "x264u": x264("ultrafast"),
    "x264": x264("veryfast"),
    "x264m": x264("medium"),
    "x265": Gst(X265, "h265parse ! avdec_h265", [20, 25, 30, 35, 40, 45], stills=False),
}


def codecs(model=None, lic_args="", variants=LIC_VARIANTS):
    """Every codec by name; model and lic_args are properties that all variants of licenc get."""
    model = f"model={model}" if model else ""
    return {name: lic(model, lic_args, own) for name, own in variants.items()} | PEERS


# ---------------------------------------------------------------------------------------------------------------- frames


def probe(path):
    entries = "stream=width,height,r_frame_rate"
    text = subprocess.check_output(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json", path])
    s = json.loads(text)["streams"][0]
    a, b = map(int, s["r_frame_rate"].split("/"))
    return s["width"] // 8 * 8, s["height"] // 8 * 8, a / b


def add_noise(path, w, h, sigma, first, step):
    """Noise on every plane of the file, frame by frame; frame i of it is number first + i * step of the clip."""
    luma, size = w * h, w * h * 3 // 2
    frames = np.memmap(path, np.uint8, "r+").reshape(-1, size)
    scale = np.repeat(np.float32([sigma, sigma * CHROMA_NOISE]), [luma, size - luma])
    for i, frame in enumerate(frames):
        noise = np.random.default_rng([7, first + i * step]).standard_normal(size, np.float32) * scale
        frame[:] = np.clip(np.rint(frame + noise), 0, 255)
    frames.flush()


def load(path, tmp, frames=96, fps=None, noise=0):
    """The sequences that a file gives: one, or k phases of every k-th frame."""
    still = path.lower().endswith((".png", ".jpg", ".jpeg", ".ppm"))
    w, h, rate = probe(path)
    k = max(1, round(rate / fps)) if fps and not still else 1
    with open(path, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    out = []
    for phase in range(k):
        p = f"{tmp}/{phase}.yuv"
        vf = f"crop={w}:{h}:0:0"
        vf += ",scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd" if still else f",select='eq(mod(n,{k}),{phase})'"
        run(f"ffmpeg -v error -y -i '{path}' -vf \"{vf}\" -fps_mode passthrough -frames:v {1 if still else frames} -pix_fmt yuv420p -f rawvideo {p}")
        n = os.path.getsize(p) // (w * h * 3 // 2)
        if not n:
            continue
        if noise:
            add_noise(p, w, h, noise, phase, k)
        out.append(Video(p, w, h, n, max(1, round(rate / k)), still, f"{digest} {n} {phase}/{k} noise {noise}"))
    return out


# ---------------------------------------------------------------------------------------------------------------- points


def measure(codec, v, q, gop):
    """One coding of one sequence: sums that add up over sequences."""
    with tempfile.TemporaryDirectory() as tmp:
        size, e, d = codec(v, q, gop, tmp)
        db = psnr(v.planes(), v.planes(f"{tmp}/out.yuv"))
        if len(db) != v.n:
            raise RuntimeError(f"q={q} returned {len(db)} of {v.n} frames of {v.path}")
    return dict(bits=8 * size, db=db.sum(0).tolist(), frames=v.n, pixels=v.n * v.w * v.h, enc=e, dec=d)


@functools.cache
def versions():
    """What a cached result of a peer depends on besides its input."""
    names = "gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-plugins-bad gstreamer1.0-libav libx264-164 libx265-199 libavcodec59 libavif-bin libjpeg-turbo-progs"
    return subprocess.run(["dpkg-query", "-W", *names.split()], capture_output=True, text=True).stdout


def cached(codec, v, q, gop):
    """measure(), remembered: the bytes and pictures of a given peer never change, so only lic is coded again."""
    if not isinstance(codec, (Jpeg, Avif, Webp)) and "licenc" in codec.encoder:
        return measure(codec, v, q, gop)
    how = repr(sorted(vars(codec).items())) + type(codec).__name__
    key = hashlib.sha256(f"{how} {v.identity} {v.w}x{v.h} {v.fps} {q} {gop} {versions()}".encode()).hexdigest()
    folder = os.path.join(os.environ["LIC_CACHE"], "rd")
    path = os.path.join(folder, key)
    if os.path.exists(path):
        return json.load(open(path))
    result = measure(codec, v, q, gop)
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as f:
        json.dump(result, f)
    os.replace(f.name, path)
    return result


def point(q, results, speed):
    """Results of all sequences of a clip at one quality, as one point of its curve."""
    bits, frames, pixels = (sum(r[k] for r in results) for k in ("bits", "frames", "pixels"))
    db = np.sum([r["db"] for r in results], 0) / frames
    p = dict(q=q, bpp=bits / pixels, bytes_per_frame=bits / 8 / frames, y=float(db[0]), yuv=yuv(db))
    if speed:
        e, d = (np.sum([r[k] for r in results], 0) for k in ("enc", "dec"))
        p |= dict(enc_cpu_ms=1e3 * e[1] / frames, dec_cpu_ms=1e3 * d[1] / frames, enc_fps=frames / e[0], dec_fps=frames / d[0])
    return p


def bd(anchor, test, key):
    """BD-rate in percent of test over anchor, or NaN where their qualities hardly overlap."""
    import bjontegaard  # only here: it brings scipy and matplotlib, which the demo does without

    def curve(points):  # rate and quality, both rising: a point that costs more and shows less is left out
        out = []
        for r, d in sorted((p["bpp"], p[key]) for p in points):
            if not out or (d > out[-1][1] and r > out[-1][0]):
                out.append((r, d))
        return np.array(out).T

    (ra, da), (rt, dt) = curve(anchor), curve(test)
    if min(len(ra), len(rt)) < 3 or min(da.max(), dt.max()) - max(da.min(), dt.min()) < 1:
        return math.nan
    return float(bjontegaard.bd_rate(ra, da, rt, dt, method="pchip", require_matching_points=False, min_overlap=0))


def match(codec, v, gop, value, target, low, high):
    """The q in low..high whose value(measure(...)) comes nearest to the target, and that result; value is monotone in q."""
    seen = {}

    def at(q):
        if q not in seen:
            seen[q] = cached(codec, v, q, gop)
        return value(seen[q])

    rising = at(high) > at(low)
    while high - low > 1:
        middle = (low + high) // 2
        if (at(middle) < target) == rising:
            low = middle
        else:
            high = middle
    best = min((low, high), key=lambda q: abs(at(q) - target))
    return best, seen[best]


def forth_and_back(v, n, path):
    """A sequence of n frames without a cut, however short the clip is."""
    frames = np.fromfile(v.path, np.uint8).reshape(-1, v.frame_bytes)
    there = np.arange(len(frames))
    order = np.resize(np.concatenate([there, there[-2:0:-1]]), n)
    with open(path, "wb") as f:
        for i in order:
            f.write(frames[i].data)
    return Video(path, v.w, v.h, n, v.fps, False, f"{v.identity} forth and back {n}", v.colorimetry)


CLIPS = ("bridge_cloth_robotarm.mp4", "davis_swing.mp4")  # a still camera and a moving one: what speed and memory are measured on


def scaled(path, tmp, frames, size):
    """The clip's frames, scaled to cover the size and cropped, forth and back until there are enough."""
    w, h = size
    vf = f"scale={w}:{h}:force_original_aspect_ratio=increase:flags=lanczos,crop={w}:{h}"
    run(f"ffmpeg -v error -y -i '{path}' -vf {vf} -fps_mode passthrough -frames:v {frames} -pix_fmt yuv420p -f rawvideo {tmp}/clip.yuv")
    n = os.path.getsize(f"{tmp}/clip.yuv") // (w * h * 3 // 2)
    clip = Video(f"{tmp}/clip.yuv", w, h, n, 30, False, f"{os.path.basename(path)} {w}x{h}")
    return forth_and_back(clip, frames, f"{tmp}/long.yuv")


def throughput(jobs, v, gop, rounds=3, few=16):
    """Frames a second and CPU ms a frame of {name: (Gst codec, q)}, on the first two cores, taken in turns.

    The difference between a run of all frames and one of a few: what starts with the process (the plugin scan, a model's
    load) is no part of the speed of a stream. Of each, the best of the rounds: what else the machine does only adds to it.
    """
    two = sorted(os.sched_getaffinity(0))[:2]
    launch = f"taskset -c {','.join(map(str, two))} gst-launch-1.0 -q "
    source = lambda n: f"filesrc num-buffers={n} location={v.path} blocksize={v.frame_bytes} ! {v.caps}"
    best = {}
    with tempfile.TemporaryDirectory() as tmp:
        for name, (codec, q) in jobs.items():
            for n in (few, v.n):
                run(f"gst-launch-1.0 -q {source(n)} ! {codec.encode(q, gop)} ! filesink location={tmp}/{name}.{n}")
        left = {name: rounds for name in jobs}
        while any(left.values()):
            for name, (codec, q) in jobs.items():
                if not left[name]:
                    continue
                left[name] -= 1
                started = time.monotonic()
                for n in (few, v.n):
                    sides = (f"{source(n)} ! {codec.encode(q, gop)}", f"filesrc location={tmp}/{name}.{n} ! {codec.decoder}")
                    for side, line in zip(("enc", "dec"), sides):
                        best.setdefault((name, side, n), []).append(run(f"{launch}{line} ! fakesink"))
                # A fast codec's frames take no longer than what starts up varies by: more runs, until the best ones are sure.
                if time.monotonic() - started < 3 and len(best[name, "enc", few]) < 4 * rounds:
                    left[name] = max(left[name], 1)
    out = {}
    for name, side, n in best:
        if n == v.n:
            wall, cpu = np.min(best[name, side, n], 0) - np.min(best[name, side, few], 0)
            more = v.n - few
            out.setdefault(name, {}).update({f"{side}_fps": more / wall if wall > 0 else math.nan, f"{side}_cpu_ms": 1e3 * max(cpu, 0) / more})
    return out


# --------------------------------------------------------------------------------------------------------------- machine


def machine():
    """Where and when the figures were taken."""
    text = open("/proc/cpuinfo").read()
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=os.path.dirname(__file__)).stdout.strip()
    return dict(
        date=datetime.date.today().isoformat(),
        cpu=model[1] if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 1),
        gstreamer=subprocess.check_output(["pkg-config", "--modversion", "gstreamer-1.0"], text=True).strip(),
        commit=commit or "none",
    )


def machine_line(m):
    return f"{m['date']}, {m['cpu']}, {m['cores']} cores, load {m['load']} at the start, GStreamer {m['gstreamer']}, commit {m['commit']}"


def command(argv=None):
    """The command line as a report shows it: without where its own output went, which means nothing elsewhere."""
    words = [os.path.basename(sys.argv[0]), *(argv or sys.argv[1:])]
    out, skip = [], False
    for word in words:
        if not skip and not re.match("--(json|markdown|title)", word):
            out.append(shlex.quote(word))
        skip = not skip and re.fullmatch("--(json|markdown|title)", word) is not None
    files = [word for word in out[1:] if os.path.exists(word)]
    if len(files) > 3:
        out = [word for word in out if word not in files[1:]] + [f"... ({len(files)} files)"]
    return "benches/" + " ".join(out)


def table(head, rows):
    """Markdown; the first column left, the others right."""
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, r)) + " |" for r in lines) + "\n"


def percent(x):
    return "-" if x is None or math.isnan(x) else f"{x:+.1f}%"


def require(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {', '.join(missing)} not found: scripts/setup bench installs them")
