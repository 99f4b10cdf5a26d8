"""The networks that the page works with, loaded once."""

import inspect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from motionrepro.backbones import EMBEDDED, default_guidance
from motionrepro.cli.models import load_pipeline, loading_options
from motionrepro.diffusion import ddpm_scheduler
from motionrepro.reuse.pipeline import DenoisingReusePipeline
from motionrepro.temporal.pipeline import MotionAdaptivePipeline

FRAMES = 16  # most frames of a clip where no adapter sets a limit


def with_networks_of(pipe, cls, **other):
    """Make a pipeline of another class or with other parts from the networks of one that is loaded."""
    names = inspect.signature(cls).parameters
    parts = {name: part for name, part in pipe.components.items() if name in names}
    made = cls(**parts | other)
    made.set_progress_bar_config(disable=True)
    return made


@dataclass
class Models:
    """A base with its networks, as three pipelines."""

    backbone: str  # as for `load_backbone`
    options: dict  # with which `from_pretrained` loads it, those that are not at their defaults
    reusing: DenoisingReusePipeline  # paper B's pipeline
    which: str  # adapter, in words
    folder: Path  # for results

    @cached_property
    def full(self) -> MotionAdaptivePipeline:
        """Paper A's pipeline, which denoises all frames in full."""
        return with_networks_of(self.reusing, MotionAdaptivePipeline)

    @cached_property
    def analysis_pipeline(self) -> DenoisingReusePipeline:
        """Paper B's pipeline with the noise schedule that a clip is analysed on."""
        scheduler = ddpm_scheduler(self.reusing.backbone)
        return with_networks_of(self.reusing, DenoisingReusePipeline, scheduler=scheduler)

    @property
    def size(self) -> int:
        """Height and width of the clips, in pixels."""
        return self.reusing.backbone.resolution

    @property
    def most_frames(self) -> int:
        """Frames that a clip can have."""
        return min(self.reusing.max_frames or FRAMES, FRAMES)

    @property
    def last_step(self) -> int:
        """The noisiest timestep."""
        return self.reusing.scheduler.config.num_train_timesteps - 1

    @property
    def guidance(self) -> float:
        """The guidance scale that suits the base."""
        return default_guidance(self.backbone)

    @property
    def knows_the_world(self) -> bool:
        """Whether the base was trained on the embedded world's captions."""
        return self.backbone in EMBEDDED


def load_models(
    folder,  # for results
    backbone: str,
    adapter: str | None,  # a folder, "none", or None for the backbone's own
    mtn: str | None,  # the same way
    dss: str | None,
    device: str | None,  # None for the default
    dtype: str,
    offline: bool,
    config: str | None = None,  # of a single file
    allow_pickles: bool = False,
) -> Models:
    """Load a base and its networks."""
    named = (backbone, adapter, "", device, offline, dtype, config, allow_pickles)
    pipe, which = load_pipeline(DenoisingReusePipeline, *named, mtn=mtn, dss=dss)
    pipe.set_progress_bar_config(disable=True)
    networks = dict(adapter=adapter, mtn=mtn, dss=dss)
    options = {name: None if value == "none" else value for name, value in networks.items() if value}
    options |= {"device": device} if device else {}
    options |= {"dtype": dtype} if dtype != "float32" else {}
    options |= {"local_files_only": True} if offline else {}
    options |= loading_options(config, allow_pickles)
    return Models(backbone, options, pipe, which, Path(folder))
