"""Any base of Stable Diffusion's kind, and what people of diffusers do with one, on tiny models in the real formats."""

import shutil

import pytest
import torch


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
