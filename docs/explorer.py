"""Draw the clips of the site's explorer: python docs/explorer.py [--out FOLDER] [--animatediff FOLDER]

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
from motionrepro.studies.switching import WAYS
from motionrepro.temporal.motion import resolve_motion
from motionrepro.temporal.noise import RHO, correlated_noise
from motionrepro.temporal.pipeline import MotionAdaptivePipeline
from motionrepro.training.adapter import RECIPES
from motionrepro.training.loop import checkpoints_path

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
class Shot:
    """Name a clip of each caption, and say how it is made."""

    name: str
    method: str = "ours"  # "real", "ours", "reuse", "none" or "animatediff"
    rho: float = RHO
    motion: float | None = None  # None reads it from the caption
    switch_step: int | None = None


def shots_of(
    settings: Settings,
    timesteps: list,  # the schedule
    with_animatediff: bool,
) -> list:
    """List the clips of a caption."""
    shots = [Shot("real", "real"), Shot("ours"), Shot("none", "none")]
    if with_animatediff:
        shots.append(Shot("animatediff", "animatediff"))
    shots += [Shot(f"rho-{rho:g}", rho=rho) for rho in settings.rhos if rho != RHO]
    shots += [Shot(f"motion-{motion:g}", motion=motion) for motion in settings.motions]
    steps = dict.fromkeys(nearest_timestep(timesteps[1:], t) for t in settings.switch_steps)
    return shots + [Shot(f"reuse-{t:g}", "reuse", switch_step=t) for t in steps]


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
    """Identify the code that draws and analyses."""
    return code_hash(MotionAdaptivePipeline, DenoisingReusePipeline, analyse_clip, true_motion, World)


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


class Studio:
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
        shot: Shot,
        scenes: list,  # numbers in the test split
    ) -> list:  # of (frames `f 3 h w`, what is known about them)
        """Draw a clip of each caption."""
        if shot.method == "real":
            clips = [self.world[i]["video"][:: self.settings.interval] for i in scenes]
            return [(video, {}) for video in clips]
        captions = [self.world.scene(i).caption for i in scenes]
        motion = resolve_motion("auto" if shot.motion is None else shot.motion, captions)
        options = dict(
            num_inference_steps=self.settings.steps,
            guidance_scale=self.guidance,
            latents=torch.cat([self.noise(i, shot.rho) for i in scenes]),
            output_type="pt",
        )
        pipe = self.pipes["ours" if shot.method == "reuse" else shot.method]
        if shot.method == "ours":
            pipe.disable()
        if shot.method == "reuse":
            pipe.enable(DenoisingReuseConfig(references=self.settings.references))
            options["switch_step"] = shot.switch_step
        made = pipe(captions, self.settings.num_frames, motion, **options)
        about = [dict(rho=shot.rho, motion=round(m, 3)) for m in motion.tolist()]
        if shot.method == "reuse":
            about = [known | dict(speedup=round(made.ideal_speedup, 3)) for known in about]
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
            motion, known = true_motion(clip["flow"][None, :until], clip["valid"][None, :until], cell)
            fields.append(torch.where(known[:, None], motion * cell, torch.nan)[0])
        return torch.stack(fields)

    def analyse(self, shot: Shot, scene: int, frames: torch.Tensor) -> dict:
        """Measure a clip's NMI and its motion field."""
        self.ours.enable()
        seen = analyse_clip(
            self.ours,
            frames,
            self.world.scene(scene).caption,
            num_inference_steps=self.settings.steps,
            generator=generator(self.settings.seed, "explorer", scene, "analysis"),
        )
        real = shot.method == "real"
        field = self.true_field(scene, seen.flow.shape[-1]) if real else seen.flow
        means = [round(value, 4) for value in seen.nmi[1:].mean(1).tolist()]
        return dict(
            nmi=[None, *means],
            suggested=seen.switch_step,
            how=seen.how,
            grid=list(field.shape[-2:]),
            field=packed(field),
        )


def files_of(
    manifest: dict,  # perhaps of an unfinished set
) -> list:  # of names
    """List the pictures of a set."""
    pictures = manifest.get("front", {}).get("pictures", [])
    return [*manifest.get("clips", {}), *(p[kind] for p in pictures for kind in ("moving", "still"))]


class Shelf:
    """Keep the clips in a folder, with a manifest of what is there."""

    def __init__(self, folder, about: dict):
        self.folder = Path(folder)
        self.file = self.folder / "manifest.json"
        there = read_json(self.file) if self.file.is_file() else {}
        about = json.loads(json.dumps(about))  # tuples are lists
        if any(there.get(name) != value for name, value in about.items()):
            for name in files_of(there):
                (self.folder / name).unlink(missing_ok=True)
            there = about | dict(seconds=0.0, complete=False, clips={})
        self.manifest = there

    @property
    def clips(self) -> dict:  # file name -> what is known
        """List what is there by what the manifest says."""
        return self.manifest["clips"]

    def has(self, name: str) -> bool:
        """Whether a clip is finished."""
        return name in self.clips and (self.folder / name).is_file()

    def picture(self, name: str, image: Image.Image, **options):
        """Write a picture, completely or not at all."""
        with atomic_path(self.folder / name) as temporary:
            image.save(temporary, "WEBP", quality=QUALITY, method=6, **options)

    def save(self, **changes):
        """Write the manifest."""
        self.manifest |= changes
        write_json(self.file, self.manifest)


def file_name(
    place: int,  # of the caption in their list
    shot: str,  # its name
) -> str:
    """Name the file of a clip."""
    return f"{place:02d}-{shot}.webp"


def draw_missing(shelf: Shelf, studio: Studio, shots: list, scenes: list):
    """Draw and analyse what is not there yet."""
    places = list(range(len(scenes)))
    batches = [places[i : i + BATCH] for i in range(0, len(places), BATCH)]
    work = [(batch, shot) for batch in batches for shot in shots]
    for batch, shot in tqdm(work, desc="drawing"):
        names = [file_name(place, shot.name) for place in batch]
        if all(map(shelf.has, names)):
            continue
        start = time.perf_counter()
        drawn = studio.draw(shot, [scenes[place] for place in batch])
        for place, name, (frames, known) in zip(batch, names, drawn):
            known |= dict(shot=shot.name, caption=place) | studio.analyse(shot, scenes[place], frames)
            shelf.picture(name, strip(frames))
            shelf.clips[name] = known
        shelf.save(seconds=round(shelf.manifest["seconds"] + time.perf_counter() - start, 1))


def draw_front(shelf: Shelf, settings: Settings, shots: list, captions: list):
    """Make the front page's pictures: a clip that moves, real, ours, and with reuse from about step 200."""
    place = next((i for i, caption in enumerate(captions) if caption["kind"] == "moves"), 0)
    reused = min((s for s in shots if s.method == "reuse"), key=lambda s: abs(s.switch_step - 200))
    pictures = []
    for what, name in dict(real="real", ours="ours", reuse=reused.name).items():
        clip = np.asarray(Image.open(shelf.folder / file_name(place, name)))
        images = [Image.fromarray(frame) for frame in np.split(clip, settings.num_frames, 1)]
        times = [1000 // FPS] * (len(images) - 1) + [HOLD * 1000 // FPS]
        moving = dict(save_all=True, append_images=images[1:], duration=times, loop=0)
        files = (f"front-{what}.webp", f"front-{what}-still.webp")
        shelf.picture(files[0], images[0], **moving)
        shelf.picture(files[1], images[-1])
        pictures.append(dict(what=what, shot=name, moving=files[0], still=files[1]))
    shelf.save(front=dict(caption=place, pictures=pictures))


def draw_all(
    out,  # folder of the clips
    settings: Settings,
    animatediff=None,  # folder of AnimateDiff's modules, trained on this base; None leaves them out
) -> dict:  # the manifest
    """Draw all clips that are missing."""
    weights = weights_of(settings.backbone)
    if animatediff:
        weights["animatediff"] = fingerprint(*sorted(Path(animatediff).glob("*.safetensors")))
    with alone_in(out, "draws there"):
        discard_remains(out)
        shelf = Shelf(out, dict(settings=asdict(settings), weights=weights, code=code()))
        studio = Studio(settings, animatediff)
        scenes = choose_scenes(settings)
        shots = shots_of(settings, studio.timesteps, bool(animatediff))
        captions = []
        for i in scenes:
            scene = studio.world.scene(i)
            motion = round(resolve_motion("auto", [scene.caption]).item(), 3)
            captions.append(dict(text=scene.caption, scene=i, kind=scene.motion, motion=motion))
        shelf.save(
            size=studio.size,
            guidance=studio.guidance,
            timesteps=studio.timesteps,
            captions=captions,
            shots=[asdict(shot) for shot in shots],
        )
        draw_missing(shelf, studio, shots, scenes)
        draw_front(shelf, settings, shots, captions)
        size = sum((shelf.folder / name).stat().st_size for name in files_of(shelf.manifest))
        if size > LIMIT:
            raise UserError(f"{out}: the clips have {size / 2**20:.1f} MB; allowed are {LIMIT / 2**20:g}")
        shelf.save(complete=True, bytes=size, provenance=provenance())
    return shelf.manifest


def trained_animatediff() -> Path | None:
    """Find AnimateDiff's modules where `motionrepro train ablations` leaves them."""
    folder = checkpoints_path() / "ablations" / "animatediff-0" / "adapter"
    return folder if folder.is_dir() else None


def main():
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=results_of("explorer"), help="folder of the clips")
    parser.add_argument(
        "--animatediff",
        default=trained_animatediff(),
        help="folder of AnimateDiff's modules, as `motionrepro train ablations` trains them on the base",
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    try:
        made = draw_all(given.out, default_settings(), given.animatediff)
    except UserError as e:
        raise SystemExit(f"{e}\n{e.hint}") from e
    left_out = "" if given.animatediff else "; AnimateDiff's modules are not there and were left out"
    print(
        f"{given.out}: {len(made['clips'])} clips, {made['bytes'] / 2**20:.1f} MB, "
        f"drawn in {made['seconds'] / 60:.0f} minutes{left_out}"
    )


if __name__ == "__main__":
    main()
