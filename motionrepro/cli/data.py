"""`motionrepro data prepare`: videos encoded once, into shards to train on."""

from typing import Annotated, Literal

import typer

from .models import loading_options
from .options import AllowPickles, BACKBONES, Captions, CaptionFromName, Config, Device, Processes


def data(
    action: Annotated[Literal["prepare"], typer.Argument(metavar="prepare", help="What to do.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of videos with text files of the same names, or as WebVid, UCF-101 or MSR-VTT come; "
            "or WebDataset tars of videos, KEY.mp4 with KEY.txt or caption in KEY.json.",
        ),
    ],
    out: Annotated[
        str, typer.Option(metavar="DIR", help="Folder for the shards, new or one of theirs; what fits stays.")
    ],
    backbone: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"Base whose autoencoder and text encoder are used: {BACKBONES}."),
    ] = "tiny",
    config: Config = None,
    allow_pickles: AllowPickles = False,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Pixels, a multiple of 8.",
            show_default="64 for tiny, 128 for tiny-128; 256 for all others, whatever they were trained on",
        ),
    ] = None,
    num_frames: Annotated[int, typer.Option(metavar="N", help="Frames of a clip, at least 2.")] = 8,
    interval: Annotated[
        int, typer.Option(metavar="N", help="Take every Nth frame of a video, at least 1.")
    ] = 2,
    clips: Annotated[
        int, typer.Option(metavar="K", help="Clips of each video; epochs take them in turn.")
    ] = 1,
    captions: Captions = None,
    caption_from_name: CaptionFromName = False,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="Seed of the clips' first frames and of the choice among captions, at least 0."
        ),
    ] = 0,
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Videos of a shard, at least 1; that many are encoded again when a process is killed.",
            show_default="8 to 256, by their number",
        ),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Replace shards in DIR that were made with other settings.")
    ] = False,
    processes: Processes = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Ray cluster to encode on, or auto; its machines must see SOURCE and DIR under the same "
            "paths. Needs pip install 'motionrepro[ray]'.",
            show_default="this machine alone",
        ),
    ] = None,
    device: Device = None,
):
    """
    Encode videos once, into shards to train on.

    A shard is a WebDataset tar of latents, text embeddings and raw motion scores, and is whole or absent.
    The same command goes on where it was killed, and encodes anew the videos and captions that have changed;
    other settings or weights need --rebuild, or another DIR. DIR/report.json says what was left out, and why.

    Example: motionrepro data prepare WebVid --out shards --backbone sd15 --clips 4
    """
    from motionrepro.training.adapter import RECIPES
    from motionrepro.training.prepare import clip_options, prepare_command

    if size is None:
        size = RECIPES.get(backbone, RECIPES["paper"]).size
    prepare_command(
        source,
        out,
        clip_options(size, num_frames, interval, clips, seed),
        backbone,
        captions=captions,
        caption_from_name=caption_from_name,
        shard_size=shard_size,
        processes=processes,
        address=address,
        device=device,
        rebuild=rebuild,
        **loading_options(config, allow_pickles),
    )
