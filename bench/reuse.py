"""Denoising reuse against frame-wise denoising in one run: measured speed-up beside the ideal one, and the memory of the motion matrices.

    python bench/reuse.py               # tiny and SD 1.5's size (random weights, small latents); 64 x 64 positions; writes results/bench/reuse.json
    python bench/reuse.py --quick       # tiny alone, few steps, 16 x 16 positions; writes nothing

Frame-wise denoising takes its frames in the same two batches as reuse does, so that what is compared is steps and not batch sizes; all frames in one batch
is timed beside it. Peaks count every allocation that torch makes on the way, the features not included.
"""
import argparse
import statistics
import time
from pathlib import Path

import diffusers
import torch
from measuring import in_turns, peak
from transformers import CLIPTextConfig, CLIPTextModel

from motionrepro.backbones import CONTEXT, Backbone, load_backbone
from motionrepro.core import generator, save_result
from motionrepro.reuse.mtn import MotionTransformationNetwork
from motionrepro.reuse.pipeline import DenoisingReuseConfig, DenoisingReusePipeline, RawMotion, ReuseState, nearest_timestep, start_latents
from motionrepro.temporal.adapter import sd_unet

TARGET_SHARE, TARGET_BYTES = .95, 2 * 2**30


def random_sd15(device):
    """Stable Diffusion 1.5's UNet with random weights, and a text encoder of its width; tokenizer and VAE are tiny's."""
    tiny = load_backbone("tiny", device=device)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=len(tiny.tokenizer), hidden_size=768, intermediate_size=768, num_hidden_layers=1, num_attention_heads=12,
                                        max_position_embeddings=CONTEXT))
    return Backbone("sd15, random", tiny.vae, text.to(device).eval(), tiny.tokenizer, sd_unet("sd15").to(device).eval(), tiny.scheduler)


def speed(backbone, latent, frames, references, steps, guidance, repeats, device):
    """Times of reuse, of frame-wise denoising in the same batches, and of all frames in one batch; in turns."""
    pipe = DenoisingReusePipeline.from_pretrained(backbone, adapter=None, mtn=None, dss=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    noise = torch.randn(1, frames, 4, latent, latent, generator=generator("bench reuse"))
    schedule = pipe.timesteps(steps)
    more = dict(num_inference_steps=steps, guidance_scale=guidance, output_type="latent")
    made = []

    def reuse():
        pipe.enable(DenoisingReuseConfig(references=references, switch_step=nearest_timestep(schedule, 200)))
        made[:] = [pipe("a star", latents=noise, num_frames=frames, **more)]

    def full(*parts):
        pipe.disable()
        for part in parts: pipe("a star", latents=noise[:, part], num_frames=noise[:, part].shape[1], **more)

    runs = dict(reuse=reuse, framewise=lambda: full(slice(0, references), slice(references, None)), one_batch=lambda: full(slice(0, None)))
    times = in_turns(runs, repeats, device)
    ratios = [f / r for f, r in zip(times["framewise"], times["reuse"])]
    measured, ideal = statistics.median(ratios), made[0].ideal_speedup
    result = dict(frames=frames, references=references, steps=steps, latent=latent, guidance=guidance,
                  switch_step=made[0].switch_step.item(), unet_calls=made[0].unet_calls,
                  ideal=ideal, measured=measured, lowest=min(ratios), highest=max(ratios), share=measured / ideal,
                  against_one_batch=statistics.median(f / r for f, r in zip(times["one_batch"], times["reuse"])),
                  seconds={name: statistics.median(t) for name, t in times.items()})
    print(f"{backbone.name}, {latent} x {latent} latents, {frames} frames, {references} references, {steps} steps: ideal {ideal:.2f}, measured {measured:.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}), {result['share']:.3f} of it; {result['against_one_batch']:.2f} against all frames in one batch",
          flush=True)
    return result


@torch.no_grad()
def matrices(network, side, frames, references, steps, device):
    """The matrices' part of a run at SD 1.5's size: all steps of the references, then the start of the later frames."""
    draw = lambda k, c, n: torch.randn(references, c, n, n, generator=generator("bench reuse", k)).to(device)
    features, latents = {6: draw(6, 640, side // 2), 8: draw(8, 640, side)}, torch.randn(3, 1, frames, 4, side, side, generator=generator("latents")).to(device)
    pairs = [(i, i + 1) for i in range(references - 1)][-1 if isinstance(network, RawMotion) else 0:]

    def run():
        state = ReuseState()
        for k in range(steps): state.observe(network, features, 999 - k, references, pairs)
        predicted = network.predict(state.motion(network), frames - references)
        state.reset()
        return start_latents(predicted, latents[0, :, references:], latents[1, :, 0], latents[2, :, 0])
    return peak(run, device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny alone with few steps, 16 x 16 positions; nothing is written")
    parser.add_argument("--steps", type=int, default=50, help="of the schedule")
    parser.add_argument("--side", type=int, default=64, help="height and width in positions, for the memory")
    parser.add_argument("--sd-latent", type=int, default=16, help="height and width of the latents at SD 1.5's size; 64 on a GPU")
    parser.add_argument("--repeats", type=int, default=5, help="all take turns that often; medians count")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--output", default=Path(__file__).parents[1]/"results"/"bench"/"reuse.json")
    args = parser.parse_args()
    if args.quick: args.steps, args.side, args.repeats = 5, 16, 1
    begin, tiny = time.perf_counter(), load_backbone("tiny", device=args.device)
    cases = [(tiny, 8, 16, 4, args.steps, 3.), (tiny, 8, 16, 2, args.steps, 3.)]
    if args.quick: cases = [(tiny, 8, 4, 2, args.steps, 1.)]
    else: cases.append((random_sd15(args.device), args.sd_latent, 8, 2, min(args.steps, 10) if args.device == "cpu" else args.steps, 1.))
    speeds = [speed(*case, args.repeats if case[0] is tiny else min(args.repeats, 3), args.device) | dict(backbone=case[0].name) for case in cases]
    del cases
    memory = {}
    for window in (None, 8):
        kind = "dense" if window is None else f"window {window}"
        learned = MotionTransformationNetwork((6, 8), (640, 640), window=window).to(args.device).eval()
        for name, network in (("raw features", RawMotion(window=window)), ("MTN", learned)):
            memory[f"{name}, {kind}"] = found = matrices(network, args.side, 16, 4, args.steps, args.device)
            print(f"{name}, {kind}, {args.side} x {args.side} positions, 16 frames, 4 references, blocks 6 and 8, {args.steps} steps: "
                  f"peak {found / 2**20:.0f} MB", flush=True)
    met = dict(speed=all(s["share"] >= TARGET_SHARE for s in speeds), memory=all(m < TARGET_BYTES for m in memory.values()))
    for name, what in dict(speed=f"{TARGET_SHARE} of the ideal speed-up", memory=f"under {TARGET_BYTES // 2**30} GB at 64 x 64 positions").items():
        decided = not args.quick and (name == "speed" or args.side == 64)
        print(f"target, {what}: " + (("met" if met[name] else "missed") if decided else "not measured at this size"))
    if args.quick: return
    config = dict(steps=args.steps, side=args.side, sd_latent=args.sd_latent, repeats=args.repeats, device=args.device, threads=torch.get_num_threads())
    values = dict(speed=speeds, peak_bytes=memory, target=dict(share=TARGET_SHARE, bytes=TARGET_BYTES), met=met)
    save_result(args.output, values, config, seed="bench reuse", seconds=time.perf_counter() - begin)
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
