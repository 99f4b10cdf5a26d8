"""Options that several commands have, and how they are spelt."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from motionrepro import __version__

BACKBONES = (
    "tiny, tiny-128, sd15, sd21, a folder in diffusers' layout, a single .safetensors file, "
    "or owner/name of the hub"
)
MOST_PIXELS = 4096  # height and width of frames; a typing error should not fill the memory


def print_version(wanted: bool):
    """Print the version and stop, if that was asked for."""
    if wanted:
        print(f"motionrepro {__version__}")
        raise typer.Exit()


# of the program
Version = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and stop.")
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show where an error comes from, unless an option is wrong; stands anywhere in a command.",
    ),
]

# of a model
Backbone = Annotated[str, typer.Option(metavar="NAME", help=f"{BACKBONES}.")]
Adapter = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="A saved adapter, its owner/name on the hub, or none. AnimateDiff's published motion modules "
        "are one, too: a folder or owner/name of diffusers' format MotionAdapter.",
        show_default="the one in the backbone's folder, if there is one",
    ),
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda, ...", show_default="cuda where there is one")
]
Dtype = Annotated[
    Literal["float32", "float16", "bfloat16"], typer.Option(help="Floating type of the weights in memory.")
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never ask the model hub, use what was downloaded before.")
]

Config = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of a single file: sd15, sd21 (2.1-base), or a base in diffusers' layout of its kind.",
        show_default="what the file tells",
    ),
]
AllowPickles = Annotated[
    bool,
    typer.Option(
        "--allow-pickles",
        help="Read a base's weights from pickles where there is nothing else; they can run any code.",
    ),
]

# of sampling
Prompt = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT", help="What to draw; the tiny models know the words of the world's captions."
    ),
]
OptionalPrompt = Annotated[
    str | None,
    typer.Argument(
        metavar="PROMPT", help="What to show; the tiny models know the words of the world's captions."
    ),
]
NegativePrompt = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What guidance leads away from.", show_default="an empty text"),
]
Steps = Annotated[int, typer.Option(metavar="N", help="Denoising steps, 1 to 1000.")]
Guidance = Annotated[
    float | None,
    typer.Option(
        metavar="SCALE",
        help="Classifier-free guidance, at least 0; 1 is none.",
        show_default="what suits the backbone; 7.5 for Stable Diffusion",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the noise, at least 0.")]
ClipFrames = Annotated[
    int | None,
    typer.Option(metavar="N", help="Frames, at least 2.", show_default="8; 16 with --reuse"),
]
ContextLength = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Frames that see each other, from 2: longer clips are denoised by windows of so many. "
        "Not with --reuse.",
        show_default="what the adapter takes: 16, AnimateDiff's 32",
    ),
]
ContextOverlap = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Frames that a window shares with the next, from 1 to one less than its length. "
        "Not with --reuse.",
        show_default="a quarter of a window",
    ),
]
Rho = Annotated[
    float, typer.Option(metavar="RHO", help="Correlation of neighbouring frames' noise, in [0, 1).")
]
Motion = Annotated[
    str,
    typer.Option(
        metavar="SCORE", help="How much the clip should move, 0 to 1; auto reads it from the prompt."
    ),
]
Reuse = Annotated[
    bool,
    typer.Option(
        "--reuse",
        help="Denoise only the first frames in full, and begin the others where these lead (paper B).",
    ),
]
Mtn = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="A motion network of train mtn, for reuse; none takes the raw features' motion.",
        show_default="the one in the backbone's folder, if there is one",
    ),
]
Dss = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="A step selector of train dss, for reuse; none takes equation 12 on observed errors.",
        show_default="the one in the backbone's folder, if there is one",
    ),
]
References = Annotated[
    int | None,
    typer.Option(
        metavar="R",
        help="With --reuse: frames that are denoised in full, at least 2.",
        show_default="4, or all but one",
    ),
]
ReferencesEvery = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="With --reuse: begin with fresh references every K frames.",
        show_default="never while the networks take the clip, else 16 or as many as they take",
    ),
]
SwitchStep = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="With --reuse: timestep where the others begin, or the nearest one there is; or auto.",
        show_default="200, paper B's best",
    ),
]
Fps = Annotated[
    float, typer.Option(metavar="RATE", help="Frames per second of the file, at most 50 in a GIF.")
]

# of a clip that is read from a file
Clip = Annotated[str, typer.Argument(metavar="CLIP", help="Video file.")]
NumFrames = Annotated[int, typer.Option(metavar="N", help="Frames of the clip, at least 2.")]
Interval = Annotated[int, typer.Option(metavar="N", help="Take every Nth frame of the file, at least 1.")]
Start = Annotated[int, typer.Option(metavar="N", help="First frame, from 0.")]
GivenPrompt = Annotated[
    str,
    typer.Option("--prompt", metavar="TEXT", help="What the clip shows; without it there is no guidance."),
]
Noise = Annotated[
    Literal["independent", "ar", "shared", "inversion"],
    typer.Option(help="How the clip's frames get their noise: tied as named, or what DDIM inversion finds."),
]
Window = Annotated[
    int | None,
    typer.Option(
        metavar="R",
        help="Without a motion network: match positions at most R apart, which takes less memory and time.",
        show_default="all with all",
    ),
]

# of videos with captions
Captions = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="WebVid's .csv, MSR-VTT's .json, a split list .txt of UCF-101; or the layout by name: txt, "
        "webvid, ucf101 or msrvtt.",
        show_default="what is recognised",
    ),
]
CaptionFromName = Annotated[
    bool,
    typer.Option(
        "--caption-from-name",
        help="A video without a caption gets the words of its name, and is not left out.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Processes that decode and encode, at least 1.",
        show_default="one for each core; on a GPU 1",
    ),
]

# of stored results
Checkpoints = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Folder for the state of the work, to go on from.", show_default="checkpoints"
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the numbers there, too; - prints them instead of the table."
    ),
]
Profile = Literal["smoke", "tiny", "paper"]

LISTS = ("--only", "--set", "--extractor")  # options that take several values


def spread_lists(
    arguments: list,  # as typed
) -> list:  # as Typer reads them
    """`--only a b` becomes `--only a --only b`."""
    spread = []
    option = None
    for k, argument in enumerate(arguments):
        if argument == "--":
            return spread + arguments[k:]
        if argument.startswith("-"):
            option = argument if argument in LISTS else None
        elif option and spread[-1] != option:
            spread.append(option)
        spread.append(argument)
    return spread


class Command(TyperCommand):
    """A command that refuses empty values, but for --prompt: a shell's unset variables give them."""

    def invoke(self, ctx):
        parameters: list[Any] = self.params
        for parameter in parameters:
            value = ctx.params.get(parameter.name)
            values = value if isinstance(value, (list, tuple)) else [value]
            if parameter.default != "" and any(isinstance(v, str) and not v.strip() for v in values):
                raise typer.BadParameter("it is empty", ctx=ctx, param=parameter)
        return super().invoke(ctx)


def videos_of(*sources: str):
    """Yield files, and the videos and tars of folders."""
    from motionrepro.data.video import VIDEO_SUFFIXES, files_below

    for path in map(Path, sources):
        if path.is_dir():
            found, _ = files_below(path)
            yield from (file for file in found if file.suffix.lower() in VIDEO_SUFFIXES | {".tar"})
        else:
            yield path


def files_of(*sources: str | Path | None):
    """Yield files, and those of folders; names that stand for something else have none."""
    for path in (Path(source) for source in sources if source is not None):
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file())


def check_targets(
    targets: dict,  # option -> file that will be written; None and - are left alone
    inputs=(),  # files that are read
):
    """Refuse files that cannot be written, that two options name, or that would replace what is read."""
    from motionrepro.core import UserError, check_writable

    options = {}
    for option, target in targets.items():
        if target in (None, "-"):
            continue
        check_writable(target, inputs)
        taken = options.setdefault(Path(target).resolve(), option)
        if taken != option:
            raise UserError(f"{taken} and {option} both name {target}", "give them different names")


def given(**options) -> dict:
    """The options that were given: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}
