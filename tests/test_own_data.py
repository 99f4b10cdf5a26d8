"""One's own videos on the command line: captions, clips for a list of prompts, and metrics of folders."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import cli, one_line_and_a_hint
from PIL import Image

PROMPTS = [
    "a red circle moving left slowly on a plain gray background",
    "a blue square on a plain gray background",
    "a green triangle moving up quickly on a plain black background",
    "a yellow circle on a plain white background",
    "a red square moving right slowly on a plain gray background",
]
COLOURS = ("red", "blue", "green")
HEAD = "videoid,contentUrl,duration,page_dir,name"


def write_clip(path, seed=0, frames=6, size=32):
    """Write a clip of noise that moves."""
    from motionrepro.core import generator
    from motionrepro.data.video import write_video

    noise = torch.rand(1, 3, size, size, generator=generator(seed)).repeat(frames, 1, 1, 1)
    write_video(path, torch.stack([frame.roll(k, -1) for k, frame in enumerate(noise)]))


# train adapter --data


def webvid(folder):
    rows = ['1002,u,PT8S,1000,"A dog, running"', "1003,u,PT8S,1000,A cat", "9,u,PT8S,1,Not downloaded"]
    (folder / "results.csv").write_text("\n".join([HEAD, *rows]))
    return ["1000/1002.mp4", "1000/1003.mp4"], {"A dog, running", "A cat"}


def ucf101(folder):
    names = ["ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "HandstandPushups/v_HandStandPushups_g01_c01.avi"]
    return names, {"a person applying eye makeup", "a person doing handstand pushups"}


def msrvtt(folder):
    sentences = [dict(video_id=f"video{k}", caption=f"a person sings {k}", sen_id=k) for k in (0, 0, 1)]
    (folder / "MSR_VTT.json").write_text(json.dumps(dict(videos=[], sentences=sentences)))
    return ["all/video0.mp4", "all/video1.mp4"], {"a person sings 0", "a person sings 1"}


def beside(folder):
    for name in ("x", "y"):
        (folder / f"{name}.txt").write_text(f"a clip of {name}")
    return ["x.mp4", "y.gif"], {"a clip of x", "a clip of y"}


def write_layout(layout, folder):
    """Write a data set; returns its captions. MP4's bytes are kept where the name ends in .avi."""
    folder.mkdir()
    names, captions = layout(folder)
    for seed, name in enumerate(names):
        write_clip((folder / name).with_suffix(".gif" if name.endswith("gif") else ".mp4"), seed)
        if name.endswith(".avi"):
            (folder / name).with_suffix(".mp4").rename(folder / name)
    return captions


@pytest.fixture(scope="module")
def small_base(tmp_path_factory):
    """A base of tiny's classes that trains in seconds."""
    from diffusers import UNet2DConditionModel

    from motionrepro.backbones import load_backbone

    base = load_backbone("tiny", device="cpu")
    config = {k: v for k, v in base.unet.config.items() if not k.startswith("_")}
    config |= dict(block_out_channels=(16, 16, 16, 16), norm_num_groups=8, layers_per_block=1)
    torch.manual_seed(0)
    base.unet = UNet2DConditionModel(**config)
    folder = tmp_path_factory.mktemp("base")
    base.save_pretrained(folder)
    return folder


def train(small_base, data, *more):
    """The exit status of a training of one step."""
    settings = "--device cpu --set size=32 num_frames=2 interval=1 batch=2 precision=fp32"
    line = f"train adapter --backbone {small_base} --data {data} --out {data}-out --steps 1"
    return cli(line, f"--checkpoints {data}-state", settings, *more)


def captions_of(data):
    """The captions that the clips of a training have."""
    from motionrepro.data.shards import SHARDS, ShardReader

    (shards,) = data.parent.glob(f"{data.name}-state/shards/*/{SHARDS}")
    reader = ShardReader(shards.parent)
    return {clip["caption"] for clip in reader.read(0, len(reader))}


@pytest.mark.parametrize("layout, said", [(webvid, "WebVid"), (ucf101, "UCF-101"), (msrvtt, "MSR-VTT")])
def test_a_training_recognises_the_layout(layout, said, small_base, tmp_path, capsys):
    captions = write_layout(layout, tmp_path / "data")
    assert train(small_base, tmp_path / "data") == 0
    assert captions_of(tmp_path / "data") == captions
    out = capsys.readouterr().out
    assert f"captions of {tmp_path / 'data'}: {said} (" in out and "2 of 2 videos have one" in out


def test_a_changed_data_set_is_not_trained_on_silently(small_base, tmp_path, capsys):
    data = tmp_path / "data"
    captions = write_layout(beside, data)
    write_clip(data / "z.mp4", 3)
    assert train(small_base, data) == 0
    assert captions_of(data) == captions  # z.mp4 has none
    assert "left out, since they have no caption: 1 (z.mp4)" in capsys.readouterr().out
    weights = (tmp_path / "data-out" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert train(small_base, data) == 0  # finished: nothing happens
    (data / "z.txt").write_text("a clip of z")
    capsys.readouterr()
    assert train(small_base, data) == 2
    messages = capsys.readouterr().err
    assert "holds another run: the videos, the captions" in messages and "delete" in messages
    assert captions_of(data) == captions
    assert (tmp_path / "data-out" / "diffusion_pytorch_model.safetensors").read_bytes() == weights


def test_longer_clips_than_the_encoding_has_by_default(small_base, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_clip(data / "x.mp4", frames=20)
    (data / "x.txt").write_text("a clip of x")
    assert train(small_base, data, "--set num_frames=20 batch=1") == 2
    assert train(small_base, data, "--set num_frames=20 batch=1 adapter.max_frames=32") == 0
    config = json.loads((tmp_path / "data-out" / "config.json").read_text())
    assert config["max_frames"] == 32


def test_a_finished_run_goes_on_with_more_steps_alone(small_base, tmp_path, capsys):
    data = tmp_path / "data"
    write_layout(beside, data)
    weights = tmp_path / "data-out" / "diffusion_pytorch_model.safetensors"
    card = tmp_path / "data-out" / "card.json"
    assert train(small_base, data) == 0
    first = weights.read_bytes()
    capsys.readouterr()
    assert train(small_base, data, "--steps 4 --gradient-accumulation 2") == 2  # another batch
    assert "accumulation=1 there, 2 here" in capsys.readouterr().err
    assert weights.read_bytes() == first
    assert train(small_base, data, "--steps 4") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "goes on" in line)
    assert "1 of 1 steps are done, it goes on to 4; the learning rate rises again" in line
    longer = weights.read_bytes()
    training = json.loads(card.read_text())["training"]["adapter"]
    assert longer != first and (training["steps"], training["lengthened"]) == (4, [1])
    assert train(small_base, data, "--steps 3") == 2
    messages = capsys.readouterr().err
    assert "steps=3" in messages and "has done 4 already\nhint: give at least 4 steps" in messages
    assert train(small_base, data, "--steps 4") == 0  # finished, and nothing has changed
    assert weights.read_bytes() == longer


def test_a_video_without_a_caption_may_be_named_after_its_file(small_base, tmp_path):
    data = tmp_path / "data"
    captions = write_layout(beside, data)
    write_clip(data / "red-ball_2.mp4", 3)
    assert train(small_base, data, "--caption-from-name") == 0
    assert captions_of(data) == captions | {"red ball 2"}


def test_captions_can_be_named(small_base, tmp_path, capsys):
    data = tmp_path / "data"
    write_layout(ucf101, data)
    (tmp_path / "list.txt").write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\n")
    (data / "HandstandPushups" / "v_HandStandPushups_g01_c01.txt").write_text("mine")
    assert train(small_base, data) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "2 layouts" in messages and "--captions txt" in messages
    assert train(small_base, data, "--captions", tmp_path / "list.txt") == 0
    assert captions_of(data) == {"a person applying eye makeup"}


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("a.csv", "", "a.csv, line 1: the file is empty"),
        ("a.csv", "videoid,name\n", "a.csv, line 1: has no column page_dir"),
        ("a.csv", f"{HEAD}\n1,u,d\n", "a.csv, line 2: has 3 fields, the header has 5"),
        ("a.csv", f"{HEAD}\n1,u,d,1,caf\xe9\n".encode("latin-1"), "a.csv, line 2: is not UTF-8 text"),
        ("a.json", "", "a.json, line 1: has no lists videos and sentences"),
        ("a.json", '{\n"videos"', "a.json, line 2: broken JSON"),
        ("a.json", '{"videos": [], "sentences": [{}]}', "a.json, sentences[0]: is {}"),
        ("a.txt", "x\n", "a.txt, line 1: 'x' names no video of UCF-101"),
        ("a.txt", b"\xff\xfe\n", "a.txt, line 1: is not UTF-8 text"),
        ("a.xlsx", "", "captions are not read from .xlsx"),
        ("missing.csv", None, "missing.csv': no such file"),
        ("webvit", None, "is neither a file nor one of txt, webvid, ucf101, msrvtt"),
    ],
)
def test_captions_that_cannot_be_read(name, content, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_layout(beside, tmp_path / "data")
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    there = set(tmp_path.rglob("*"))
    assert cli(f"train adapter --data data --out mine --captions {name}") == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages and set(tmp_path.rglob("*")) == there


def test_a_motion_network_and_a_selector_of_ones_own(tmp_path, capsys):
    from motionrepro.core import read_json

    data = tmp_path / "data"
    for k in range(4):
        write_clip(data / f"{k}.gif", k)
        (data / f"{k}.txt").write_text(f"caption {k}")
    common = f"--backbone tiny --data {data} --checkpoints {tmp_path / 'state'} --device cpu --steps 2"
    settings = "--set num_frames=4 references=3 schedule_steps=1 batch=1"
    mtn, dss = tmp_path / "my-mtn", tmp_path / "my-dss"
    assert cli(f"train mtn {common} --out {mtn}", settings) == 0
    assert "held out: 1 of 4 videos" in capsys.readouterr().out
    assert read_json(mtn / "card.json")["training"]["mtn"]["tie"] == "shared"
    assert cli(f"train dss {common} --out {dss} --mtn {mtn} --adapter none --set schedule=4") == 0
    assert "1 of 4 videos of `data`" in (dss / "README.md").read_text()
    written = {p: p.read_bytes() for p in (mtn / "config.json", mtn / "diffusion_pytorch_model.safetensors")}
    assert cli(f"train mtn {common} --out {mtn}", settings) == 0
    assert written == {p: p.read_bytes() for p in written}
    capsys.readouterr()
    assert cli(f"train mtn {common} --out {mtn}", settings, "--steps 3 --gradient-accumulation 2") == 2
    assert "accumulation=1 there, 2 here" in capsys.readouterr().err
    assert cli(f"train mtn {common} --out {mtn}", settings, "--steps 3") == 0
    assert "2 of 2 steps are done, it goes on to 3" in capsys.readouterr().out
    assert read_json(mtn / "card.json")["training"]["mtn"]["lengthened"] == [2]
    (data / "0.txt").write_text("another caption")
    capsys.readouterr()
    assert cli(f"train mtn {common} --out {mtn}", settings, "--steps 3") == 2
    assert "holds another run: the captions" in capsys.readouterr().err
    made = (
        f"generate 'a red circle' --reuse --num-frames 4 --references 3 --steps 4 --out {tmp_path / 'a.gif'}"
    )
    assert cli(made, f"--mtn {mtn} --dss {dss} --switch-step auto --device cpu") == 0
    by_both = "motion by the motion network (MTN), switch step by the selector"
    assert by_both in capsys.readouterr().out
    assert cli(made, "--mtn none --dss none --switch-step auto --device cpu --backbone tiny-128") == 0
    out = capsys.readouterr().out
    assert "motion of the raw features" in out and "equation 12" in out
    known = f"{data / '0.gif'} --num-frames 4 --steps 4 --device cpu --backbone tiny"
    analysed = f"analyse {known} --out {tmp_path / 'a.png'}"
    assert cli(analysed, f"--mtn {mtn} --dss {dss}") == 0
    assert by_both in capsys.readouterr().out
    learned = read_json(tmp_path / "a.json")
    assert cli(analysed, "--mtn none --dss none") == 0
    assert read_json(tmp_path / "a.json")["nmi"] != learned["nmi"]
    Image.open(data / "0.gif").convert("RGB").save(tmp_path / "first.png")
    edited = f"edit {known} --style {tmp_path / 'first.png'} --out {tmp_path / 'b.gif'}"
    assert cli(edited, f"--mtn {mtn} --dss {dss} --switch-step auto") == 0
    assert by_both in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, reason",
    [
        ("train mtn --data . --out mine --set tie=flow", "true flow"),
        ("train mtn --data . --out mine --mtn x", "--mtn and --adapter are for train dss"),
        ("train dss --data . --out mine --mtn nowhere", "is not a folder with a motion network"),
        ("train dss --mtn x", "add --data"),
        ("generate 'a circle' --mtn x", "add --reuse"),
    ],
)
def test_mistakes_with_networks_of_ones_own(line, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli(line) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages and not list(tmp_path.iterdir())


# sample, and evaluate what came out


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A file of prompts, clips drawn for it, and real clips."""
    from motionrepro.data.video import write_video
    from motionrepro.data.world import World

    folder = tmp_path_factory.mktemp("drawn")
    (folder / "prompts.txt").write_text("\n\n".join(PROMPTS))
    clips = World("test", 64, 4, 6, 3, with_flow=False)
    for i in range(6):
        write_video(folder / "real" / f"{i}.gif", clips[i]["video"])
    assert sample(folder, folder / "made") == 0
    return folder


def sample(folder, out, *more):
    """The exit status of drawing clips of 4 frames in 2 steps."""
    line = f"sample {folder / 'prompts.txt'} --out {out} --num-frames 4 --steps 2 --device cpu"
    return cli(line, *more)


def test_every_prompt_has_a_clip_with_noise_of_its_own(drawn):
    from motionrepro.backbones import default_guidance
    from motionrepro.core import read_json
    from motionrepro.data.drawn import clip_generator
    from motionrepro.data.video import read_clip
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    names = [f"{k:05d}.mp4" for k in range(1, 6)]
    assert sorted(p.name for p in (drawn / "made").glob("*.mp4")) == names
    manifest = read_json(drawn / "made" / "sample.json")
    assert manifest["clips"] == dict(zip(names, PROMPTS)) and manifest["settings"]["steps"] == 2
    pipe = MotionAdaptivePipeline.from_pretrained("tiny", device="cpu")
    pipe.set_progress_bar_config(disable=True)
    scale = default_guidance("tiny")
    options = dict(num_inference_steps=2, guidance_scale=scale, output_type="pt")
    alone = pipe(PROMPTS[3], 4, generator=clip_generator(0, 3), **options).frames[0]
    read = read_clip(drawn / "made" / names[3], 4, 1, None).video
    other = read_clip(drawn / "made" / names[2], 4, 1, None).video
    assert (read - alone).abs().mean() < 0.02 < (other - alone).abs().mean()


def test_sampling_goes_on_where_it_was_interrupted(drawn, tmp_path, capsys, monkeypatch):
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    draw = MotionAdaptivePipeline.__call__
    calls = []

    def counted(self, prompt, *given, **options):
        calls.append(prompt)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(self, prompt, *given, **options)

    monkeypatch.setattr(MotionAdaptivePipeline, "__call__", counted)
    assert sample(drawn, tmp_path / "made") == 130
    assert len(list((tmp_path / "made").glob("*.mp4"))) == 2
    assert sample(drawn, tmp_path / "made") == 0
    assert calls == [*PROMPTS[:3], *PROMPTS[2:]] and "3 clips drawn, 2 were there" in capsys.readouterr().out
    for path in sorted((drawn / "made").glob("*.mp4")):
        assert (tmp_path / "made" / path.name).read_bytes() == path.read_bytes()


def test_a_file_wins_over_the_word_ucf101(tmp_path, monkeypatch):
    from motionrepro.data.layouts import UCF101, read_prompt_list

    monkeypatch.chdir(tmp_path)
    assert read_prompt_list("ucf101") == (list(UCF101.values()), list(UCF101))
    Path("ucf101").mkdir()
    assert read_prompt_list("ucf101")[1]
    Path("ucf101").rmdir()
    Path("ucf101").write_text("a red ball\n")
    assert read_prompt_list("ucf101") == (["a red ball"], None)


def videodatainfo(split="test"):
    """What MSR-VTT's JSON holds: three videos, of which the last two are of a split."""
    videos = [dict(video_id=f"video{k}", split="train" if k == 0 else split) for k in range(3)]
    said = [dict(video_id=f"video{k}", caption=f"a {colour} circle") for k, colour in enumerate(COLOURS)]
    return dict(videos=videos, sentences=[*said, dict(video_id="video1", caption="a second caption")])


@pytest.mark.parametrize("source, count", [("test.json", 2), ("ucf101", 101)])
def test_lists_of_data_sets_name_their_clips(source, count, tmp_path, capsys, monkeypatch):
    from motionrepro.data.layouts import UCF101, find_captions
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    def draw(self, prompt, num_frames, *given, generator, **options):
        return SimpleNamespace(frames=[torch.rand(num_frames, 3, 16, 16, generator=generator)])

    monkeypatch.setattr(MotionAdaptivePipeline, "__call__", draw)
    monkeypatch.chdir(tmp_path)
    Path("test.json").write_text(json.dumps(videodatainfo()))
    line = f"sample {source} --out made --num-frames 2 --steps 1 --device cpu --format gif"
    assert cli(line) == 0
    expected = dict(video1="a blue circle", video2="a green circle") if source == "test.json" else UCF101
    captions = find_captions("made").texts
    assert captions == {f"{name}.gif": (text,) for name, text in sorted(expected.items())}
    assert len(captions) == count
    (gone, *_) = sorted(Path("made").glob("*.gif"))
    before = gone.read_bytes()
    gone.unlink()
    assert cli(line) == 0
    assert f"1 clips drawn, {count - 1} were there" in capsys.readouterr().out and gone.read_bytes() == before


def test_a_negative_prompt_and_a_floating_type_make_other_clips(drawn, tmp_path):
    from motionrepro.core import read_json

    before = read_json(drawn / "made" / "sample.json")["settings"]
    assert not {"negative_prompt", "dtype"} & set(before)  # so that a folder drawn without them goes on
    line = f"sample {drawn / 'prompts.txt'} --num-frames 2 --steps 1 --device cpu --format gif"
    more = dict(plain="", negative="--negative-prompt circle", half="--dtype bfloat16")
    clips, settings = {}, {}
    for name, options in more.items():
        assert cli(line, options, "--out", tmp_path / name) == 0
        clips[name] = [path.read_bytes() for path in sorted((tmp_path / name).glob("*.gif"))]
        settings[name] = read_json(tmp_path / name / "sample.json")["settings"]
    assert settings["negative"] == settings["plain"] | dict(negative_prompt="circle")
    assert settings["half"]["dtype"] == "bfloat16" and settings["plain"].keys() == before.keys()
    assert clips["plain"] != clips["negative"] and clips["plain"] != clips["half"]


@pytest.mark.parametrize(
    "more, reason",
    [
        ("--seed 1", "seed=0 there, 1 here"),
        ("--steps 3", "steps=2 there, 3 here"),
        ("--format gif", "format='.mp4' there, '.gif' here"),
        ("--adapter none", "adapter="),
        ("--negative-prompt grey", "negative_prompt=None there, 'grey' here"),
        ("--dtype bfloat16", "dtype=None there, 'bfloat16' here"),
        ("--reuse --references 2", "references=None there, 2 here"),
    ],
)
def test_other_settings_are_refused(more, reason, drawn, capsys):
    before = {p: p.read_bytes() for p in (drawn / "made").iterdir()}
    assert sample(drawn, drawn / "made", more) == 2
    messages = capsys.readouterr().err
    assert (
        one_line_and_a_hint(messages) and "holds clips of other settings" in messages and reason in messages
    )
    assert {p: p.read_bytes() for p in (drawn / "made").iterdir()} == before


@pytest.mark.parametrize(
    "line, reason",
    [
        ("missing.txt --out new", "prompts='missing.txt': no such file"),
        ("empty.txt --out new", "empty.txt: is empty"),
        ("latin.txt --out new", "latin.txt, line 2: is not UTF-8 text"),
        ("videos.csv --out new", "prompts='videos.csv' holds captions of videos"),
        ("videos.JSON --out new", "videos.JSON, line 1: has no lists videos and sentences"),
        ("train.json --out new", "train.json: has no video of the split test; it has train"),
        ("ucf102 --out new", "prompts='ucf102': no such file"),
        ("good.txt --out good.txt", "good.txt: is a file, not a folder"),
        ("good.txt --out new --num-frames 1", "num_frames=1 is outside [2"),
        ("good.txt --out new --rho 1", "rho=1.0 is outside"),
        ("good.txt --out new --seed -1", "seed=-1"),
        ("good.txt --out new --fps 0", "fps=0"),
        ("good.txt --out new --format bmp", "bmp"),
        ("good.txt --out new --references 2", "add --reuse"),
        ("good.txt --out new --reuse --context-length 8", "--reuse has none"),
        ("good.txt --out .", "holds empty.txt and no sample.json"),
        ("good.txt --out new --backbone nowhere", "nowhere"),
        ("good.txt", "--out"),
    ],
)
def test_sample_mistakes(line, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text(" \n\n")
    (tmp_path / "latin.txt").write_bytes(b"a ball\ncaf\xe9\n")
    (tmp_path / "good.txt").write_text("a red circle\n")
    (tmp_path / "videos.csv").write_text("videoid,name\n1,a red circle\n")
    (tmp_path / "videos.JSON").write_text("{}")
    (tmp_path / "train.json").write_text(json.dumps(videodatainfo("train")))
    there = set(tmp_path.rglob("*"))
    assert cli("sample", line) == 2
    messages = capsys.readouterr().err.splitlines()
    assert messages[-2].startswith("motionrepro: error: ") and reason in "".join(messages)
    assert set(tmp_path.rglob("*")) == there


def test_what_was_sampled_is_evaluated(drawn, tmp_path, capsys):
    from motionrepro.data.video import read_clip
    from motionrepro.metrics import clip_sim, fid, motion_magnitude, world_clip, world_extractor

    line = f"evaluate {drawn / 'made'} {drawn / 'real'} --num-frames 4 --splits 2 --device cpu"
    report = tmp_path / "scores.json"
    assert (
        cli(line, f"--metrics fid,fvd,is,clipsim,mm,fc --prompts {drawn / 'prompts.txt'} --json {report}")
        == 0
    )
    table = capsys.readouterr().out
    found = json.loads(report.read_text())
    assert list(found["metrics"]) == ["fid", "fvd", "is", "clipsim", "mm", "fc"]
    assert all(result["name"] in table and result["n"] == 5 for result in found["metrics"].values())
    made, real = (
        torch.stack([read_clip(p, 4, 1, 64).video for p in sorted(folder.glob("*.*"))])
        for folder in (_videos(drawn / "made", tmp_path), drawn / "real")
    )
    expected = dict(
        fid=float(fid(real, made, world_extractor("FID", device="cpu"))),
        clipsim=clip_sim(made, PROMPTS, world_clip(device="cpu")).mean().item(),
        mm=motion_magnitude(made).mean().item(),
    )
    for name, value in expected.items():
        assert found["metrics"][name]["value"] == pytest.approx(value, rel=1e-4, abs=1e-6)
    assert found["metrics"]["fid"]["name"] == "FID[world]" and found["continued"] == 0
    # the same again reads nothing, and the captions beside the clips are the prompts
    assert cli(line, f"--metrics fid,fvd,is,clipsim,mm,fc --json {report}") == 0
    again = json.loads(report.read_text())
    assert again["continued"] == 11 and again["metrics"] == found["metrics"]


def _videos(folder, where):
    """A folder with links to the videos alone."""
    (where / "videos").mkdir()
    for path in folder.glob("*.mp4"):
        (where / "videos" / path.name).symlink_to(path)
    return where / "videos"


def test_evaluate_reports_what_it_cannot_read(drawn, tmp_path, capsys):
    made = _videos(drawn / "made", tmp_path)
    (made / "broken.mp4").write_bytes(b"no video")
    write_clip(made / "short.gif", frames=2)
    report = tmp_path / "s.json"
    line = f"evaluate {made} {drawn / 'real'} --metrics mm,fvd --num-frames 4 --device cpu --json {report}"
    assert cli(line) == 0
    messages = capsys.readouterr().err
    assert messages.count("motionrepro: skipped: ") == 2 and "broken.mp4: not a video" in messages
    found = json.loads(report.read_text())
    assert [entry["file"] for entry in found["generated"]["skipped"]] == ["broken.mp4", "short.gif"]
    assert found["metrics"]["mm"]["n"] == 5
    write_clip(made / "short.gif", frames=4)
    assert cli(line) == 0
    messages = capsys.readouterr().err
    assert "measured anew" in messages and json.loads(report.read_text())["metrics"]["mm"]["n"] == 6


def test_a_clip_without_a_prompt_has_all_metrics_but_clipsim(drawn, tmp_path, capsys, monkeypatch):
    made = _videos(drawn / "made", tmp_path)
    (made / "broken.mp4").write_bytes(b"no video")
    report = tmp_path / "s.json"
    line = (
        f"evaluate {made} {drawn / 'real'} --metrics mm,clipsim --num-frames 4 --device cpu --json {report}"
    )
    with monkeypatch.context() as patch:
        patch.setattr("motionrepro.metrics.evaluate.load_networks", pytest.fail)  # nothing loads in vain
        assert cli(line) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "has a caption" in messages and "leave clipsim out" in messages
    for name in ("00001", "00002", "broken"):
        (made / f"{name}.txt").write_text("a red circle\n")
    assert cli(line) == 0
    out, messages = capsys.readouterr()
    assert "3 clips without a prompt left out, such as 00003.mp4" in out and "broken.mp4" in messages
    found = json.loads(report.read_text())
    assert [found["metrics"][name]["n"] for name in ("mm", "clipsim")] == [5, 2]
    assert found["generated"]["unprompted"] == [f"{k:05d}.mp4" for k in (3, 4, 5)]


@pytest.mark.parametrize(
    "more, reason",
    [
        ("--metrics fid,psnr", "metrics='psnr' is not one of fid, fvd"),
        ("--metrics ,", "metrics='' is not one of"),
        ("--num-frames 1", "num_frames=1 is outside [2"),
        ("--frames 1", "num_frames=1 is outside [2"),
        ("--interval 0", "interval=0"),
        ("--size 1", "size=1 is outside [8, 4096]"),
        ("--metrics is", "splits=10 is outside [1, 5]: each part needs a clip hint: give --splits 5"),
        ("--metrics clipsim --prompts one.txt", "there are 1 for the 5 videos"),
        ("--metrics clipsim --prompts missing.txt", "missing.txt"),
        ("--extractor i3d", "must be NAME=FILE"),
        ("--extractor i3d=missing.pt", "missing.pt: no such file"),
        ("--extractor inception=one.txt", "sha256 is"),
        ("--extractor ViT-B-32=one.txt", "no checksum is pinned"),
        ("--json /dev/null/x.json", "cannot be written"),
        ("--num-frames 40", "none of 5 videos can be read"),
        ("--device abacus", "abacus"),
    ],
)
def test_evaluate_mistakes(more, reason, drawn, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("a red circle\n")
    metrics = "" if "--metrics" in more else "--metrics fid,fvd,mm,fc"
    line = f"evaluate {drawn / 'made'} {drawn / 'real'} --device cpu {metrics} --num-frames 4"
    assert cli(line, more) == 2
    out, messages = capsys.readouterr()
    kept = [line for line in messages.splitlines() if not line.startswith("motionrepro: skipped")]
    assert not out and one_line_and_a_hint("\n".join(kept)) and reason in " ".join(messages.split())
    assert [p.name for p in tmp_path.iterdir()] == ["one.txt"]
