"""Draw the clips of the site's explorer: python docs/explorer.py [--help]

Every clip is a strip of frames in one WebP file. `manifest.json` beside them has the settings, the weights'
fingerprints, and of every clip its NMI over the timesteps and its motion field. The command goes on where it
was interrupted; clips of other settings, weights or code are deleted and drawn anew.
"""

import argparse
import base64
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from motionrepro.backbones import default_guidance
from motionrepro.core import (
    UserError,
    assets_path,
    atomic_path,
    discard_remains,
    generator,
    read_json,
    write_json,
)
from motionrepro.data.world import World, sample_scene
from motionrepro.profiles import PROFILES, results_of
from motionrepro.provenance import alone_in, code_hash, fingerprint, provenance
from motionrepro.reuse.analysis import analyse_clip
from motionrepro.reuse.handover import DenoisingReuseConfig, nearest_timestep
from motionrepro.reuse.matrices import true_motion
from motionrepro.reuse.pipeline import DenoisingReusePipeline
from motionrepro.studies.ablations import trained_rival
from motionrepro.studies.switching import WAYS
from motionrepro.temporal.motion import resolve_motion
from motionrepro.temporal.noise import RHO, correlated_noise
from motionrepro.temporal.pipeline import MotionAdaptivePipeline
from motionrepro.training.adapter import RECIPES

LIMIT = 8 * 2**20  # bytes of all clips
BATCH = 4  # clips drawn at a time, always the same ones together
UNITS = 2  # of a motion field in a pixel
UNKNOWN = -128  # in a motion field
FPS = 6  # of the front page's pictures
HOLD = 4  # times as long as any other frame is the last one shown
QUALITY = 90  # of WebP


@dataclass(frozen=True)
class Settings:
    """Say what is drawn: a slice for each dial, the others at their defaults."""

    backbone: str = PROFILES["tiny"].backbone
    captions: int = 12
    num_frames: int = PROFILES["tiny"].num_frames
    interval: int = 1  # frames of the world from one to the next, as the adapter was trained
    steps: int = 20  # of the schedule
    references: int = DenoisingReuseConfig.references
    rhos: tuple = (0.0, 0.2, 0.4, RHO, 0.75, 0.85, 0.95)
    motions: tuple = (0.0, 0.25, 0.5, 0.75, 1.0)  # beside each caption's own
    switch_steps: tuple = tuple(int(name) for name in WAYS if name.isdigit())  # timesteps, about
    seed: int = 0


def default_settings() -> Settings:
    """Return the settings of the stored clips."""
    backbone = Settings.backbone
    return Settings(interval=RECIPES[backbone].interval if backbone in RECIPES else 1)


@dataclass(frozen=True)
class Variant:
    """Name a clip of each caption, and say how it is made."""

    name: str
    method: str = "ours"  # "real", "ours", "reuse", "none" or "animatediff"
    rho: float = RHO
    motion: float | None = None  # None reads it from the caption
    switch_step: int | None = None


def variants_of(
    settings: Settings,
    timesteps: list,  # the schedule
    with_animatediff: bool,
) -> list:
    """List the clips of a caption."""
    variants = [Variant("real", "real"), Variant("ours"), Variant("none", "none")]
    if with_animatediff:
        variants.append(Variant("animatediff", "animatediff"))
    variants += [Variant(f"rho-{rho:g}", rho=rho) for rho in settings.rhos if rho != RHO]
    variants += [Variant(f"motion-{motion:g}", motion=motion) for motion in settings.motions]
    steps = dict.fromkeys(nearest_timestep(timesteps[1:], t) for t in settings.switch_steps)
    return variants + [Variant(f"reuse-{t:g}", "reuse", switch_step=t) for t in steps]


def choose_scenes(
    settings: Settings,
    searched: int = 1000,  # scenes of the test split
) -> list:  # of their numbers in the split
    """Choose the first scene of each motion and direction, then the next that move, in the split's order."""
    scenes = [sample_scene(i, "test", settings.num_frames, settings.seed) for i in range(searched)]
    first = {}
    for i, scene in enumerate(scenes):
        first.setdefault((scene.motion, scene.direction), i)
    chosen = sorted(first.values())[: settings.captions]
    others = [i for i, scene in enumerate(scenes) if scene.motion == "moves" and i not in chosen]
    return sorted(chosen + others[: settings.captions - len(chosen)])


def weights_of(backbone: str) -> dict:  # part -> fingerprint
    """Identify the weights that ship for a base, by their files; texts about them do not count."""
    found = {}
    for folder in sorted(p for p in (assets_path() / backbone).iterdir() if p.is_dir()):
        files = sorted(p for p in folder.iterdir() if p.name not in ("README.md", "card.json"))
        found[folder.name] = fingerprint(*files)
    return found


def code() -> str:
    """Identify the code that draws and analyses, this script's included.

    The script's own definitions are named as strings: they are read from its file, so that they are the same
    whether the script is run or imported.
    """
    package = (MotionAdaptivePipeline, DenoisingReusePipeline, analyse_clip, true_motion, World)
    own = ("ClipRenderer", "strip", "packed", "variants_of", "choose_scenes")
    return code_hash(*package, *(f"explorer:{name}" for name in own))


def identity(
    settings: Settings,
    weights: dict,  # part -> fingerprint
) -> dict:  # JSON values
    """Collect what clips depend on; those that differ in any of it are drawn anew."""
    made_with = dict(settings=asdict(settings), weights=weights, code=code())
    return json.loads(json.dumps(made_with | dict(units=UNITS, unknown=UNKNOWN, quality=QUALITY)))


def strip(
    frames: torch.Tensor,  # `f 3 h w` in [0, 1]
) -> Image.Image:
    """Put frames side by side."""
    pixels = (frames.float().clamp(0, 1) * 255).round().byte().permute(2, 0, 3, 1).flatten(1, 2)
    return Image.fromarray(pixels.numpy())


def packed(
    field: torch.Tensor,  # `pairs 2 h w`, in pixels; NaN where nothing is known
) -> str:
    """Write a motion field as signed bytes in base64, in parts of a pixel."""
    steps = (field * UNITS).round().clamp(-127, 127).nan_to_num(UNKNOWN)
    return base64.b64encode(steps.to(torch.int8).numpy().tobytes()).decode()


class ClipRenderer:
    """Hold the pipelines, each loaded once, and draw clips with them."""

    def __init__(self, settings: Settings, animatediff=None):
        self.settings = settings
        self.guidance = default_guidance(settings.backbone)
        ours = DenoisingReusePipeline.from_pretrained(settings.backbone)
        self.pipes = dict(ours=ours, none=MotionAdaptivePipeline.from_pretrained(ours.backbone, None))
        if animatediff:
            pipe = MotionAdaptivePipeline.from_pretrained(ours.backbone, str(animatediff))
            self.pipes["animatediff"] = pipe
        for pipe in self.pipes.values():
            pipe.set_progress_bar_config(disable=True)
        self.ours = ours
        self.size = ours.backbone.resolution
        self.timesteps = ours.timesteps(settings.steps)
        frames = (settings.num_frames - 1) * settings.interval + 1
        self.world = World("test", self.size, frames, 1000, settings.seed)

    def noise(self, scene: int, rho: float) -> torch.Tensor:  # `1 f c h w`
        """Draw a caption's noise, the same at every setting but for its correlation."""
        side = self.size // self.ours.backbone.downsample
        shape = (1, self.settings.num_frames, self.ours.unet.config.in_channels, side, side)
        return correlated_noise(shape, rho, generator=generator(self.settings.seed, "explorer", scene))

    def draw(
        self,
        variant: Variant,
        scenes: list,  # numbers in the test split
    ) -> list:  # of (frames `f 3 h w`, facts about the clip)
        """Draw a clip of each caption."""
        if variant.method == "real":
            clips = [self.world[i]["video"][:: self.settings.interval] for i in scenes]
            return [(video, {}) for video in clips]
        captions = [self.world.scene(i).caption for i in scenes]
        motion = resolve_motion("auto" if variant.motion is None else variant.motion, captions)
        options = dict(
            num_inference_steps=self.settings.steps,
            guidance_scale=self.guidance,
            latents=torch.cat([self.noise(i, variant.rho) for i in scenes]),
            output_type="pt",
        )
        pipe = self.pipes["ours" if variant.method == "reuse" else variant.method]
        if variant.method == "ours":
            pipe.disable()
        if variant.method == "reuse":
            pipe.enable(DenoisingReuseConfig(references=self.settings.references))
            options["switch_step"] = variant.switch_step
        made = pipe(captions, self.settings.num_frames, motion, **options)
        about = [dict(rho=variant.rho, motion=round(m, 3)) for m in motion.tolist()]
        if variant.method == "reuse":
            speedup = round(made.ideal_speedup, 3)
            about = [facts | dict(speedup=speedup) for facts in about]
        return list(zip(made.frames.cpu(), about))

    def true_field(
        self,
        scene: int,
        side: int,  # positions along an axis
    ) -> torch.Tensor:  # `pairs 2 h w`, in pixels
        """Find where things come from in the world's own clip, since its first frame."""
        clip = self.world[scene]
        cell = self.size // side
        fields = []
        for j in range(1, self.settings.num_frames):
            until = j * self.settings.interval
            motion, valid = true_motion(clip["flow"][None, :until], clip["valid"][None, :until], cell)
            fields.append(torch.where(valid[:, None], motion * cell, torch.nan)[0])
        return torch.stack(fields)

    def analyse(self, variant: Variant, scene: int, frames: torch.Tensor) -> dict:
        """Measure a clip's NMI and its motion field."""
        self.ours.enable()
        analysis = analyse_clip(
            self.ours,
            frames,
            self.world.scene(scene).caption,
            num_inference_steps=self.settings.steps,
            generator=generator(self.settings.seed, "explorer", scene, "analysis"),
        )
        real = variant.method == "real"
        field = self.true_field(scene, analysis.flow.shape[-1]) if real else analysis.flow
        means = [round(value, 4) for value in analysis.nmi[1:].mean(1).tolist()]
        return dict(
            nmi=[None, *means],
            suggested=analysis.switch_step,
            how=analysis.how,
            grid=list(field.shape[-2:]),
            field=packed(field),
        )


def files_of(
    manifest: dict,  # perhaps of an unfinished set
) -> list:  # of names
    """List the pictures of a set."""
    pictures = manifest.get("front", {}).get("pictures", [])
    return [*manifest.get("clips", {}), *(p[kind] for p in pictures for kind in ("moving", "still"))]


class ClipStore:
    """Keep the clips in a folder, with a manifest that lists them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.file = self.folder / "manifest.json"
        self.manifest = read_json(self.file) if self.file.is_file() else {}

    def begin(
        self,
        about: dict,  # as `identity` returns it
    ):
        """Delete the clips of another identity."""
        if any(self.manifest.get(name) != value for name, value in about.items()):
            for name in files_of(self.manifest):
                (self.folder / name).unlink(missing_ok=True)
            self.manifest = about | dict(seconds=0.0, complete=False, clips={})

    @property
    def clips(self) -> dict:  # file name -> facts
        """List what the manifest says of each clip."""
        return self.manifest["clips"]

    def has(self, name: str) -> bool:
        """Whether a clip is finished."""
        return name in self.clips and (self.folder / name).is_file()

    def picture(self, name: str, image: Image.Image, **options):
        """Write a picture, completely or not at all."""
        with atomic_path(self.folder / name) as temporary:
            image.save(temporary, "WEBP", quality=QUALITY, method=6, **options)

    def save(self, **changes):
        """Write the manifest; before the pictures that it lists, so that no picture is ever unlisted."""
        self.manifest |= changes
        write_json(self.file, self.manifest)


def file_name(
    place: int,  # of the caption in their list
    variant: str,  # its name
) -> str:
    """Name the file of a clip."""
    return f"{place:02d}-{variant}.webp"


def draw_missing(store: ClipStore, renderer: ClipRenderer, variants: list, scenes: list):
    """Draw and analyse the clips that are missing."""
    places = list(range(len(scenes)))
    batches = [places[i : i + BATCH] for i in range(0, len(places), BATCH)]
    work = [(batch, variant) for batch in batches for variant in variants]
    before = store.manifest["seconds"]
    start = time.perf_counter()
    for batch, variant in tqdm(work, desc="drawing"):
        names = [file_name(place, variant.name) for place in batch]
        if all(map(store.has, names)):
            continue
        drawn = renderer.draw(variant, [scenes[place] for place in batch])
        for place, name, (frames, facts) in zip(batch, names, drawn):
            analysis = renderer.analyse(variant, scenes[place], frames)
            store.clips[name] = facts | dict(variant=variant.name, caption=place) | analysis
            store.save(seconds=round(before + time.perf_counter() - start, 1))
            store.picture(name, strip(frames))


def draw_front(store: ClipStore, settings: Settings, variants: list, captions: list):
    """Make the front page's pictures: a clip that moves, real, ours, and with reuse from about step 200."""
    place = next((i for i, caption in enumerate(captions) if caption["kind"] == "moves"), 0)
    reused = min((s for s in variants if s.method == "reuse"), key=lambda s: abs(s.switch_step - 200))
    pictures = []
    for what, name in dict(real="real", ours="ours", reuse=reused.name).items():
        files = dict(moving=f"front-{what}.webp", still=f"front-{what}-still.webp")
        pictures.append(dict(what=what, variant=name) | files)
    store.save(front=dict(caption=place, pictures=pictures))
    for picture in pictures:
        clip = np.asarray(Image.open(store.folder / file_name(place, picture["variant"])))
        images = [Image.fromarray(frame) for frame in np.split(clip, settings.num_frames, 1)]
        times = [1000 // FPS] * (len(images) - 1) + [HOLD * 1000 // FPS]
        moving = dict(save_all=True, append_images=images[1:], duration=times, loop=0)
        store.picture(picture["moving"], images[0], **moving)
        store.picture(picture["still"], images[-1])


def fingerprint_of_animatediff(folder) -> str:
    """Identify AnimateDiff's modules by their files."""
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise UserError(
            f"animatediff={folder}: no *.safetensors is there", "name the folder of a saved MotionAdapter"
        )
    return fingerprint(*files)


def check_keeps_animatediff(store: ClipStore, weights: dict):
    """Refuse to delete AnimateDiff's clips when no modules are at hand to draw them anew."""
    if "animatediff" in store.manifest.get("weights", {}) and "animatediff" not in weights:
        raise UserError(
            f"{store.folder}: AnimateDiff's clips are stored there, and its modules are not at hand",
            "name their folder with --animatediff, or delete these clips with --without-animatediff",
        )


def draw_all(
    out,  # folder of the clips
    settings: Settings,
    animatediff=None,  # folder of AnimateDiff's modules, trained on this base; None leaves them out
    drop_animatediff: bool = False,  # delete AnimateDiff's stored clips where its modules are left out
) -> dict:  # the manifest
    """Draw all clips that are missing."""
    weights = weights_of(settings.backbone)
    if animatediff:
        weights["animatediff"] = fingerprint_of_animatediff(animatediff)
    with alone_in(out, "draws there"):
        discard_remains(out)
        store = ClipStore(out)
        if not drop_animatediff:
            check_keeps_animatediff(store, weights)
        # All that may fail comes before stored clips are deleted.
        renderer = ClipRenderer(settings, animatediff)
        scenes = choose_scenes(settings)
        variants = variants_of(settings, renderer.timesteps, bool(animatediff))
        captions = []
        for i in scenes:
            scene = renderer.world.scene(i)
            motion = round(resolve_motion("auto", [scene.caption]).item(), 3)
            captions.append(dict(text=scene.caption, scene=i, kind=scene.motion, motion=motion))
        store.begin(identity(settings, weights))
        store.save(
            size=renderer.size,
            guidance=renderer.guidance,
            timesteps=renderer.timesteps,
            captions=captions,
            variants=[asdict(variant) for variant in variants],
        )
        draw_missing(store, renderer, variants, scenes)
        draw_front(store, settings, variants, captions)
        size = sum((store.folder / name).stat().st_size for name in files_of(store.manifest))
        if size > LIMIT:
            raise UserError(f"{out}: the clips have {size / 2**20:.1f} MB; allowed are {LIMIT / 2**20:g}")
        store.save(complete=True, bytes=size, provenance=provenance())
    return store.manifest


def main():
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=results_of("explorer"), help="folder of the clips")
    modules = parser.add_mutually_exclusive_group()
    modules.add_argument(
        "--animatediff",
        default=trained_rival(),
        help="folder of AnimateDiff's modules, as `motionrepro train ablations` trains them on the base",
    )
    modules.add_argument(
        "--without-animatediff",
        action="store_true",
        help="leave AnimateDiff out, and delete its clips where some are stored",
    )
    given = parser.parse_args()
    animatediff = None if given.without_animatediff else given.animatediff
    torch.set_num_threads(1)
    try:
        made = draw_all(given.out, default_settings(), animatediff, given.without_animatediff)
    except UserError as e:
        raise SystemExit(f"{e}\n{e.hint}") from e
    left_out = "" if animatediff else "; AnimateDiff was left out"
    print(
        f"{given.out}: {len(made['clips'])} clips, {made['bytes'] / 2**20:.1f} MB, "
        f"drawn in {made['seconds'] / 60:.0f} minutes{left_out}"
    )


if __name__ == "__main__":
    main()
