"""What goes wrong, and what must happen then: each row of `FAULTS` is a test and a line of nbs/faults.md."""

import contextlib
import json
import multiprocessing
import os
import random
import resource
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import pytest
from conftest import cli

KINDS = ("files", "machine", "numbers", "people")
FAULTS = []


@dataclass(frozen=True)
class Fault:
    """A row of the table."""

    id: str
    kind: str  # one of `KINDS`
    wrong: str  # what is wrong
    says: str  # words of the error; empty if there is none
    must: str  # what must be true afterwards, besides; may be empty
    test: Callable | str  # a function of this file, or the id of a test elsewhere
    slow: bool = False


def fault(kind, wrong, says="", must="", slow=False):
    """Make a row of a function, which is given a `Place` and the row."""

    def register(test):
        FAULTS.append(Fault(test.__name__, kind, wrong, says, must, test, slow))
        return test

    return register


def elsewhere(kind, id, wrong, must, test, slow=False):
    """Make a row of a test that there is already."""
    FAULTS.append(Fault(id, kind, wrong, "", must, test, slow))


# what the rows share


def moving(n=16, height=48, width=64):
    """Frames `n h w 3` of bytes: a bar that moves over a gradient."""
    y, x = np.mgrid[:height, :width]
    frames = np.stack([np.stack([x * 3 % 256, y * 5 % 256, (x + y) * 2 % 256], -1)] * n).astype(np.uint8)
    for k, frame in enumerate(frames):
        at = (4 + 2 * k) % (width - 12)
        frame[height // 4 : height // 2, at : at + 12] = (255, 40, 20)
    return frames


def write(path, frames, codec="ffv1", pix_fmt="bgr0", rate=8, times=None, source="rgb24", **coded):
    """Write frames as a video; `times` are milliseconds, `coded` attributes of the codec's context."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1000 if times else rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in coded.items():
            setattr(stream.codec_context, name, value)
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=source)
            frame.pts = times[i] if times else i
            if times:
                frame.time_base = Fraction(1, 1000)
            frame.color_range = coded.get("color_range", 0)
            frame.colorspace = coded.get("colorspace", 2)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path, picture=False):
    """Write a second of sound, with a picture as music files carry one."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg", rate=1) if picture else None
        if cover:
            cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        sound.rate = 44100
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=44100, frame_size=1024)
        for frame in resampler.resample(sound):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if cover:
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(cover.encode(image))
            container.mux(cover.encode())


def files_of(folder):
    """The bytes of all files that are not hidden, by name; locks stay, and what a kill left may be hidden."""
    shown = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith("."))
    return {str(p.relative_to(folder)): p.read_bytes() for p in shown}


@contextlib.contextmanager
def full_disk(bytes_left):
    """Let no file grow beyond this: the system refuses as on a full disk, with an error of its own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Models:
    """A base that trains in seconds, and an adapter for it."""

    def __init__(self, folder):
        self.folder = folder

    @cached_property
    def base(self):
        import torch
        from diffusers import UNet2DConditionModel

        from motionrepro.backbones import load_backbone

        base = load_backbone("tiny", device="cpu")
        config = {k: v for k, v in base.unet.config.items() if not k.startswith("_")}
        config |= dict(block_out_channels=(16, 16, 16, 16), norm_num_groups=8, layers_per_block=1)
        torch.manual_seed(0)
        base.unet = UNet2DConditionModel(**config)
        base.save_pretrained(self.folder / "base")
        return self.folder / "base"

    @cached_property
    def adapter(self):
        from motionrepro.backbones import load_backbone
        from motionrepro.temporal.adapter import TemporalAdapter

        unet = load_backbone(self.base, device="cpu").unet
        TemporalAdapter.for_unet(unet, num_heads=2, head_dim=8).save_pretrained(self.folder / "adapter")
        return self.folder / "adapter"

    def motion_modules(self, channels=(16,) * 4, **config):
        """A folder with AnimateDiff's modules, for this base unless something else is asked for."""
        from diffusers import MotionAdapter

        config = (
            dict(motion_layers_per_block=1, motion_norm_num_groups=8, motion_num_attention_heads=2) | config
        )
        folder = self.folder / f"motion-modules-{len(channels)}-{config.get('conv_in_channels', '')}"
        MotionAdapter(channels, **config).save_pretrained(folder)
        return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Models(tmp_path_factory.mktemp("models"))


class Place:
    """An empty folder that commands run in, and what they say."""

    def __init__(self, folder, models, capsys, monkeypatch):
        self.folder, self.models, self.capsys, self.monkeypatch = folder, models, capsys, monkeypatch

    def __truediv__(self, name):
        return self.folder / name

    def run(self, line):
        """The exit status and all that a command line says."""
        self.capsys.readouterr()
        status = cli(line)
        return status, "".join(self.capsys.readouterr())

    def refuses(self, line, fault, status=2, keeps=True):
        """Check that a command ends as the row says, in one line and a hint, and changes no file."""
        before = files_of(self.folder)
        self.capsys.readouterr()
        found = cli(line)
        text = self.capsys.readouterr().err.split("\r")[-1]
        lines = [part for part in text.splitlines() if not part.startswith(("captions of", "encoding"))]
        assert found == status, text
        said = lines[-2:]
        assert said[0].startswith("motionrepro: error: ") and fault.says in said[0], text
        assert said[1].startswith("hint: ") and len(said[1]) > 10 and "Traceback" not in text, text
        assert sum("motionrepro: error" in part for part in lines) == 1, text
        if keeps:
            assert files_of(self.folder) == before

    def works(self, line):
        """Check that a command ends well; what it says."""
        status, said = self.run(line)
        assert status == 0, said
        return said

    def videos(self, n=3, folder="videos"):
        """Write small videos with captions; their folder's name."""
        for k in range(n):
            write(
                self / folder / f"{k}.mkv", moving(8, 32, 32).transpose(0, *((1, 2) if k % 2 else (2, 1)), 3)
            )
            (self / folder / f"{k}.txt").write_text(f"number {k}")
        return folder

    def training(self, out="mine", more="", data="videos"):
        """A command line that trains an adapter for two steps."""
        settings = "batch=2 precision=fp32" + ("" if data == "shards" else " size=32 num_frames=2 interval=1")
        line = f"train adapter --backbone {self.models.base} --data {data} --out {out} --checkpoints state"
        return f"{line} --device cpu --steps 2 --set {settings} {more}"

    def preparing(self, out="shards", source="videos"):
        """A command line that prepares shards."""
        size = "--size 32 --num-frames 2 --interval 1 --device cpu --processes 1"
        return f"data prepare {source} --out {out} --backbone {self.models.base} {size}"

    def generating(self, out="clip.gif", adapter="none"):
        """A command line that draws a clip of two frames."""
        where = f"--backbone {self.models.base} --adapter {adapter} --device cpu --out {out}"
        return f"generate 'a red circle' --num-frames 2 --steps 1 {where}"

    def sampling(self, out="made"):
        """A command line that draws two clips of two frames."""
        (self / "prompts.txt").write_text("a red circle\na blue square\n")
        where = f"--backbone {self.models.base} --adapter none --device cpu --out {out}"
        return f"sample prompts.txt --num-frames 2 --steps 1 {where}"


@pytest.fixture
def place(tmp_path, models, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, models, capsys, monkeypatch)


def pixels_of(path, n=4, interval=1):
    """Frames that are read, as `n h w 3` of 0 to 255."""
    from motionrepro.data.video import read_clip

    return read_clip(path, n, interval, size=None).video.permute(0, 2, 3, 1).numpy() * 255


# files


@fault("files", "a video of zero bytes", "not a video")
def zero_bytes(place, fault):
    (place / "clip.mp4").touch()
    place.refuses("score clip.mp4", fault)


@fault("files", "a video of random bytes", "not a video")
def random_bytes(place, fault):
    (place / "clip.mp4").write_bytes(random.Random(0).randbytes(5000))
    place.refuses("score clip.mp4", fault)


@fault("files", "a web page that was saved as a video", "not a video")
def web_page(place, fault):
    (place / "clip.mp4").write_text("<html><body>404 Not Found</body></html>\n" * 9)
    place.refuses("score clip.mp4", fault)


@fault("files", "a picture that was renamed to a video", "too short, 8 frames at interval 2 need 15")
def picture(place, fault):
    write(place / "clip.png", moving(1), "png", "rgb24").rename(place / "clip.mp4")
    place.refuses("score clip.mp4", fault)


@fault("files", "an MP4 that was renamed to .avi", must="is read by its content")
def renamed(place, fault):
    good = write(place / "clip.mp4", moving(), "mpeg4", "yuv420p")
    shutil.copy(good, place / "clip.avi")
    assert np.array_equal(pixels_of(place / "clip.avi"), pixels_of(good))


@fault("files", "an MP4 that was cut off", "not a video, or one whose header is damaged")
def cut_mp4(place, fault):
    data = write(place / "clip.mp4", moving(), "mpeg4", "yuv420p").read_bytes()
    (place / "clip.mp4").write_bytes(data[: len(data) // 2])
    place.refuses("score clip.mp4", fault)


@fault("files", "a Matroska file that was cut off", "too short", "the whole frames before the cut are read")
def cut_matroska(place, fault):
    data = write(place / "clip.mkv", moving()).read_bytes()
    (place / "cut.mkv").write_bytes(data[: len(data) // 2])
    assert np.array_equal(pixels_of(place / "cut.mkv"), pixels_of(place / "clip.mkv"))
    place.refuses("score cut.mkv", fault)


@fault("files", "bytes of a packet in the middle were overwritten", "clip.mp4: damaged a")
def damaged_packet(place, fault):
    import av

    file = write(place / "clip.mp4", moving(24), "libx264", "yuv420p")
    with av.open(str(file)) as container:
        packet = [p for p in container.demux(video=0) if p.size][12]
        where = slice(packet.pos, packet.pos + packet.size)
    data = bytearray(file.read_bytes())
    data[where] = bytes([255]) * (where.stop - where.start)
    file.write_bytes(data)
    place.refuses("score clip.mp4", fault)


@fault("files", "a stream that was cut before its only key frame", "clip.mkv: ")
def no_key_frame(place, fault):
    import av

    write(place / "whole.mkv", moving(30), "libx264", "yuv420p", gop_size=100, max_b_frames=0)
    with av.open(str(place / "whole.mkv")) as source, av.open(str(place / "clip.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [p for p in source.demux(video=0) if p.size][1:]:
            packet.stream = stream
            target.mux(packet)
    (place / "whole.mkv").unlink()
    place.refuses("score clip.mkv", fault)


@fault("files", "sound without a picture", "not a video (FFmpeg finds no video stream in it)")
def sound(place, fault):
    write_sound(place / "clip.mp4")
    place.refuses("score clip.mp4", fault)


@fault("files", "music whose only picture is its cover", "not a video (FFmpeg finds no video stream in it)")
def cover(place, fault):
    write_sound(place / "song.mp4", picture=True)
    place.refuses("score song.mp4", fault)


@fault("files", "a video of one frame", "too short, 8 frames at interval 2 need 15 frames, it has 1")
def one_frame(place, fault):
    write(place / "clip.mkv", moving(1))
    place.refuses("score clip.mkv", fault)


@fault("files", "an odd width and height, 63 x 47", must="every pixel is read")
def odd_size(place, fault):
    frames = moving(4, 47, 63)
    assert np.abs(pixels_of(write(place / "clip.mkv", frames)) - frames).max() < 0.01


@fault("files", "a variable frame rate", must="the frame nearest in time is taken")
def variable_rate(place, fault):
    from motionrepro.data.video import read_clip

    times = [0, 40, 80, 120, 500, 540, 1000, 1040, 1080, 1120, 1160, 2000]
    for shift in (0, 5000):
        file = write(place / f"{shift}.mkv", moving(12), times=[t + shift for t in times])
        nearest = [min(range(12), key=lambda i: abs(times[i] - due)) for due in (0, 500, 1000, 1500, 2000)]
        assert list(read_clip(file, 5, 1, None, fps=2).indices) == nearest


@fault("files", "an odd frame rate, 24000 / 1001", must="the rate is found to a thousandth")
def odd_rate(place, fault):
    from motionrepro.data.video import frame_times, mean_rate

    file = write(place / "clip.mov", moving(48), "mpeg4", "yuv420p", rate=Fraction(24000, 1001))
    assert abs(mean_rate(frame_times(file)) * 1001 / 24000 - 1) < 1e-3


@fault("files", "a video slower than the rate that is asked for", "fewer than fps=10")
def slow_rate(place, fault):
    write(place / "clip.mkv", moving(), rate=2)
    place.refuses("score clip.mkv --fps 10", fault)


@fault("files", "a video that was filmed sideways", must="is read upright")
def rotated(place, fault):
    file = write(place / "clip.mp4", moving(), "mpeg4", "yuv420p")
    upright = pixels_of(file)
    data = bytearray(file.read_bytes())
    at = data.index(b"tkhd") + 44
    one = 1 << 16
    data[at : at + 36] = np.array([0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30], ">i4").tobytes()
    file.write_bytes(data)
    assert np.array_equal(pixels_of(file), np.rot90(upright, -1, (1, 2)))


@fault("files", "an interlaced video", must="whole frames are read, both fields in each")
def interlaced(place, fault):
    frames = moving(8, 64, 64)
    flags = 0x40000 | 0x20000000  # interlaced transform, interlaced motion estimation
    file = write(place / "clip.mpg", frames, "mpeg2video", "yuv420p", 25, flags=flags, bit_rate=5_000_000)
    plain = write(place / "plain.mpg", frames, "mpeg2video", "yuv420p", 25, bit_rate=5_000_000)
    error = [np.abs(pixels_of(f) - frames[:4]).mean() for f in (file, plain)]
    assert error[0] < 1.5 * error[1] < 30


@fault("files", "10 and 12 bits a channel", must="are read as 8 bits would be")
def deep_colour(place, fault):
    frames = moving(4)
    for pix_fmt in ("yuv444p10le", "yuv444p12le"):
        file = write(place / f"{pix_fmt}.mkv", frames, "ffv1", pix_fmt)
        assert np.abs(pixels_of(file) - frames).mean() < 1


@fault("files", "gray videos of 8 and 16 bits", must="have three equal channels")
def gray(place, fault):
    frames = moving(4)
    luma = frames @ np.array([0.299, 0.587, 0.114])
    for pix_fmt in ("gray", "gray16le"):
        seen = pixels_of(write(place / f"{pix_fmt}.mkv", frames, "ffv1", pix_fmt))
        assert np.array_equal(seen[..., 0], seen[..., 2]) and np.abs(seen[..., 0] - luma).mean() < 1


@fault("files", "a video with transparent parts", must="these are white, whatever was painted there")
def alpha(place, fault):
    frames = moving(4)
    layers = np.concatenate([frames, np.full((4, 48, 64, 1), 255, np.uint8)], -1)
    layers[:, :24, :, 3] = 0
    seen = pixels_of(write(place / "clip.mov", layers, "qtrle", "argb", source="rgba"))
    assert (seen[:, :24] == 255).all() and np.abs(seen[:, 24:] - frames[:, 24:]).max() < 0.01


@fault("files", "a video of high dynamic range (PQ)", must="white of 203 cd/m² is read as white")
def high_dynamic_range(place, fault):
    for code, expected in ((0.5807, 255), (0.3583, 255 * (20.3 / 203) ** (1 / 2.4)), (0.75, 255)):
        luma = round((16 + 219 * code) * 256)
        frames = np.full((2, 48, 64, 3), (luma, 128 * 256, 128 * 256), np.uint16)
        coded = dict(colorspace=9, color_range=1, color_trc=16, color_primaries=9)
        file = write(place / f"{code}.mkv", frames, "ffv1", "yuv444p16le", source="yuv444p16le", **coded)
        assert np.abs(pixels_of(file, 2) - expected).max() < 3


@fault(
    "files",
    "the size of the frames changes in mid-stream",
    "its frames change from 64 x 48 to 48 x 64 pixels",
    "at a given size it is read",
)
def size_changes(place, fault):
    from motionrepro.core import UserError
    from motionrepro.data.video import read_clip

    parts = [moving(8), moving(8, 64, 48)]
    files = [write(place / f"{i}.ts", frames, "mpeg2video", "yuv420p", 25) for i, frames in enumerate(parts)]
    (place / "clip.ts").write_bytes(b"".join(f.read_bytes() for f in files))
    assert read_clip(place / "clip.ts", 12, 1, 32).video.shape == (12, 3, 32, 32)
    with pytest.raises(UserError, match=fault.says):
        read_clip(place / "clip.ts", 12, 1, None)


@fault("files", "remains of a copy beside the videos (._clip.mp4)", must="hidden files are not videos")
def hidden_files(place, fault):
    place.videos()
    (place / "videos" / "._0.mkv").write_bytes(b"what macOS puts there")
    said = place.works("score videos --size 32 --interval 1")
    assert said.count(".mkv") == 3 and "skipped" not in said


@fault("files", "a tar of videos that was cut off", must="what comes before is used, the rest is reported")
def cut_tar(place, fault):
    import tarfile

    place.videos()
    with tarfile.open(place / "a.tar", "w") as tar:
        for file in sorted((place / "videos").iterdir()):
            tar.add(file, file.name)
    data = (place / "a.tar").read_bytes()
    (place / "a.tar").write_bytes(data[: len(data) - 18_000])
    place.works(place.preparing(source="a.tar"))
    report = json.loads((place / "shards" / "report.json").read_text())
    assert 0 < report["videos"] < 3 and "damaged" in report["left_out"]["a.tar"]


@fault("files", "a caption that is no text in UTF-8 or UTF-16", "is neither UTF-8 nor UTF-16 text")
def caption_of_latin_1(place, fault):
    place.videos()
    (place / "videos" / "1.txt").write_bytes(b"caf\xe9")
    place.refuses(place.preparing(), fault)


@fault("files", "a style picture that is none", "style.png: not a picture")
def style_picture(place, fault):
    write(place / "clip.mkv", moving())
    (place / "style.png").write_bytes(b"no picture")
    place.refuses("edit clip.mkv --style style.png --num-frames 3 --steps 2", fault)


@fault("files", "the weights of an adapter were cut off", "has no readable weights")
def cut_adapter(place, fault):
    shutil.copytree(place.models.adapter, place / "mine")
    (weights,) = (place / "mine").glob("*.safetensors")
    whole = weights.read_bytes()
    for size in (0, 100, len(whole) // 2):
        weights.write_bytes(whole[:size])
        place.refuses(place.generating(adapter="mine"), fault)


@fault("files", "motion modules of AnimateDiff that are pickles only", "has no readable weights")
def pickled_modules(place, fault):
    import torch

    shutil.copytree(place.models.motion_modules(), place / "mine")
    (weights,) = (place / "mine").glob("*.safetensors")
    weights.unlink()
    torch.save({}, weights.with_suffix(".bin"))
    place.refuses(place.generating(adapter="mine"), fault)


@fault("files", "the configuration of an adapter was cut off", "mine/config.json: is damaged")
def cut_configuration(place, fault):
    shutil.copytree(place.models.adapter, place / "mine")
    (place / "mine" / "config.json").write_text('{"_class_na')
    place.refuses(place.generating(adapter="mine"), fault)


@fault("files", "the weights of a base were cut off", "has no readable safetensors")
def cut_base(place, fault):
    shutil.copytree(place.models.base, place / "base")
    (weights,) = (place / "base" / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    place.refuses("draw x --steps 1 --backbone base", fault)


@fault("files", "a normaliser that is none", "holds no motion normaliser")
def broken_normalizer(place, fault):
    place.videos()
    for text in ("", "[1]", '{"low": 1}', '{"low": NaN, "high": 1}'):
        (place / "mine.json").write_text(text)
        place.refuses("score videos --size 32 --interval 1 --normalizer mine.json", fault)


@fault("files", "the checkpoint of a training was cut off", "checkpoint.pt: is damaged")
def cut_checkpoint(place, fault):
    place.videos()
    place.works(place.training())
    (checkpoint,) = (place / "state").rglob("checkpoint.pt")
    whole = checkpoint.read_bytes()
    for size in (0, 100, len(whole) // 2):
        checkpoint.write_bytes(whole[:size])
        place.refuses(place.training(), fault)
    run = checkpoint.with_name("run.json")
    run.write_text(run.read_text()[:30])
    said = place.run(place.training())
    assert said[0] == 2 and "run.json: is damaged" in said[1]


@fault("files", "the list of a folder of drawn clips was cut off", "sample.json: is no manifest")
def cut_manifest(place, fault):
    place.works(place.sampling())
    (place / "made" / "sample.json").write_text('{"settings": {')
    place.refuses(place.sampling(), fault)


@fault("files", "a drawn clip is empty after a loss of power", must="it is drawn again, the same")
def empty_clip(place, fault):
    place.works(place.sampling())
    whole = files_of(place / "made")
    (place / "made" / "00002.mp4").write_bytes(b"")
    assert "1 clips drawn, 1 were there" in place.works(place.sampling())
    assert files_of(place / "made") == whole


@fault("files", "the state of an evaluation was cut off", must="a note says so, and all is measured anew")
def cut_state(place, fault):
    place.videos()
    line = "evaluate videos videos --metrics mm --num-frames 4 --device cpu --json scores.json"
    place.works(line)
    first = json.loads((place / "scores.json").read_text())["metrics"]
    state = place / "scores.json.state"
    state.write_bytes(state.read_bytes()[:100])
    assert "everything is measured anew" in place.works(line)
    assert json.loads((place / "scores.json").read_text())["metrics"] == first


@fault("files", "the list of shards was cut off", "shards.json is broken")
def cut_list_of_shards(place, fault):
    place.videos()
    place.works(place.preparing())
    (place / "shards" / "shards.json").write_text("{")
    place.refuses(place.preparing(), fault)
    place.refuses(place.training(data="shards"), fault)


@fault(
    "files",
    "a shard, or what all have in common, was cut off",
    "data prepare again",
    "the hint is true: what is damaged is made anew, to the byte",
)
def cut_shards(place, fault):
    place.videos()
    place.works(place.preparing())
    whole = files_of(place / "shards")
    for name in ("clip0/000000.tar", "empty.npy"):
        file = place / "shards" / name
        file.write_bytes(file.read_bytes()[:50])
        status, said = place.run(place.training(data="shards"))
        assert status == 2 and name in said and fault.says in said, said
        place.works(place.preparing())
        assert files_of(place / "shards") == whole


@fault("files", "somebody else's page in the folder of the figures", "not written by this command")
def foreign_page(place, fault):
    (place / "out").mkdir()
    (place / "out" / "index.html").write_text("mine")
    place.refuses("figures --profile smoke --out out --only world", fault)


elsewhere(
    "files",
    "broken_in_a_folder",
    "broken videos in a folder",
    "they are reported and left out",
    "test_cli.py::test_broken_files_of_a_folder_are_reported_and_skipped",
)
elsewhere(
    "files",
    "broken_and_named",
    "broken videos that were named",
    "exit status 1, and the others are scored",
    "test_cli.py::test_broken_files_that_were_named",
)
elsewhere(
    "files",
    "no_videos",
    "a folder without videos",
    "it is refused",
    "test_cli.py::test_a_folder_without_videos",
)
elsewhere(
    "files",
    "names_of_any_bytes",
    "file names that are no text",
    "they are read and shown",
    "test_cli.py::test_file_names_of_any_bytes",
)
elsewhere(
    "files",
    "broken_and_evaluated",
    "broken videos among those to evaluate",
    "they are named in the report",
    "test_own_data.py::test_evaluate_reports_what_it_cannot_read",
)
elsewhere(
    "files",
    "captions_unreadable",
    "lists of captions that are empty, cut off or of another form",
    "they are refused, with the line",
    "test_own_data.py::test_captions_that_cannot_be_read",
)
elsewhere(
    "files",
    "data_changed",
    "videos or captions changed after a training",
    "the same command refuses and says what changed",
    "test_own_data.py::test_a_changed_data_set_is_not_trained_on_silently",
)
elsewhere(
    "files",
    "caption_changed",
    "a caption changed after its shard was made",
    "that shard alone is made anew",
    "test_shards.py::test_a_changed_caption_makes_its_shard_anew",
)
elsewhere(
    "files",
    "pickles",
    "a base that is stored in pickles alone",
    "it is read only if that is said",
    "test_bases.py::test_pickles_are_read_only_if_that_is_said",
)

# the machine

NO_ROOM = "there is no room left to write"


@fault("machine", "the disk is full when scores are written", NO_ROOM)
def full_disk_score(place, fault):
    place.videos()
    with full_disk(100):
        place.refuses("score videos --size 32 --interval 1 --json scores.json", fault)


@fault("machine", "the disk is full when a clip is written", NO_ROOM, "the clip before it is kept")
def full_disk_generate(place, fault):
    for name in ("clip.gif", "clip.mp4"):
        (place / name).write_bytes(b"the clip before")
        with full_disk(300):
            place.refuses(place.generating(out=name) + " --overwrite", fault)


@fault("machine", "the disk is full in the middle of a list of prompts", NO_ROOM, "it goes on from there")
def full_disk_sample(place, fault):
    with full_disk(3000):
        place.refuses(place.sampling(), fault, keeps=False)
    assert all(len(data) for data in files_of(place / "made").values())
    place.works(place.sampling())
    place.works(place.sampling(out="undisturbed"))
    assert files_of(place / "made") == files_of(place / "undisturbed")


@fault("machine", "the disk is full while shards are made", NO_ROOM, "it goes on from there")
def full_disk_prepare(place, fault):
    place.videos()
    with full_disk(5000):
        place.refuses(place.preparing(), fault, keeps=False)
    assert not list((place / "shards").rglob("*.tar"))
    place.works(place.preparing())
    place.works(place.preparing(out="undisturbed"))
    assert files_of(place / "shards") == files_of(place / "undisturbed")


@fault("machine", "the disk is full when an evaluation is written", NO_ROOM)
def full_disk_evaluate(place, fault):
    place.videos()
    with full_disk(600):
        place.refuses("evaluate videos videos --metrics mm --num-frames 4 --json scores.json", fault)


@fault("machine", "the disk is full while a model is trained", NO_ROOM, "no file is half-written")
def full_disk_train(place, fault):
    place.videos()
    place.works(place.training(out="undisturbed"))
    for room in (300_000, 2_000_000):  # the library that writes checkpoints fails in two ways
        with full_disk(room):
            place.refuses(place.training(), fault, keeps=False)
        assert not (place / "mine").exists() and len(list((place / "state").rglob("checkpoint.pt"))) == 1
    place.works(place.training())
    shutil.rmtree(place / "mine")
    with full_disk(100_000):
        place.refuses(place.training(), fault)
    place.works(place.training())
    weights = "diffusion_pytorch_model.safetensors"
    assert files_of(place / "mine")[weights] == files_of(place / "undisturbed")[weights]


@fault("machine", "a folder that takes no files", "/proc/none", "that is found before anything is computed")
def unwritable(place, fault):
    place.videos()
    begun = []
    place.monkeypatch.setattr("motionrepro.training.adapter.train_adapter", lambda *_, **__: begun.append(1))
    for line in (
        "score videos --json /proc/none/scores.json",
        place.generating(out="/proc/none/clip.gif"),
        place.sampling(out="/proc/none"),
        place.preparing(out="/proc/none"),
        place.training(out="/proc/none"),
        "evaluate videos videos --metrics mm --json /proc/none/x.json",
        "figures --profile smoke --out /proc/none",
    ):
        place.refuses(line, fault)
    assert not begun


@fault("machine", "there is not enough memory", "there is not enough memory")
def out_of_memory(place, fault):
    write(place / "clip.mkv", moving(64))
    code = """
import resource, sys
from motionrepro.cli import main
assert main(["score", "clip.mkv", "--size", "64"]) == 0
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, -1))
sys.exit(main(["score", "clip.mkv", "--size", "4096", "--num-frames", "32"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 2, done.stderr
    assert fault.says in lines[0] and lines[1].startswith("hint: ask for fewer frames")


@fault("machine", "two trainings in one folder", "another process trains there")
def two_trainings(place, fault):
    from motionrepro.provenance import locked

    place.videos()
    place.works(place.training())
    (run,) = [p.parent for p in (place / "state").rglob("checkpoint.pt")]
    with locked(run / ".lock"):
        place.refuses(place.training(), fault)


@fault("machine", "two runs draw prompts into one folder", "another process draws into it")
def two_samplings(place, fault):
    from motionrepro.provenance import locked

    (place / "made").mkdir()
    with locked(place / "made" / ".lock"):
        place.refuses(place.sampling(), fault)


@fault("machine", "two runs draw figures into one folder", "another process draws there")
def two_figures(place, fault):
    from motionrepro.provenance import locked

    (place / "out").mkdir()
    with locked(place / "out" / ".lock"):
        place.refuses("figures --profile smoke --out out --only world", fault)


elsewhere(
    "machine",
    "two_preparations",
    "two runs prepare shards in one folder",
    "the second is refused",
    "test_shards.py::test_two_runs_in_one_folder_are_refused",
)
elsewhere(
    "machine",
    "file_in_the_way",
    "a file lies where the folder of a result should be",
    "it is refused before anything is computed",
    "test_cli.py::test_train_mistakes",
)
elsewhere(
    "machine",
    "killed_preparation",
    "`data prepare` is killed (SIGKILL)",
    "what is finished is kept, and the shards become those of an undisturbed run",
    "test_shards.py::test_killed_and_gone_on",
)
elsewhere(
    "machine",
    "killed_worker",
    "one of the processes that encode is killed",
    "it is said, and the same command goes on",
    "test_shards.py::test_a_killed_worker_is_said",
)
elsewhere(
    "machine",
    "raising_worker",
    "one of the processes that encode fails",
    "what is finished is kept, nothing is half-written",
    "test_shards.py::test_a_worker_that_raises_leaves_whole_shards",
)
elsewhere(
    "machine",
    "killed_training",
    "a training is killed at any step",
    "it ends with the weights of an undisturbed one",
    "test_training.py::test_killed_and_resumed",
)
elsewhere(
    "machine",
    "killed_trainings",
    "the trainings of adapter, motion network and selector are killed",
    "each ends with the weights of an undisturbed one",
    "test_training.py::test_each_training_killed_and_resumed",
)
elsewhere(
    "machine",
    "killed_machine",
    "a machine of a Ray cluster is killed",
    "the others encode its shards, to the byte",
    "test_shards.py::test_a_machine_of_a_ray_cluster_is_killed",
    slow=True,
)
elsewhere(
    "machine",
    "killed_bench",
    "the script for a GPU is killed",
    "it goes on with what is missing",
    "test_gpu_bench.py::test_a_killed_run_goes_on_with_what_is_missing",
    slow=True,
)
elsewhere(
    "machine",
    "lost_shard",
    "a shard is lost, changed or cut off, or its index is",
    "`data prepare` makes that one anew",
    "test_shards.py::test_a_damaged_shard_is_found_and_made_anew",
)
elsewhere(
    "machine",
    "lost_shard_in_training",
    "a shard is lost before a training",
    "it is named before the training begins",
    "test_shards.py::test_prepare_and_train_on_the_command_line",
)
elsewhere(
    "machine",
    "interrupted",
    "a list of prompts is interrupted (Ctrl-C)",
    "exit status 130; it goes on where it stopped",
    "test_own_data.py::test_sampling_goes_on_where_it_was_interrupted",
)
elsewhere(
    "machine",
    "closed_pipe",
    "the reader of the output ends first, as `head` does",
    "exit status 141, without a word",
    "test_cli.py::test_a_closed_pipe_is_quiet",
)
elsewhere(
    "machine",
    "no_network",
    "a base of the hub, and no network",
    "one line says what is missing",
    "test_cli.py::test_a_hub_backbone_without_a_network",
)
elsewhere(
    "machine",
    "full_size",
    "bases of full size are saved and loaded",
    "every weight comes back",
    "test_bases.py::test_a_base_of_full_size_is_saved_and_loaded",
    slow=True,
)

# killed at seeded moments

WAITING = multiprocessing.get_context("forkserver")  # imports PyTorch once for all processes that are killed
WAITING.set_forkserver_preload(
    ["motionrepro.cli", "motionrepro.training.adapter", "motionrepro.metrics.evaluate"]
)


def command(line):
    """A process of its own that runs a command line."""
    return WAITING.Process(target=run_alone, args=(line, os.getcwd()))


def run_alone(line, folder):
    """Run a command line in a folder, and end with its status."""
    import torch

    torch.set_num_threads(1)
    os.chdir(folder)
    sys.exit(cli(line))


def state_of(folder):
    """Sizes and times of all files, by path."""
    found = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found[path] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def seconds_of_work(process, folder, limit=400.0):
    """Start a process, let it work for so long after its first change of a file; how long it worked."""
    before = state_of(folder)
    process.start()
    deadline = time.monotonic() + 400
    while process.is_alive() and state_of(folder) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = time.monotonic()
    process.join(limit)
    return time.monotonic() - begun


def kill_at_seeded_moments(folder, start, check, seed, kills=4):
    """Kill a process at moments of its work, and check after each that no file is half-written.

    `start(name)` gives the process that makes `name`. The last run is not killed, and must end well.
    """
    process = start("undisturbed")
    whole = seconds_of_work(process, folder)
    assert process.exitcode == 0
    moments = random.Random(seed)
    killed = 0
    for _ in range(kills):
        process = start("killed")
        seconds_of_work(process, folder, whole * moments.uniform(0, 0.4))
        killed += process.is_alive()
        process.kill()
        process.join()
        check("killed")
    assert killed, "not killed in the middle"
    process = start("killed")
    seconds_of_work(process, folder)
    assert process.exitcode == 0
    check("killed")


def whole_files(folder):
    """Check that every file that is not hidden can be read to its end."""
    import torch
    from safetensors.torch import load_file

    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file():
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix in (".pt", ".state"):
            torch.load(path, weights_only=True)
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix in (".mp4", ".gif"):
            pixels_of(path, 2)
        else:
            assert path.stat().st_size


@fault(
    "machine",
    "`train` is killed at seeded moments",
    "",
    "no file is half-written; the weights are those of an undisturbed run",
    slow=True,
)
def killed_train(place, fault):
    place.videos()

    def start(name):
        line = place.training(out=name, more="steps=60 ema=0.9").replace("--steps 2", "")
        return command(line.replace("--checkpoints state", f"--checkpoints state-{name}"))

    kill_at_seeded_moments(place.folder, start, lambda name: whole_files(place.folder), seed=1)
    weights = "diffusion_pytorch_model.safetensors"
    assert files_of(place / "killed")[weights] == files_of(place / "undisturbed")[weights]


@fault(
    "machine",
    "`data prepare` is killed at seeded moments",
    "",
    "no file is half-written; the shards are those of an undisturbed run",
    slow=True,
)
def killed_prepare(place, fault):
    place.videos(n=24)

    def start(name):
        return command(place.preparing(out=name) + " --shard-size 2")

    kill_at_seeded_moments(place.folder, start, lambda name: whole_files(place.folder), seed=2)
    assert files_of(place / "killed") == files_of(place / "undisturbed")
    assert not list((place / "killed").rglob(".new-*"))


@fault(
    "machine",
    "`sample` is killed at seeded moments",
    "",
    "no file is half-written; the clips are those of an undisturbed run",
    slow=True,
)
def killed_sample(place, fault):
    line = place.sampling(out="OUT")
    (place / "prompts.txt").write_text("\n".join(["a red circle", "a blue square"] * 8))

    def start(name):
        return command(line.replace("OUT", name))

    kill_at_seeded_moments(place.folder, start, lambda name: whole_files(place.folder), seed=3)
    assert files_of(place / "killed") == files_of(place / "undisturbed")
    assert not list((place / "killed").rglob(".new-*"))


@fault(
    "machine",
    "`evaluate` is killed at seeded moments",
    "",
    "no file is half-written; the numbers are those of an undisturbed run",
    slow=True,
)
def killed_evaluate(place, fault):
    place.videos(n=48)

    def start(name):
        line = f"evaluate videos videos --metrics fid,mm --num-frames 4 --device cpu --json {name}.json"
        return WAITING.Process(target=evaluate_alone, args=(line, os.getcwd()))

    kill_at_seeded_moments(place.folder, start, lambda name: whole_files(place.folder), seed=4)
    killed, undisturbed = (json.loads((place / f"{n}.json").read_text()) for n in ("killed", "undisturbed"))
    assert undisturbed["continued"] == 0
    for name, result in undisturbed["metrics"].items():
        assert killed["metrics"][name]["value"] == pytest.approx(result["value"], rel=1e-9, abs=1e-12)


def evaluate_alone(line, folder):
    """Run `evaluate` in a folder, keeping what was gathered after each batch of 4 clips."""
    from functools import partial

    import motionrepro.metrics.evaluate as module

    module.evaluate = partial(module.evaluate, batch=4, save_seconds=0.0)
    run_alone(line, folder)


@fault(
    "machine",
    "`figures` is killed at seeded moments",
    "",
    "no file is half-written; the figures are those of an undisturbed run",
    slow=True,
)
def killed_figures(place, fault):
    import nbformat

    figures = []
    for k in range(3):
        lines = [
            "import os, pathlib, time",
            "folder = pathlib.Path(os.environ['MOTIONREPRO_FIGURES'])",
            f"(folder / 'a{k}.png').write_bytes(b'half'); time.sleep(0.3)",
            f"(folder / 'a{k}.png').write_bytes(b'whole')",
        ]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in lines])
        (place / "notebooks").mkdir(exist_ok=True)
        nbformat.write(notebook, place / "notebooks" / f"a{k}.ipynb")
        about = dict(id=f"a{k}", notebook=f"a{k}.ipynb", title="t", place="", says="", claims=[], inputs=[])
        figures.append(about | dict(cost="seconds"))
    (place / "notebooks" / "manifest.json").write_text(json.dumps(dict(figures=figures)))

    def start(name):
        return WAITING.Process(target=draw_figures, args=(str(place / name), str(place / "notebooks")))

    def check(name):
        whole_files(place.folder)
        assert all(p.read_bytes() == b"whole" for p in (place / name).glob("*.png"))

    kill_at_seeded_moments(place.folder, start, check, seed=5)
    drawn = [{p.name for p in (place / name).iterdir()} for name in ("killed", "undisturbed")]
    assert drawn[0] == drawn[1] and {f"a{k}.png" for k in range(3)} < drawn[0]


def draw_figures(out, folder):
    """Draw figures one after the other."""
    from motionrepro.figures.pages import run_figures

    run_figures("smoke", out=out, folder=folder, jobs=1)


# numbers


def pipeline(place):
    """A pipeline of the small base without an adapter."""
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    pipe = MotionAdaptivePipeline.from_pretrained(place.models.base, None, device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def refuse_calls(fault, *calls):
    """Check that each call raises a `UserError` with the words of the row."""
    from motionrepro.core import UserError

    for call in calls:
        with pytest.raises(UserError) as caught:
            call()
        assert fault.says in str(caught.value), caught.value


@fault("numbers", "latents with NaN or infinity", "with NaN or infinity")
def latents_not_finite(place, fault):
    import torch

    pipe = pipeline(place)
    for value in (torch.nan, torch.inf):
        latents = torch.full((1, 2, 4, 8, 8), value)
        refuse_calls(fault, lambda latents=latents: pipe("x", 2, latents=latents, num_inference_steps=1))


@fault("numbers", "latents that become infinite on the way", "latents became NaN or infinite")
def latents_overflow(place, fault):
    import torch

    pipe = pipeline(place)
    latents = torch.full((1, 2, 4, 8, 8), 1e30)
    refuse_calls(fault, lambda: pipe("x", 2, latents=latents, num_inference_steps=2))


def scaled_weights(place, factor):
    """A copy of the small base whose UNet has larger weights; its name."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(place.models.base, place / "base")
    (weights,) = (place / "base" / "unet").glob("*.safetensors")
    save_file({k: v * factor for k, v in load_file(weights).items()}, weights, metadata=dict(format="pt"))
    return "base"


@fault(
    "numbers", "a base that overflows in half precision", "became NaN or infinite, computed in torch.float16"
)
def half_precision_overflow(place, fault):
    base = scaled_weights(place, 1000.0)
    line = place.generating().replace(str(place.models.base), base)
    place.refuses(f"{line} --dtype float16", fault)


@fault("numbers", "NaN among the weights of an adapter", "latents became NaN or infinite")
def weights_not_finite(place, fault):
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(place.models.adapter, place / "mine")
    (file,) = (place / "mine").glob("*.safetensors")
    weights = {k: torch.full_like(v, torch.nan) for k, v in load_file(file).items()}
    save_file(weights, file, metadata=dict(format="pt"))
    place.refuses(place.generating(adapter="mine"), fault)


@fault("numbers", "a clip that has no finite latents in half precision", must="it is left out and reported")
def encoding_overflows(place, fault):
    from motionrepro.data.shards import find_videos, prepare_shards

    def encode(video, caption):
        latents = np.full((2, 4, 4, 4), 1e6 if caption == "number 1" else 1.0)
        return dict(latents=latents, text=np.zeros((1, 4)), motion=0.1)

    place.videos()
    found, left_out = find_videos(place / "videos")
    options = dict(size=32, num_frames=2, interval=1, clips=1, seed=0)
    result = prepare_shards(found, place / "shards", encode, np.zeros((1, 4)), dict(vae="a"), options)
    assert result["videos"] == 2 and not left_out
    assert "not finite in half precision" in result["left_out"]["1.mkv"]


@fault(
    "numbers", "NaN among the latents of a shard", "loss is nan at step", "the clips of the batch are named"
)
def shard_not_finite(place, fault):
    place.videos()
    place.works(place.preparing())
    file = place / "shards" / "clip0" / "000000.tar"
    data = bytearray(file.read_bytes())
    for at in [i for i in range(len(data)) if data[i : i + 6] == b"\x93NUMPY"][::2]:
        data[at + 128 : at + 130] = np.float16("nan").tobytes()
    file.write_bytes(data)
    place.refuses(place.training(data="shards"), fault, status=1, keeps=False)
    assert not (place / "mine").exists()


@fault("numbers", "a learning rate that is far too large", "loss is", "no weights are written")
def learning_rate(place, fault):
    place.videos()
    place.refuses(place.training(more="lr=1e30 steps=9"), fault, status=1, keeps=False)
    assert not (place / "mine").exists()


@fault(
    "numbers", "gradients that overflow in half precision", must="the step is left out, the scale is halved"
)
def gradients_overflow(place, fault):
    import torch

    from motionrepro.training.loop import TrainConfig, train

    def loss(model, step, random):
        x = torch.randn(8, 4, generator=random)
        return dict(loss=3 * (model(x) - 1).square().mean())

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    config = TrainConfig(steps=20, lr=0.01, warmup=1, precision="fp16", log_every=1)
    log = train(model, loss, config, place / "run", device="cpu", progress=False)["log"]
    left_out = [row["grad_norm"] is None for row in log]
    assert left_out[0] and not left_out[-1] and all(p.isfinite().all() for p in model.parameters())
    scales = [2.0 ** (16 - sum(left_out[: k + 1])) for k in range(20)]
    assert [row["scale"] for row in log] == scales


@fault("numbers", "frames with NaN, or beyond [0, 1], to be written", "pixels must lie in [0, 1]")
def frames_out_of_range(place, fault):
    import torch

    from motionrepro.data.video import write_video

    frames = torch.rand(2, 3, 16, 16)
    wrong = (frames * torch.nan, frames * 255, frames - 1)
    refuse_calls(fault, *(lambda f=f: write_video(place / "a.gif", f) for f in wrong))
    assert not list(place.folder.iterdir())


@fault("numbers", "clips with NaN, or beyond [0, 1], to be measured", "pixels must lie in [0, 1]")
def measured_out_of_range(place, fault):
    import torch

    from motionrepro.metrics import fid, motion_magnitude, world_extractor

    extractor = world_extractor("FID", device="cpu")
    video = torch.rand(4, 2, 3, 32, 32)
    for wrong in (video * torch.nan, video * 255):
        calls = (lambda w=wrong: motion_magnitude(w), lambda w=wrong: fid(w, w, extractor))
        refuse_calls(fault, *calls)


@fault("numbers", "NaN among features", "NaN or infinit")
def features_not_finite(place, fault):
    import torch

    from motionrepro.metrics.frechet import FeatureStatistics

    features = torch.rand(8, 3)
    features[2, 1] = torch.nan
    refuse_calls(fault, lambda: FeatureStatistics().update(features))


@fault("numbers", "clips that are black, or do not move", must="all numbers are finite, the motion is 0")
def nothing_moves(place, fault):
    for name, frame in (("black", np.zeros((48, 64, 3), np.uint8)), ("still", moving(1)[0])):
        write(place / "clips" / f"{name}.mkv", [frame] * 16)
    place.works("score clips --json scores.json")
    scores = json.loads((place / "scores.json").read_text(), parse_constant=pytest.fail)
    assert [clip["motion"] for clip in scores["clips"]] == [0, 0]


@fault("numbers", "weights with another checksum than the one that is pinned", "sha256 is")
def wrong_checksum(place, fault):
    place.videos(n=4)
    (place / "weights.pt").write_bytes(b"others")
    extractors = dict(fid="inception=weights.pt", fvd="i3d=weights.pt")
    extractors["is"] = f"c3d=weights.pt@{'0' * 64}"
    for metric, extractor in extractors.items():
        line = f"evaluate videos videos --metrics {metric} --num-frames 16 --splits 1 --extractor {extractor}"
        place.refuses(line, fault)


elsewhere(
    "numbers",
    "degenerate",
    "a reference for motion whose clips are all alike",
    "it is refused",
    "test_cli.py::test_score_mistakes",
)
elsewhere(
    "numbers",
    "other_networks",
    "shards that were encoded by other networks than the base's",
    "they are refused before the training",
    "test_shards.py::test_shards_of_other_networks_are_refused",
)
elsewhere(
    "numbers",
    "half_precision",
    "bfloat16 and float16",
    "clips are finite and near those of float32",
    "test_bases.py::test_half_precision",
)

# people


@fault("people", "clips of other channels, or with axes in another order", "`b f c h w` with 3")
def wrong_axes(place, fault):
    import torch

    from motionrepro.metrics import fid, motion_magnitude, world_extractor

    extractor = world_extractor("FID", device="cpu")
    video = torch.rand(4, 8, 3, 32, 32)
    gray, alpha = video[:, :, :1], torch.cat([video, video[:, :, :1]], 2)
    for wrong in (gray, alpha, video.transpose(1, 2), video.permute(0, 1, 3, 4, 2)):
        refuse_calls(fault, lambda w=wrong: motion_magnitude(w), lambda w=wrong: fid(w, w, extractor))


@fault("people", "latents of another shape", "expected `b f c h w` = (1, 2, 4, 8, 8)")
def wrong_latents(place, fault):
    import torch

    pipe = pipeline(place)
    for shape in ((1, 4, 2, 8, 8), (2, 2, 4, 8, 8), (2, 4, 8, 8)):
        latents = torch.zeros(shape)
        refuse_calls(fault, lambda latents=latents: pipe("x", 2, latents=latents))


@fault("people", "a size that the base cannot draw", "must be a positive multiple of 8")
def wrong_size(place, fault):
    pipe = pipeline(place)
    refuse_calls(fault, *(lambda h=h: pipe("x", 2, height=h) for h in (33, 12)))


@fault("people", "an odd width or height for MP4", "MP4 needs an even width and height")
def odd_mp4(place, fault):
    import torch

    from motionrepro.data.video import write_video

    refuse_calls(fault, lambda: write_video(place / "a.mp4", torch.rand(2, 3, 15, 16)))
    assert not list(place.folder.iterdir())


@fault("people", "other settings for a training that has begun", "holds another run: ")
def other_settings(place, fault):
    place.videos()
    place.works(place.training())
    place.refuses(place.training(more="lr=0.5"), fault)


@fault("people", "an adapter that was made for another base", "the adapter was made for another base")
def adapter_of_another_base(place, fault):
    shutil.copytree(place.models.adapter, place / "mine")
    place.refuses("generate x --num-frames 2 --steps 1 --backbone tiny --adapter mine --out a.gif", fault)


@fault(
    "people",
    "motion modules of AnimateDiff that were made for SDXL",
    "adapter has motion modules for another base: block_out_channels=(16, 16, 16)",
    "what is needed is named",
)
def modules_of_another_base(place, fault):
    adapter = place.models.motion_modules((16,) * 3)
    place.refuses(place.generating(adapter=adapter), fault)
    assert "this one needs (16, 16, 16, 16) and 1" in place.run(place.generating(adapter=adapter))[1]


@fault("people", "motion modules for PIA, which is given a picture", "adapter has conv_in_channels=9")
def modules_for_pictures(place, fault):
    adapter = place.models.motion_modules(conv_in_channels=9)
    place.refuses(place.generating(adapter=adapter), fault)


@fault("people", "AnimateDiff's sparse control as an adapter", "it holds a SparseControlNetModel")
def sparse_control(place, fault):
    (place / "mine").mkdir()
    (place / "mine" / "config.json").write_text('{"_class_name": "SparseControlNetModel"}')
    place.refuses(place.generating(adapter="mine"), fault)


for id, wrong, test in (
    ("commands", "wrong commands, options and types of values", "test_cli.py::test_wrong_arguments"),
    ("typing_errors", "typing errors (the right word is named)", "test_cli.py::test_what_was_meant"),
    ("score", "wrong files and ranges for `score`", "test_cli.py::test_score_mistakes"),
    ("generate", "wrong ranges for `generate`", "test_cli.py::test_generate_mistakes_cost_no_sampling"),
    ("draw", "wrong ranges for `draw`", "test_cli.py::test_draw_mistakes_cost_no_sampling"),
    ("prompts", "wrong prompts and files of them", "test_cli.py::test_mistakes_in_prompts_cost_no_sampling"),
    ("prompts_of_bytes", "prompts that are no text", "test_cli.py::test_prompts_of_any_bytes"),
    ("measure", "wrong ranges for `measure`", "test_cli.py::test_measure_mistakes"),
    ("training", "wrong names and settings for `train`", "test_cli.py::test_train_mistakes"),
    ("preparing", "wrong folders and ranges for `data prepare`", "test_shards.py::test_prepare_mistakes"),
    ("sampling", "wrong files and ranges for `sample`", "test_own_data.py::test_sample_mistakes"),
    ("mixing", "clips of other settings in one folder", "test_own_data.py::test_other_settings_are_refused"),
    ("evaluating", "wrong names and ranges for `evaluate`", "test_own_data.py::test_evaluate_mistakes"),
    ("reusing", "wrong ranges for `edit` and `analyse`", "test_reuse_cli.py::test_mistakes"),
    ("backbone", "a base that there is not", "test_cli.py::test_unknown_backbone"),
    ("adapter", "an adapter that there is not", "test_cli.py::test_an_adapter_that_is_not_there"),
    ("figure", "a figure that there is not", "test_cli.py::test_an_unknown_figure"),
    ("claim", "a claim that there is not", "test_cli.py::test_an_unknown_claim"),
    (
        "replacing",
        "a result that would replace what is read",
        "test_cli.py::test_what_is_read_is_not_replaced",
    ),
    ("new_folders", "a mistake beside folders to be made", "test_cli.py::test_a_mistake_leaves_no_folder"),
):
    elsewhere("people", id, wrong, "one line, exit status 2, and nothing is written", test)
elsewhere(
    "people",
    "tracebacks",
    "a mistake on the command line",
    "no traceback, unless --debug asks for one",
    "test_cli.py::test_no_traceback_without_debug",
)

# the tests


def rows(elsewhere):
    """The rows that are tested here, or those that name a test elsewhere."""
    slow = pytest.mark.slow
    found = [f for f in FAULTS if isinstance(f.test, str) == elsewhere]
    return [
        pytest.param(f, id=f"{f.kind}-{f.id}", marks=[slow] if f.slow and not elsewhere else [])
        for f in found
    ]


@pytest.mark.parametrize("row", rows(elsewhere=False))
def test_fault(row, place):
    row.test(place, row)


COLLECT = """
import sys
import pytest

class Tell:
    @pytest.hookimpl(tryfirst=True)  # before slow ones are left out
    def pytest_collection_modifyitems(self, items):
        for item in items:
            mark = "slow" if item.get_closest_marker("slow") else "fast"
            print(f"collected: {item.nodeid.partition('[')[0]}: {mark}")

sys.exit(pytest.main(sys.argv[1:], plugins=[Tell()]))
"""


@pytest.fixture(scope="module")
def collected(root):
    """The tests that pytest finds elsewhere: name -> whether it is slow."""
    files = sorted({f.test.partition("::")[0] for f in FAULTS if isinstance(f.test, str)})
    command = [sys.executable, "-c", COLLECT, "--collect-only", "-qq", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=root / "tests", capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("collected: "):
            _, name, mark = line.split(": ")
            found[name.split("/")[-1]] = mark == "slow"
    return found


@pytest.mark.parametrize("row", rows(elsewhere=True))
def test_fault_elsewhere(row, collected):
    assert row.test in collected, f"there is no test {row.test}"
    assert collected[row.test] == row.slow


def test_the_table_is_complete():
    assert len(FAULTS) >= 60 and {f.kind for f in FAULTS} == set(KINDS)
    names = [f.id for f in FAULTS]
    assert len(set(names)) == len(names)
    assert all(f.wrong and (f.says or f.must) for f in FAULTS)


def test_the_table_in_the_docs_is_current(root, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["faults.py", "--check"])
    runpy.run_path(str(root / "tools" / "faults.py"))  # exits where the two differ
