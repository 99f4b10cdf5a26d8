"""Models that the scripts of this folder measure; random weights cost the same as trained ones."""

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from motionrepro.backbones import CONTEXT, Backbone, load_part, noise_schedule, tiny_vae
from motionrepro.core import assets_path
from motionrepro.training.adapter import make_adapter


def trained_adapter(recipe, unet):
    """An adapter whose zeros are small random numbers, as after training."""
    adapter = make_adapter(recipe, unet).to(unet.device)
    if adapter.dtype != unet.dtype:
        adapter.to(unet.dtype)
    with torch.no_grad():
        for p in adapter.parameters():
            if not p.any():
                p.normal_(std=0.02)
    return adapter


def bare(unet):
    """The base on all frames, called like the others."""

    def model(latents, timestep, text, motion):
        return unet(latents.flatten(0, 1), timestep, text.repeat_interleave(latents.shape[1], 0))

    return model


def random_base(unet, device):
    """Put a UNet of Stable Diffusion 1.5's kind together with a random text encoder of its width.

    Tokenizer and schedule are tiny's; the VAE is of its size, with random weights.
    """
    tokenizer = load_part(assets_path() / "tiny", "tokenizer", device)
    width = unet.config.cross_attention_dim
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=width,
            num_hidden_layers=1,
            num_attention_heads=12,
            max_position_embeddings=CONTEXT,
        )
    )
    models = [model.to(device, unet.dtype).eval() for model in (tiny_vae(), text)]
    return Backbone("sd15, random", *models, tokenizer, unet, noise_schedule())
