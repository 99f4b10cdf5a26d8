"""Any base of Stable Diffusion's kind, and what people of diffusers do with it, on tiny models."""

import shutil

import pytest
import torch

from conftest import cli


def unet_names(levels=4, layers=2):
    """Pairs of prefixes of a UNet's weights, diffusers' and the original's."""
    yield from dict(conv_in="input_blocks.0.0", conv_norm_out="out.0", conv_out="out.2").items()
    yield from {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }.items()
    for i in range(levels):
        for j in range(layers):
            n = (layers + 1) * i + j + 1
            yield f"down_blocks.{i}.resnets.{j}", f"input_blocks.{n}.0"
            yield f"down_blocks.{i}.attentions.{j}", f"input_blocks.{n}.1"
        yield f"down_blocks.{i}.downsamplers.0.conv", f"input_blocks.{(layers + 1) * (i + 1)}.0.op"
        for j in range(layers + 1):
            n = (layers + 1) * i + j
            yield f"up_blocks.{i}.resnets.{j}", f"output_blocks.{n}.0"
            yield f"up_blocks.{i}.attentions.{j}", f"output_blocks.{n}.1"
        last = (layers + 1) * i + layers
        yield f"up_blocks.{i}.upsamplers.0.conv", f"output_blocks.{last}.{1 if i == 0 else 2}.conv"


UNET_PARTS = {
    ".norm1.": ".in_layers.0.",
    ".conv1.": ".in_layers.2.",
    ".time_emb_proj.": ".emb_layers.1.",
    ".norm2.": ".out_layers.0.",
    ".conv2.": ".out_layers.3.",
    ".conv_shortcut.": ".skip_connection.",
}


def vae_names(levels=4):
    """The same for an autoencoder."""
    for half, blocks in (("encoder", "down"), ("decoder", "up")):
        yield f"{half}.conv_norm_out", f"{half}.norm_out"
        yield f"{half}.mid_block.resnets.0", f"{half}.mid.block_1"
        yield f"{half}.mid_block.resnets.1", f"{half}.mid.block_2"
        yield f"{half}.mid_block.attentions.0", f"{half}.mid.attn_1"
        for i in range(levels):
            place = i if blocks == "down" else levels - 1 - i
            for j in range(3):
                yield f"{half}.{blocks}_blocks.{i}.resnets.{j}", f"{half}.{blocks}.{place}.block.{j}"
            inner = f"{half}.{blocks}_blocks.{i}.{blocks}samplers.0"
            yield f"{inner}.conv", f"{half}.{blocks}.{place}.{blocks}sample.conv"


VAE_PARTS = {
    ".conv_shortcut.": ".nin_shortcut.",
    ".group_norm.": ".norm.",
    ".to_q.": ".q.",
    ".to_k.": ".k.",
    ".to_v.": ".v.",
    ".to_out.0.": ".proj_out.",
}


def renamed(name, prefixes, parts):
    """A weight's name in the original layout."""
    for old, new in prefixes:
        if name.startswith(old + "."):
            name = new + name[len(old) :]
            break
    for old, new in parts.items():
        if "transformer_blocks" not in name:
            name = name.replace(old, new)
    return name


def original_weights(backbone):
    """The weights of a base, named as in Stable Diffusion's own checkpoints."""
    weights = {}
    for name, value in backbone.unet.state_dict().items():
        weights["model.diffusion_model." + renamed(name, unet_names(), UNET_PARTS)] = value
    for name, value in backbone.vae.state_dict().items():
        name = renamed(name, vae_names(), VAE_PARTS)
        if ".attn_1." in name and value.ndim == 2:  # convolutions of one pixel there
            value = value[..., None, None]
        weights["first_stage_model." + name] = value
    for name, value in backbone.text_encoder.state_dict().items():
        weights["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = value
    return {name: value.clone().contiguous() for name, value in weights.items()}


def same_weights(a, b, rtol=0.0):
    """Whether two bases are the same."""
    for part in ("vae", "text_encoder", "unet"):
        first, second = (getattr(x, part).state_dict() for x in (a, b))
        assert first.keys() == second.keys()
        for name in first:
            torch.testing.assert_close(second[name], first[name], rtol=rtol, atol=0)
    return True


@pytest.fixture(scope="module")
def tiny():
    """The embedded base; nobody changes it."""
    from motionrepro.backbones import load_backbone

    return load_backbone("tiny", device="cpu")


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """It in diffusers' layout, with an index of the whole."""
    folder = tmp_path_factory.mktemp("bases") / "saved"
    tiny.pipeline().save_pretrained(folder)
    return folder


def hub_cache(monkeypatch, folder, **repositories):
    """A cache of the hub in which repositories lie that were downloaded before."""
    for name, source in repositories.items():
        repository = folder / f"models--{name}"
        shutil.copytree(source, repository / "snapshots" / ("0" * 40))
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0" * 40)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))


# bases


def test_a_base_of_the_hub_is_loaded_by_its_name(tiny, saved, tmp_path, monkeypatch):
    from motionrepro.backbones import load_backbone

    hub_cache(monkeypatch, tmp_path, **{"Lykon--dreamshaper-8": saved})
    loaded = load_backbone("Lykon/dreamshaper-8", device="cpu", local_files_only=True)
    assert loaded.name == "Lykon/dreamshaper-8" and same_weights(tiny, loaded)
    with pytest.raises(ValueError, match="'Lykon/dreamshaper-9'.*not in the local cache"):
        load_backbone("Lykon/dreamshaper-9", device="cpu", local_files_only=True)


@pytest.mark.parametrize("parts", [("unet", "vae", "text_encoder"), ("unet",)])
def test_a_half_precision_variant_is_taken_where_there_is_nothing_else(tiny, saved, tmp_path, parts):
    from motionrepro.backbones import load_backbone

    folder = shutil.copytree(saved, tmp_path / "half")
    for part in parts:
        for file in (folder / part).glob("*.safetensors"):
            file.rename(file.with_suffix(".fp16.safetensors"))
    assert same_weights(tiny, load_backbone(folder, device="cpu"))


def test_pickles_are_read_only_if_that_is_said(tiny, saved, tmp_path):
    from motionrepro.backbones import load_backbone

    folder = shutil.copytree(saved, tmp_path / "pickles")
    for part in ("unet", "vae", "text_encoder"):
        for file in (folder / part).glob("*.safetensors"):
            file.unlink()
        name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
        torch.save(getattr(tiny, part).state_dict(), folder / part / name)
    with pytest.raises(ValueError, match="no readable safetensors") as refused:
        load_backbone(folder, device="cpu")
    assert "use_safetensors=False" in refused.value.hint
    assert same_weights(tiny, load_backbone(folder, device="cpu", use_safetensors=False))


def test_a_single_file_needs_no_network(tiny, saved, tmp_path):
    from safetensors.torch import save_file

    from motionrepro.backbones import load_backbone

    weights = original_weights(tiny)
    assert not {n for n in weights if "blocks." in n} & set(tiny.unet.state_dict())
    file = tmp_path / "tiny.safetensors"
    save_file(weights, file)
    with pytest.raises(ValueError, match="attends to 96 dimensions of text"):
        load_backbone(file, device="cpu")
    with pytest.raises(ValueError, match="cannot be read as Stable Diffusion with config='sd15'|config="):
        load_backbone(file, device="cpu", config="sd15")
    loaded = load_backbone(file, device="cpu", config=str(saved))
    assert same_weights(tiny, loaded) and type(loaded.scheduler).__name__ == "DDIMScheduler"
    torch.save(weights, tmp_path / "tiny.ckpt")
    with pytest.raises(ValueError, match="is a pickle") as refused:
        load_backbone(tmp_path / "tiny.ckpt", device="cpu", config=str(saved))
    assert "use_safetensors=False" in refused.value.hint
    again = load_backbone(tmp_path / "tiny.ckpt", device="cpu", config=str(saved), use_safetensors=False)
    assert same_weights(tiny, again)


def test_data_is_encoded_and_trained_on_with_a_single_file_of_pickles(tiny, saved, tmp_path, capsys):
    from motionrepro.data.video import write_video

    base, videos, shards = (tmp_path / name for name in ("base.ckpt", "videos", "shards"))
    torch.save(original_weights(tiny), base)
    for k in range(2):
        write_video(videos / f"{k}.gif", torch.rand(6, 3, 32, 32))
        (videos / f"{k}.txt").write_text("a red circle")
    how = f"--backbone {base} --config {saved} --allow-pickles"
    shape = "--size 32 --num-frames 4 --interval 1 --device cpu --shard-size 1 --processes 2"
    assert cli(f"data prepare {videos} --out {shards} {shape}", how) == 0
    train = f"--out {tmp_path / 'mine'} --checkpoints {tmp_path / 'state'} --device cpu --steps 1"
    train += " --validation 0 --set batch=1 precision=fp32"
    assert cli(f"train adapter --data {shards} {train} --backbone {base} --config {saved}") == 2
    assert "--allow-pickles" in capsys.readouterr().err
    assert cli(f"train adapter --data {shards} {train} --config {saved}") == 2
    assert "is for a single file" in capsys.readouterr().err
    shape = "size=32 num_frames=4 references=3 schedule_steps=1"  # this one encodes for itself
    assert cli(f"train mtn --data {videos} --processes 2 {train} {shape}", how) == 0


@pytest.mark.parametrize("content", [b"", b"abc", b"\x10\x27\0\0\0\0\0\0{", None])
def test_a_damaged_single_file(tiny, tmp_path, content):
    from safetensors.torch import save_file

    from motionrepro.backbones import load_backbone

    file = tmp_path / "base.safetensors"
    if content is None:
        save_file(original_weights(tiny), file)
        content = file.read_bytes()[:-1000]
    file.write_bytes(content)
    for config in (None, "sd15"):
        with pytest.raises(ValueError, match=f"backbone='{file}' is damaged") as refused:
            load_backbone(file, device="cpu", config=config)
        assert refused.value.hint == "copy it again"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd15", "sd21"])
def test_a_base_of_full_size_is_saved_and_loaded(name, tmp_path):
    from transformers import CLIPTextModel

    from motionrepro.backbones import load_backbone, sd_text_config, sd_unet, sd_vae, write_configs

    write_configs(tmp_path, name)
    with torch.device("meta"):
        text_encoder = CLIPTextModel(sd_text_config(name))
        parts = dict(unet=sd_unet(name), vae=sd_vae(), text_encoder=text_encoder)
    wanted = {}
    for part, model in parts.items():
        model = model.half().to_empty(device="cpu")
        for parameter in model.parameters():
            parameter.data.normal_(std=0.02)
        model.save_pretrained(tmp_path / part)
        wanted[part] = next(model.parameters()).clone()
    del model, parts
    loaded = load_backbone(tmp_path, device="cpu", dtype=torch.float16)
    for part, value in wanted.items():
        torch.testing.assert_close(next(getattr(loaded, part).parameters()), value, rtol=0, atol=0)
    assert loaded.resolution == 512 and loaded.downsample == 8
    text = loaded.encode_text(["a photo of an astronaut"])
    assert text.shape == (1, 77, dict(sd15=768, sd21=1024)[name]) and text.dtype == torch.float16
    latents = torch.randn(1, 4, 8, 8, dtype=torch.float16)
    assert loaded.unet(latents, 500, text).sample.shape == latents.shape


# what people of diffusers do with a pipeline

PROMPT = "a red star moving left"
CALL = dict(num_frames=3, num_inference_steps=3, guidance_scale=3.0, output_type="pt")
KINDS = ("MotionAdaptivePipeline", "DenoisingReusePipeline")


def perturbed(network, *keys, scale=0.05):
    """The network with noise on its weights, so that it does something."""
    from motionrepro.core import generator

    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator(*keys, i)))
    return network


@pytest.fixture
def make():
    """A function that makes a pipeline of its own, which a test may change."""
    from motionrepro.backbones import PARTS, load_backbone
    from motionrepro.reuse.pipeline import DenoisingReusePipeline
    from motionrepro.temporal.adapter import TemporalAdapter
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    classes = dict(zip(KINDS, (MotionAdaptivePipeline, DenoisingReusePipeline)))

    def build(kind=KINDS[0], **more):
        usual = load_backbone("tiny", device="cpu").pipeline()
        torch.manual_seed(0)
        adapter = TemporalAdapter.for_unet(usual.unet, num_heads=2, head_dim=32, ff_dim=128)
        parts = {part: getattr(usual, part) for part in PARTS}
        pipe = classes[kind](**parts, adapter=perturbed(adapter, "adapter"), **more)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return build


def clip(pipe, prompt=PROMPT, **changed):
    """A clip of few steps, the same noise each time; with reuse, from the second step on."""
    from motionrepro.core import generator

    options = CALL | dict(generator=generator("clip")) | changed
    if type(pipe).__name__ == "DenoisingReusePipeline":
        options |= dict(references=2, switch_step=pipe.timesteps(options["num_inference_steps"])[1])
    return pipe(prompt, **options).frames


def differ(a, b):
    """Whether two clips are finite and not the same."""
    return bool(a.isfinite().all() and b.isfinite().all() and (a.float() - b.float()).abs().mean() > 1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:this UNet is compiled")
def test_a_compiled_unet(make, kind):
    pipe = make(kind)
    wanted = clip(pipe)
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    torch.testing.assert_close(clip(pipe), wanted, rtol=0, atol=0)
    again = type(pipe)(**pipe.components)
    again.set_progress_bar_config(disable=True)
    torch.testing.assert_close(clip(again), wanted, rtol=0, atol=0)
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:this UNet carries temporal blocks")
def test_a_controlnet_pipeline_with_temporal_blocks(make):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    from motionrepro.core import generator
    from motionrepro.temporal.adapter import MotionAdaptiveUNet

    pipe = make()
    control = perturbed(ControlNetModel.from_unet(pipe.unet), "control", scale=0.02)
    parts = {name: part for name, part in pipe.components.items() if name != "adapter"}
    usual = StableDiffusionControlNetPipeline(**parts, controlnet=control, requires_safety_checker=False)
    usual.set_progress_bar_config(disable=True)
    poses = torch.rand(3, 3, 64, 64, generator=generator("poses"))

    def frames(**changed):
        options = dict(num_inference_steps=3, guidance_scale=3.0, output_type="pt", height=64, width=64)
        noise = torch.randn(3, 4, 8, 8, generator=generator("noise"))
        return usual([PROMPT] * 3, image=poses, latents=noise, **options, **changed).images

    with MotionAdaptiveUNet(pipe.unet, pipe.adapter) as model:
        alone = frames()
        with model.as_clips(3, motion=0.5):
            together = frames()
            uncontrolled = frames(controlnet_conditioning_scale=0.0)
    assert differ(together, alone) and differ(together, uncontrolled)


def test_controlnet_sees_clips_frame_by_frame(make):
    from diffusers import ControlNetModel

    from motionrepro.core import generator
    from motionrepro.temporal.adapter import MotionAdaptiveUNet, map_tensors

    pipe = make()
    control = perturbed(ControlNetModel.from_unet(pipe.unet), "control", scale=0.02)
    latents = torch.randn(2, 3, 4, 8, 8, generator=generator("latents"))
    text = pipe.backbone.encode_text([PROMPT, "a still green square"])
    poses = torch.rand(6, 3, 64, 64, generator=generator("poses"))
    with torch.no_grad(), MotionAdaptiveUNet(pipe.unet, pipe.adapter) as model:
        each = control(latents.flatten(0, 1), 500, text.repeat_interleave(3, 0), poses)
        residuals = dict(
            down_block_additional_residuals=each.down_block_res_samples,
            mid_block_additional_residual=each.mid_block_res_sample,
        )
        both = model(latents, 500, text, 0.5, **residuals).sample
        second = map_tensors(residuals, lambda tensor: tensor[3:])
        alone = model(latents[1:], 500, text[1:], 0.5, **second).sample
        bare = model(latents, 500, text, 0.5).sample
    torch.testing.assert_close(both[1:], alone, rtol=1e-3, atol=1e-4)
    assert differ(both, bare)


def write_ip_adapter(folder, unet):
    """A small IP-Adapter with its image encoder, in the files that `load_ip_adapter` reads."""
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from motionrepro.core import generator

    r = generator("ip")
    width = unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(4 * width, 16, generator=r),
        "image_proj.proj.bias": torch.zeros(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    crossing = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for i, name in enumerate(crossing):
        channels = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for letter in "kv":
            value = torch.randn(channels, width, generator=r) / width**0.5
            weights[f"ip_adapter.{2 * i + 1}.to_{letter}_ip.weight"] = value
    (folder / "models").mkdir(parents=True)
    save_file(weights, folder / "models" / "ip.safetensors")
    sizes = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    vision = CLIPVisionConfig(**sizes, image_size=32, patch_size=16, projection_dim=16)
    torch.manual_seed(0)
    CLIPVisionModelWithProjection(vision).save_pretrained(folder / "models" / "image_encoder")


@pytest.mark.parametrize("kind", KINDS)
def test_an_ip_adapter(make, kind, tmp_path):
    from PIL import Image

    pipe = make(kind)
    before = clip(pipe)
    write_ip_adapter(tmp_path, pipe.unet)
    with pytest.raises(ValueError, match="none is loaded"):
        clip(pipe, ip_adapter_image=Image.new("RGB", (32, 32)))
    pipe.load_ip_adapter(str(tmp_path), subfolder="models", weight_name="ip.safetensors")
    with pytest.raises(ValueError, match="no ip_adapter_image"):
        clip(pipe)
    red, blue = (Image.new("RGB", (32, 32), color) for color in ("red", "blue"))
    like_red = clip(pipe, ip_adapter_image=red)
    assert differ(like_red, before) and differ(like_red, clip(pipe, ip_adapter_image=blue))
    embeds = pipe.prepare_ip_adapter_image_embeds(red, None, "cpu", 1, True)
    torch.testing.assert_close(clip(pipe, ip_adapter_image_embeds=embeds), like_red, rtol=0, atol=0)
    two = clip(pipe, [PROMPT, PROMPT], ip_adapter_image=red, generator=None)
    assert two.shape[0] == 2 and two.isfinite().all()
    pipe.set_ip_adapter_scale(0.0)
    torch.testing.assert_close(clip(pipe, ip_adapter_image=red), before, rtol=1e-3, atol=1e-4)
    pipe.unload_ip_adapter()
    torch.testing.assert_close(clip(pipe), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_callback_ends_guidance(make, kind):
    from diffusers.callbacks import IPAdapterScaleCutoffCallback, MultiPipelineCallbacks, SDCFGCutoffCallback

    pipe = make(kind)
    rows = []
    handle = pipe.unet.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    cutoff = SDCFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=0)
    for names in (("latents",), None):
        cut = clip(pipe, callback_on_step_end=cutoff, callback_on_step_end_tensor_inputs=names)
    # references have 2 frames and the last frame begins at the second step; the first step has guidance
    wanted = [6, 3, 3] if kind == KINDS[0] else [4, 2, 2, 1, 1]
    assert rows == 2 * wanted
    handle.remove()
    assert differ(cut, clip(pipe)) and differ(cut, clip(pipe, guidance_scale=1.0))
    both = MultiPipelineCallbacks([cutoff, IPAdapterScaleCutoffCallback(cutoff_step_ratio=0.5)])
    torch.testing.assert_close(clip(pipe, callback_on_step_end=both), cut, rtol=0, atol=0)
    with pytest.raises(ValueError, match="prompt_embeds of 1 rows") as refused:
        clip(pipe, [PROMPT, PROMPT], callback_on_step_end=cutoff, generator=None)
    assert "one at a time" in refused.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_lora_weights(make, kind, tmp_path):
    pytest.importorskip("peft")
    from safetensors.torch import save_file

    from motionrepro.core import generator

    pipe = make(kind)
    before = clip(pipe)
    r = generator("lora")
    weights = {}
    for name, module in pipe.unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            weights[f"unet.{name}.lora_A.weight"] = torch.randn(4, module.in_features, generator=r) / 8
            weights[f"unet.{name}.lora_B.weight"] = torch.randn(module.out_features, 4, generator=r) / 4
    for name, module in pipe.text_encoder.named_modules():
        if name.endswith("q_proj"):
            key = f"text_encoder.text_model.{name.removeprefix('text_model.')}"
            weights[f"{key}.lora_A.weight"] = torch.randn(4, module.in_features, generator=r) / 8
            weights[f"{key}.lora_B.weight"] = torch.randn(module.out_features, 4, generator=r) / 4
    save_file(weights, tmp_path / "pytorch_lora_weights.safetensors")
    text = pipe.encode_texts([PROMPT])
    name = "pytorch_lora_weights.safetensors"  # older diffusers ask for it where there is no network
    pipe.load_lora_weights(str(tmp_path), weight_name=name, adapter_name="style")
    assert differ(pipe.encode_texts([PROMPT]), text)
    styled = clip(pipe)
    assert differ(styled, before)
    half = clip(pipe, cross_attention_kwargs=dict(scale=0.5))
    assert differ(half, before) and differ(half, styled)
    nothing = clip(pipe, cross_attention_kwargs=dict(scale=0.0))
    torch.testing.assert_close(nothing, before, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(clip(pipe), styled, rtol=1e-3, atol=1e-4)
    pipe.unload_lora_weights()
    torch.testing.assert_close(clip(pipe), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_textual_inversion_of_several_vectors(make, kind):
    from motionrepro.core import generator

    pipe = make(kind)
    before = clip(pipe)
    width = pipe.text_encoder.config.hidden_size
    learned = torch.randn(2, width, generator=generator("learned"))
    pipe.load_textual_inversion({"<shade>": learned}, token="<shade>")
    ids = pipe.tokenizer(pipe.maybe_convert_prompt("a <shade> star", pipe.tokenizer)).input_ids
    table = pipe.text_encoder.get_input_embeddings().weight
    torch.testing.assert_close(table[ids[2:4]], learned, rtol=0, atol=0)
    assert differ(clip(pipe, "a <shade> star moving left"), clip(pipe, "a star moving left"))
    torch.testing.assert_close(clip(pipe), before, rtol=1e-3, atol=1e-4)


def test_a_cache_that_wraps_forward_as_deepcache_does(make):
    """It asks the scheduler for the place of `args[1].item()`, and returns an attention's cached output."""
    pipe = make()
    plain = clip(pipe, num_inference_steps=4)
    places = []
    cached = {}
    forward = pipe.unet.forward

    def of_unet(*args, **kwargs):
        places.append(list(pipe.scheduler.timesteps).index(args[1].item()))
        return forward(*args, **kwargs)

    def wrap(block, inner):
        def of_block(*args, **kwargs):
            if places[-1] % 2 == 0:
                cached[block] = inner(*args, **kwargs)
            return cached[block]

        block.forward = of_block

    pipe.unet.forward = of_unet
    for block in (*pipe.unet.down_blocks[1:], pipe.unet.mid_block, *pipe.unet.up_blocks[:-1]):
        wrap(block, block.forward)
    assert differ(clip(pipe, num_inference_steps=4), plain)
    assert places == [0, 1, 2, 3]


def test_an_injected_unet_elsewhere_says_what_it_does(make):
    from diffusers import StableDiffusionPipeline

    from motionrepro.core import generator
    from motionrepro.temporal.adapter import MotionAdaptiveUNet

    pipe = make()
    usual = StableDiffusionPipeline.from_pipe(pipe)
    usual.set_progress_bar_config(disable=True)

    def images(unet=None):
        options = dict(num_inference_steps=2, num_images_per_prompt=3, height=64, width=64, output_type="pt")
        return usual(PROMPT, generator=generator(0), **options).images

    wanted = images()
    with MotionAdaptiveUNet(pipe.unet, pipe.adapter) as model:
        with pytest.warns(UserWarning, match="each image is denoised without them"):
            found = images()
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        with model.as_clips(3):
            assert differ(images(), wanted)
        with pytest.raises(ValueError, match="expected `b f c h w`") as refused:
            model(torch.zeros(6, 4, 8, 8), 5, torch.zeros(6, 32, 96))
        assert "as_clips" in refused.value.hint


def test_an_adapter_goes_to_the_hub_and_comes_back(make, saved, tmp_path, monkeypatch):
    from types import SimpleNamespace

    from huggingface_hub import ModelCard

    from motionrepro.temporal import adapter as module
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    pipe = make()
    uploaded = tmp_path / "uploaded"

    def upload_folder(*, repo_id, folder_path, **options):
        shutil.copytree(folder_path, uploaded)
        return f"https://huggingface.co/{repo_id}"

    monkeypatch.setattr(module, "create_repo", lambda name, **options: SimpleNamespace(repo_id=name))
    monkeypatch.setattr(module, "upload_folder", upload_folder)
    assert pipe.adapter.push_to_hub("me/my-adapter", "me/tiny").endswith("me/my-adapter")
    card = ModelCard.load(uploaded / "README.md")
    assert (card.data.base_model, card.data.pipeline_tag) == ("me/tiny", "text-to-video")
    hub_cache(monkeypatch, tmp_path, **{"me--my-adapter": uploaded, "me--tiny": saved})
    loaded = MotionAdaptivePipeline.from_pretrained(
        "me/tiny", adapter="me/my-adapter", device="cpu", local_files_only=True
    )
    for name, value in pipe.adapter.state_dict().items():
        torch.testing.assert_close(loaded.adapter.state_dict()[name], value, rtol=0, atol=0)
    with pytest.raises(ValueError, match="adapter='me/another' is not a folder.*the hub"):
        MotionAdaptivePipeline.from_pretrained("tiny", adapter="me/another", local_files_only=True)
    with pytest.raises(ValueError, match="adapter='me/tiny'"):
        MotionAdaptivePipeline.from_pretrained("tiny", adapter="me/tiny", local_files_only=True)
    snippet = card.text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(snippet.replace("num_frames=8", "num_frames=2, num_inference_steps=2"), {})
    assert (tmp_path / "clip.gif").stat().st_size > 0


def test_a_pipeline_of_the_hub_comes_with_its_adapter(make, tmp_path, monkeypatch):
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    pipe = make()
    pipe.save_pretrained(tmp_path / "whole")
    hub_cache(monkeypatch, tmp_path, **{"me--whole": tmp_path / "whole"})
    loaded = MotionAdaptivePipeline.from_pretrained("me/whole", device="cpu", local_files_only=True)
    for name, value in pipe.adapter.state_dict().items():
        torch.testing.assert_close(loaded.adapter.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_are_made_of_each_other(make, kind):
    from diffusers import StableDiffusionPipeline

    pipe = make(kind)
    wanted = clip(pipe)
    usual = StableDiffusionPipeline.from_pipe(pipe)
    again = type(pipe).from_pipe(usual, adapter=pipe.adapter)
    by_parts = type(pipe)(**usual.components, adapter=pipe.adapter)
    for other in (again, by_parts, type(pipe).from_pipe(pipe)):
        other.set_progress_bar_config(disable=True)
        torch.testing.assert_close(clip(other), wanted, rtol=0, atol=0)


def test_a_single_file_makes_a_pipeline(make, tiny, saved, tmp_path):
    from safetensors.torch import save_file

    pipe = make()
    save_file(original_weights(tiny), tmp_path / "tiny.safetensors")
    file = str(tmp_path / "tiny.safetensors")
    wanted = clip(pipe)
    usual = type(pipe).from_pretrained(file, adapter=pipe.adapter, config=str(saved), device="cpu")
    diffusers_way = type(pipe).from_single_file(file, config=str(saved), adapter=pipe.adapter)
    diffusers_way.scheduler = pipe.scheduler
    for other in (usual, diffusers_way):
        other.set_progress_bar_config(disable=True)
        torch.testing.assert_close(clip(other), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_ready_embeddings(make, kind):
    pipe = make(kind)
    wanted = clip(pipe, motion=0.5, negative_prompt="blue")
    text, unwanted = (pipe.encode_texts([words]) for words in (PROMPT, "blue"))
    ready = clip(pipe, None, prompt_embeds=text, negative_prompt_embeds=unwanted)
    torch.testing.assert_close(ready, wanted, rtol=1e-3, atol=1e-4)
    mixed = clip(pipe, None, prompt_embeds=text, negative_prompt="blue")
    torch.testing.assert_close(mixed, wanted, rtol=1e-3, atol=1e-4)
    assert differ(clip(pipe, None, prompt_embeds=text), wanted)
    for bad, reason in (
        (dict(prompt_embeds=text), "say the same thing"),
        (dict(negative_prompt="blue", negative_prompt_embeds=unwanted), "say the same thing"),
        (dict(prompt=None), "prompt=None"),
        (dict(prompt=None, prompt_embeds=text[0]), "tensor `b s d`"),
        (dict(negative_prompt_embeds=unwanted.repeat(2, 1, 1)), "for 2 clips, and there are 1"),
    ):
        with pytest.raises(ValueError, match=reason):
            clip(pipe, **bad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part, other", [("prompt", "negative_prompt"), ("negative_prompt", "prompt")])
def test_ready_embeddings_of_other_shapes(make, kind, part, other):
    pipe = make(kind)
    text = pipe.encode_texts([PROMPT])
    tokens, width = text.shape[1:]
    for wrong in (text[..., :5], text[..., :0], text[:, :0]):
        for right in (text, wrong):
            given = {f"{part}_embeds": wrong, f"{other}_embeds": right}
            with pytest.raises(ValueError, match=f"_embeds have shape .*needed is `b s {width}`"):
                clip(pipe, None, **given)
    with pytest.raises(ValueError, match=f"1, 5, {width}.*they must have the same"):
        clip(pipe, None, **{f"{part}_embeds": text[:, :5], f"{other}_embeds": text})
    words = PROMPT if part == "negative_prompt" else None
    with pytest.raises(ValueError, match=f"have ({tokens}|5) tokens, prompts ({tokens}|5); they must"):
        clip(pipe, words, **{f"{part}_embeds": text[:, :5]})


@pytest.mark.parametrize("kind", KINDS)
def test_clip_skip(make, kind):
    pipe = make(kind)
    text = pipe.encode_texts([PROMPT])
    torch.testing.assert_close(pipe.encode_texts([PROMPT], 0), text)
    layers = pipe.text_encoder.config.num_hidden_layers
    skipped = pipe.encode_texts([PROMPT], 1)
    del getattr(pipe.text_encoder, "text_model", pipe.text_encoder).encoder.layers[layers - 1]
    torch.testing.assert_close(pipe.encode_texts([PROMPT]), skipped)
    whole = make(kind)
    assert differ(clip(whole, clip_skip=1), clip(whole))
    with pytest.raises(ValueError, match=rf"clip_skip=9 is outside \[0, {layers}\]"):
        clip(whole, clip_skip=9)


def test_a_safety_checker_blackens_frames(make):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    sizes = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    vision = sizes | dict(image_size=32, patch_size=16, projection_dim=16)
    config = CLIPConfig(vision_config=vision, text_config=sizes, projection_dim=16)
    checker = StableDiffusionSafetyChecker(config).eval()
    checker.concept_embeds_weights.fill_(2)  # cosines are below it: nothing is refused
    pictures = CLIPImageProcessor(size=32, crop_size=32)
    wanted = clip(make())
    for kind in KINDS:
        pipe = make(kind, safety_checker=checker, feature_extractor=pictures)
        assert clip(pipe).std() > 0.05
    pipe = make(safety_checker=checker, feature_extractor=pictures)
    torch.testing.assert_close(clip(pipe), wanted, rtol=0, atol=0)
    checker.concept_embeds_weights.fill_(-2)
    for kind in KINDS:
        assert clip(make(kind, safety_checker=checker, feature_extractor=pictures)).abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["model", "leaf_level", "block_level"])
def test_offloading(make, kind, way):
    pipe = make(kind)
    wanted = clip(pipe)
    if way == "model":
        pipe.enable_model_cpu_offload(device="cpu")
    else:
        blocks = dict(num_blocks_per_group=1) if way == "block_level" else {}
        pipe.enable_group_offload(onload_device=torch.device("cpu"), offload_type=way, **blocks)
    for _ in range(2):
        torch.testing.assert_close(clip(pipe), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(make, kind, dtype):
    pipe = make(kind)
    wanted = clip(pipe)
    pipe.to(dtype)
    found = clip(pipe)
    assert found.dtype == torch.float32 and (found - wanted).abs().mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_pipelines_pickles_are_read_only_if_that_is_said(make, tiny, tmp_path, kind):
    pipe = make(kind)
    pipe.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match="adapter=.*has no readable weights"):
        type(pipe).from_pretrained(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="backbone=.*has no readable safetensors") as refused:
        type(pipe).from_pretrained(tmp_path, adapter=None, device="cpu")
    assert "use_safetensors=False" in refused.value.hint
    again = type(pipe).from_pretrained(tmp_path, adapter=pipe.adapter, device="cpu", use_safetensors=False)
    assert same_weights(tiny, again.backbone) and again.adapter is pipe.adapter


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_pipeline_in_half_precision_is_read(make, tiny, tmp_path, kind):
    pipe = make(kind)
    pipe.save_pretrained(tmp_path, variant="fp16")
    assert list(tmp_path.glob("unet/*.fp16.safetensors"))
    again = type(pipe).from_pretrained(tmp_path, device="cpu")
    assert same_weights(tiny, again.backbone) and again.adapter is not None


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_a_whole_pipeline_that_is_not_whole(make, tmp_path, part):
    from motionrepro.backbones import load_backbone

    pipe = make()
    pipe.save_pretrained(tmp_path)
    (file,) = tmp_path.glob(f"{part}/*.safetensors")
    file.write_bytes(file.read_bytes()[:1000])
    for load in (type(pipe).from_pretrained, load_backbone):
        with pytest.raises(ValueError, match=f"backbone='{tmp_path}' has no readable safetensors"):
            load(tmp_path, device="cpu")
    file.unlink()
    with pytest.raises(ValueError, match=f"backbone='{tmp_path}' has no readable safetensors") as refused:
        type(pipe).from_pretrained(tmp_path, device="cpu")
    assert refused.value.hint == "copy the whole folder"
