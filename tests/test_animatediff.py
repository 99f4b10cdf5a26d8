"""AnimateDiff's published motion modules, as they lie on the hub, in the place of our adapter."""

import json
import shutil

import pytest
import torch
from conftest import cli
from test_bases import CALL, KINDS, hub_cache, perturbed

# what a published configuration says; what diffusers has learned since is left to its defaults
PUBLISHED = (
    "_class_name",
    "_diffusers_version",
    "block_out_channels",
    "motion_layers_per_block",
    "motion_max_seq_length",
    "motion_mid_block_layers_per_block",
    "motion_norm_num_groups",
    "motion_num_attention_heads",
    "use_motion_mid_block",
)
VERSIONS = dict(v2=True, v3=False)  # whether there is a module in the middle


def publish(adapter, folder, variant=None):
    """Write motion modules as they are published; the folder."""
    adapter.save_pretrained(folder, variant=variant)
    config = folder / "config.json"
    known = json.loads(config.read_text())
    config.write_text(json.dumps({name: known[name] for name in PUBLISHED}))
    return folder


def modules(middle=True, channels=(64,) * 4, heads=2, groups=16):
    """Random motion modules for the tiny base."""
    from diffusers import MotionAdapter

    torch.manual_seed(0)
    adapter = MotionAdapter(
        channels, motion_num_attention_heads=heads, motion_norm_num_groups=groups, use_motion_mid_block=middle
    )
    return perturbed(adapter, "motion modules", middle, scale=0.02)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with modules of both versions: one in single precision, one as a half-precision variant."""
    root = tmp_path_factory.mktemp("published")
    return dict(v2=publish(modules(True), root / "v2"), v3=publish(modules(False), root / "v3", "fp16"))


@pytest.fixture
def base():
    """The embedded base."""
    from motionrepro.backbones import load_backbone

    return load_backbone("tiny", device="cpu")


def clips_of(pipe, **more):
    """Two clips, always from the same noise."""
    from motionrepro.core import generator

    pipe.set_progress_bar_config(disable=True)
    random = [generator(k, "clips") for k in range(2)]
    return pipe(["a red star", "a blue square moving left"], generator=random, **CALL | more).frames


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_gives_what_diffusers_makes_of_it(folders, base, version):
    from diffusers import MotionAdapter, UNetMotionModel

    from motionrepro.core import generator
    from motionrepro.temporal.adapter import MotionAdaptiveUNet
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    pipe = MotionAdaptivePipeline.from_pretrained(base, folders[version])
    assert type(pipe.adapter) is MotionAdapter and pipe.max_frames == 32
    assert (pipe.adapter.mid_block is not None) == VERSIONS[version]
    draw = generator("unet")
    sample = torch.randn(4, 5, 4, 8, 8, generator=draw)  # two clips, with guidance
    text = torch.randn(4, 32, 96, generator=draw)
    theirs = UNetMotionModel.from_unet2d(base.unet, modules(VERSIONS[version])).eval()
    with torch.no_grad():
        wanted = theirs(sample.transpose(1, 2), 700, text.repeat_interleave(5, 0)).sample.transpose(1, 2)
        with MotionAdaptiveUNet(base.unet, pipe.adapter) as model:
            found = model(sample, 700, text, 0.9).sample
        bare = base.unet(sample.flatten(0, 1), 700, text.repeat_interleave(5, 0)).sample
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert (found.flatten(0, 1) - bare).abs().max() > 0.01


def test_both_pipelines_differ_in_the_modules_alone(folders, base):
    from motionrepro.reuse.pipeline import DenoisingReusePipeline
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    pipes = {
        name: MotionAdaptivePipeline.from_pretrained(base, adapter)
        for name, adapter in (("bare", None), ("v2", folders["v2"]), ("v3", modules(False)))
    }
    made = {name: clips_of(pipe) for name, pipe in pipes.items()}
    for name in VERSIONS:
        assert (made[name] - made["bare"]).abs().mean() > 0.005
        torch.testing.assert_close(clips_of(pipes[name], motion=1.0), made[name], rtol=0, atol=0)
    assert (made["v2"] - made["v3"]).abs().mean() > 0.005
    reuse = DenoisingReusePipeline.from_pretrained(base, folders["v2"], mtn=None, dss=None)
    assert clips_of(reuse, num_frames=5).shape == (2, 5, 3, 64, 64)
    reuse.disable()
    torch.testing.assert_close(clips_of(reuse), made["v2"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_repository_of_the_hub_is_named_like_ours(folders, base, tmp_path, monkeypatch, kind):
    import motionrepro.reuse.pipeline
    import motionrepro.temporal.pipeline as temporal

    cls = getattr(temporal, kind, None) or getattr(motionrepro.reuse.pipeline, kind)
    hub_cache(monkeypatch, tmp_path, **{"guoyww--modules": folders["v2"], "guoyww--half": folders["v3"]})
    for name, middle in (("modules", True), ("half", False)):
        pipe = cls.from_pretrained(base, f"guoyww/{name}", local_files_only=True)
        for key, value in modules(middle).state_dict().items():
            torch.testing.assert_close(pipe.adapter.state_dict()[key], value, rtol=0, atol=0)
    with pytest.raises(ValueError, match="adapter='guoyww/none' is not a folder .*MotionAdapter"):
        cls.from_pretrained(base, "guoyww/none", local_files_only=True)


def test_the_command_line_takes_them(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("a red circle\n")
    few = "--num-frames 3 --steps 2 --device cpu --adapter"
    made = {}
    for name, adapter in (("none", "none"), ("v2", folders["v2"]), ("again", folders["v2"])):
        assert cli(f"generate 'a red circle' {few} {adapter} --out {name}.png") == 0
        made[name] = (tmp_path / f"{name}.png").read_bytes()
    assert f"adapter {folders['v2']}" in capsys.readouterr().out
    assert made["v2"] == made["again"] != made["none"]
    assert cli(f"sample prompts.txt --out samples --format png {few} {folders['v3']}") == 0
    assert (tmp_path / "samples" / "00001.png").exists()
    assert cli(f"generate 'a red circle' {few} {folders['v2']} --context-length 33 --out long.png") == 2
    assert "[2, 32]" in capsys.readouterr().err


def test_a_folder_beside_a_base_is_the_bases_own(folders, base, tmp_path):
    from diffusers import MotionAdapter

    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    base.save_pretrained(tmp_path / "base")
    shutil.copytree(folders["v3"], tmp_path / "base" / "adapter")
    pipe = MotionAdaptivePipeline.from_pretrained(tmp_path / "base", device="cpu", dtype=torch.bfloat16)
    assert type(pipe.adapter) is MotionAdapter and pipe.adapter.dtype == pipe.unet.dtype == torch.bfloat16
    assert clips_of(pipe, num_inference_steps=1).shape == (2, 3, 3, 64, 64)


@pytest.mark.slow
def test_modules_of_full_size_are_loaded_and_run(tmp_path):
    from diffusers import MotionAdapter, UNetMotionModel

    from motionrepro.backbones import sd_unet
    from motionrepro.temporal.adapter import ADAPTERS, MotionAdaptiveUNet
    from motionrepro.temporal.pipeline import load_trained

    with torch.device("meta"):
        unet = sd_unet("sd15")
    unet = unet.half().to_empty(device="cpu").eval()
    for parameter in unet.parameters():
        parameter.data.normal_(std=0.02)
    adapter = MotionAdapter(use_motion_mid_block=False).half()
    publish(adapter, tmp_path, "fp16")
    loaded = load_trained(ADAPTERS, "adapter", tmp_path, torch.float16)
    assert loaded.num_parameters() > 400e6
    sample = torch.randn(1, 2, 4, 8, 8).half()
    text = torch.randn(1, 77, 768).half()
    with torch.no_grad():
        with MotionAdaptiveUNet(unet, loaded) as model:
            found = model(sample, 500, text).sample
        theirs = UNetMotionModel.from_unet2d(unet, adapter).eval()
        wanted = theirs(sample.transpose(1, 2), 500, text.repeat_interleave(2, 0)).sample.transpose(1, 2)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-2 * wanted.abs().max().item())
