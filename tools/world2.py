"""Train and judge the models of World 2, part by part, until they take the place of those of the first world.

    python tools/world2.py vae text unet-64 unet-96      # one after the other; a part that is begun goes on
    python tools/world2.py --judge 200                   # drawings of validation captions
    python tools/world2.py clips adapter                 # temporal blocks, on clips that are encoded before
    python tools/world2.py --judge-clips 40 --look clips.gif  # do subjects go where validation captions say?

What is finished lies in `interim/world2`, which is a folder of models like the package's own:
`load_backbone("interim/world2/tiny")` loads the base. Checkpoints lie where `checkpoints_path` says.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from motionrepro import backbones
from motionrepro.core import generator, usable_device
from motionrepro.data import world2
from motionrepro.data.video import write_video
from motionrepro.data.world import load_all
from motionrepro.metrics.scores import motion_magnitude
from motionrepro.metrics.tracker import movement_results
from motionrepro.metrics.world import load_evaluator
from motionrepro.temporal.noise import correlated_noise
from motionrepro.training import adapter, base
from motionrepro.training.loop import checkpoints_path
from motionrepro.training.prepare import caption_tokens, clip_cache

OUT = Path(__file__).resolve().parent.parent / "interim" / "world2"
STEPS = base.STEPS | {"classifier": 2000}
UNETS = {  # stages of the UNet, each begun from the weights of the one before
    "unet-64": dict(size=64, steps=6000, lr=1e-3, pool_length=20_000, seed=0),
    "unet-96": dict(size=96, steps=16_000, lr=1.2e-3, pool_length=24_000, seed=0),  # stopped after 4,089
    "unet-96-end": dict(size=96, steps=6000, lr=1e-3, pool_length=16_000, seed=1),
}
ADAPTER = replace(
    adapter.RECIPES["tiny"],
    size=96,
    interval=2,
    rho="spread",
    timesteps="late",
    weighting="min-snr",
    gamma=0.5,
    focus=0.5,
    steps=12_000,
    guidance_scale=2.0,
)
CLIPS = dict(train=8000, validation=96)
PARTS = ("vae", "text", *UNETS, "classifier", "video", "clip", "clips", "adapter")


def train_unet(stage, out, device, folder):
    """Train the UNet in one of its stages, from the one that is there if it is not the first."""
    parts = {p: backbones.load_part(out / "tiny", p, device) for p in ("vae", "text_encoder", "tokenizer")}
    start = None if stage == "unet-64" else backbones.load_part(out / "tiny", "unet", device)
    options = dict(folder=folder, start=start, device=device, world=world2)
    return base.train_unet(**UNETS[stage], **parts, **options)[0], out / "tiny" / "unet"


def encoded_clips(split, backbone, checkpoints):
    """Return the clips of a split, encoded by a base's autoencoder and text encoder."""
    shape = {k: getattr(ADAPTER, k) for k in ("size", "num_frames", "interval")}
    file = checkpoints / "clips" / f"{split}.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    return clip_cache(backbone, file, **shape, length=CLIPS[split], world=world2, split=split)


def train_adapter(out, checkpoints, device, start=None):
    """Train temporal blocks on the base that is there, and write them; `start` is a folder of others."""
    backbone = backbones.load_backbone(out / "tiny", device=device)
    clips, held_out = (encoded_clips(split, backbone, checkpoints) for split in CLIPS)
    start = start and adapter.load_saved(start)
    trained, _ = adapter.train_adapter(
        ADAPTER, checkpoints / "adapter", backbone, clips, start, held_out=held_out, extend=True
    )
    backbones.save_half(trained, out / "tiny" / "adapter")


def train_part(part, out, checkpoints, device, start=None):
    """Train one part, and write it."""
    if part == "clips":
        backbone = backbones.load_backbone(out / "tiny", device=device)
        for split in CLIPS:
            encoded_clips(split, backbone, checkpoints)
        return
    if part == "adapter":
        train_adapter(out, checkpoints, device, start)
        return
    if part in UNETS:
        model, goal = train_unet(part, out, device, checkpoints / part)
    else:
        common = dict(folder=checkpoints / part, steps=STEPS[part], device=device, world=world2)
        common |= dict(interval=ADAPTER.interval) if part == "video" else {}
        model, goal = base._train_target(part, out, seed=0, **common)
    base._write_target(part, model, goal)
    if part in ("classifier", "video", "clip"):
        options = dict(world=world2, interval=ADAPTER.interval)
        print(json.dumps(base.score_evaluator(part, model, 1000, **options), indent=1))


@torch.no_grad()
def told_apart(backbone, n=200, draws=8):
    """Return how often the right caption has a smaller loss than its opposite, for what faces somewhere."""
    moving = world2.WorldFrames("validation", backbone.resolution, 2 * n, 7, motion="moves")
    frames = load_all(moving)
    faces = [i for i, facing in enumerate(frames["facing"]) if facing][:n]
    latents = backbone.encode(frames["image"][faces].to(backbone.device) / 255)
    captions = [frames["caption"][i] for i in faces]
    texts = [
        backbone.text_encoder(caption_tokens(backbone.tokenizer, words).to(backbone.device))[0]
        for words in (captions, base.opposite_captions(captions))
    ]
    random = generator(11)
    losses = torch.zeros(2, len(faces), device=latents.device)
    for _ in range(draws):
        t = torch.randint(300, 850, (len(faces),), generator=random)
        noise = torch.randn(latents.shape, generator=random)
        t, noise = t.to(latents.device), noise.to(latents.device)
        noisy = backbone.scheduler.add_noise(latents, noise, t)
        for loss, text in zip(losses, texts):
            loss += (backbone.unet(noisy, t, text).sample - noise).square().flatten(1).mean(1)
    return (losses[0] < losses[1]).float().mean().item(), len(faces)


def judge(out, n, guidance_scale, device):
    """Print what drawings of validation captions are worth."""
    backbone = backbones.load_backbone(out / "tiny", device=device)
    classifier = load_evaluator("classifier", device, folder=out / base.CARDS["classifier"])
    share, count = told_apart(backbone)
    print(f"the right caption beats the opposite one: {share:.3f} of {count} frames", flush=True)
    scores = base.score_samples(backbone, classifier, n, guidance_scale, 25, "validation", world=world2)
    print(json.dumps(scores, indent=1))


@torch.no_grad()
def judge_clips(out, checkpoints, n, guidance_scale, device, look):
    """Print what clips of validation captions are worth; `look` shows real, drawn and bare ones."""
    backbone = backbones.load_backbone(out / "tiny", device=device)
    known = encoded_clips("validation", backbone, checkpoints)
    frames = (ADAPTER.num_frames - 1) * ADAPTER.interval + 1
    real = world2.World("validation", ADAPTER.size, frames, len(known["ids"]), 6, with_flow=False)
    captions = known["captions"][:n]
    clips = dict(real=load_all(real, indices=range(n))["video"][:, :: ADAPTER.interval])
    noise = correlated_noise(
        (n, *known["latents"].shape[1:]), 0.6, generator=generator("judge"), device=device
    )
    options = dict(num_inference_steps=20, guidance_scale=guidance_scale)
    for name, blocks in dict(drawn=adapter.load_saved(out / "tiny" / "adapter"), bare=None).items():
        sample = adapter.sampler(backbone, blocks and blocks.to(device))
        batches = [slice(i, i + 8) for i in range(0, n, 8)]
        made = [sample(captions[b], noise[b], known["motion"][:n][b], **options).cpu() for b in batches]
        clips[name] = torch.cat(made)
    for name, video in clips.items():
        print(f"{name}: MM {motion_magnitude(video).mean():.4f}")
        for result in movement_results(video, captions).values():
            print(f"  {result}")
    if look:
        rows = torch.cat([video[:, None] for video in clips.values()], 1)  # n, three of them, frames
        write_video(look, rows.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3).clamp(0, 1), fps=4)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("parts", nargs="*", help=f"what to train: {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--start", type=Path, metavar="DIR", help="adapter to start from")
    parser.add_argument("--judge", type=int, metavar="N", help="judge N drawings")
    parser.add_argument("--judge-clips", type=int, metavar="N", help="judge N clips, 96 at most")
    parser.add_argument("--look", type=Path, metavar="FILE", help="show these clips in a GIF")
    parser.add_argument("--guidance", type=float, default=2.0, help="guidance scale of the drawings")
    parser.add_argument("--device", help="default: cuda where there is one")
    options = parser.parse_args()
    device = usable_device(options.device)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part!r} is not one of {', '.join(PARTS)}")
    for part in options.parts:
        train_part(part, options.out, checkpoints_path() / "world2", device, options.start)
    if options.judge:
        judge(options.out, options.judge, options.guidance, device)
    if options.judge_clips:
        checkpoints = checkpoints_path() / "world2"
        judge_clips(options.out, checkpoints, options.judge_clips, options.guidance, device, options.look)


if __name__ == "__main__":
    main()
