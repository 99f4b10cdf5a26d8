"""`motionrepro evaluate`: metrics of a folder of generated videos."""

import contextlib
import functools
import sys
from typing import Annotated

import typer

from .messages import print_or_write, print_table, say
from .options import MOST_PIXELS, Device, Json, check_targets, videos_of

ALONE = "fid,fvd,is,mm,fc"  # without prompts


def evaluate(
    generated: Annotated[
        str, typer.Argument(metavar="GENERATED", help="Folder of generated videos, or of tars of videos.")
    ],
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="The same of real videos; read for fid and fvd alone.")
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated: fid, fvd, is, clipsim, mm, fc.",
            show_default=f"{ALONE}; with --prompts all",
        ),
    ] = None,
    num_frames: Annotated[
        int,
        typer.Option(
            "--num-frames", "--frames", metavar="N", help="Frames of a clip: the first ones of each file."
        ),
    ] = 8,
    interval: Annotated[
        int, typer.Option(metavar="N", help="Take every Nth frame of a file, at least 1.")
    ] = 1,
    reference_interval: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="--interval for REFERENCE; 2 for a model that was trained on every second frame.",
            show_default="that of --interval",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Resize the shorter side of all clips, crop to a square.",
            show_default="the size of the first generated clip",
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="For clipsim: a prompt on each line, for the clips in the order of their numbers; or "
            "WebVid's .csv or MSR-VTT's .json.",
            show_default="captions of GENERATED, such as x.txt beside x.mp4",
        ),
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE...",
            help="Networks in local files: inception (for fid), i3d (fvd), c3d (is), or an architecture of "
            "open_clip such as ViT-B-32 (clipsim, fc); NAME=FILE@SHA256 where no checksum is pinned.",
            show_default="those of the embedded world",
        ),
    ] = None,
    splits: Annotated[
        int, typer.Option(metavar="N", help="Parts of the inception score, at most one for each clip.")
    ] = 10,
    device: Device = None,
    json: Json = None,
):
    """
    Measure a folder of generated videos against real ones.

    Reads one clip of every video, in any format and of any size. Tars hold KEY.mp4 and KEY.txt, as
    WebDataset has them; shards of data prepare hold latents, and cannot be measured. Broken and too short
    files are reported and left out; a clip without a prompt is left out of clipsim alone. A name such as
    FID[world] says which network a number comes from: those of the embedded world compare clips of that
    world, and are no substitute for the canonical ones on real video.

    With --json FILE, FILE.state keeps what was gathered, and an interrupted run goes on from there, as long
    as the videos and options are the same. Processes that torchrun or accelerate launch start share the
    clips, and come to the same numbers.

    Example: motionrepro evaluate samples/ real/ --metrics fvd,mm --num-frames 16 --extractor
    i3d=i3d_torchscript.pt --json scores.json
    """
    from motionrepro.core import check_range, process_team
    from motionrepro.metrics.evaluate import METRICS, check_metrics, load_networks
    from motionrepro.metrics.evaluate import evaluate as measure

    if size is not None:
        check_range("size", size, 8, MOST_PIXELS)
    if metrics is None:
        metrics = ",".join(METRICS) if prompts else ALONE
    names = check_metrics([name.strip() for name in metrics.split(",")])
    check_targets({"--json": json}, _files(generated, reference, prompts, extractor or []))
    team = process_team(device)
    with _progress_bar(team.is_main_process) as progress:
        report = measure(
            generated,
            reference,
            names,
            functools.partial(load_networks, names, extractor or [], device),
            num_frames=num_frames,
            interval=interval,
            reference_interval=reference_interval,
            size=size,
            prompts=prompts,
            splits=splits,
            state=f"{json}.state" if json not in (None, "-") else None,
            say=say,
            progress=progress,
        )
    if not team.is_main_process:
        return
    if json:
        print_or_write(json, report)
    if json != "-":
        _print_results(report)


def _files(generated, reference, prompts, extractors):
    """Yield all files that will be read, those of captions and networks among them."""
    for path in videos_of(generated, reference):
        yield path
        yield path.with_suffix(".txt")
    if prompts:
        yield prompts
    for text in extractors:
        file = text.partition("=")[2]
        yield file
        yield file.rpartition("@")[0] or file


@contextlib.contextmanager
def _progress_bar(shown):
    """Yield what `evaluate` calls after each batch: a bar for each folder, on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    bars = {}
    hidden = not (shown and sys.stderr.isatty())
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:

        def show(gathered, total):
            if id(gathered) not in bars:
                bars[id(gathered)] = progress.add_task(["generated", "reference"][len(bars) % 2], total=total)
            progress.update(bars[id(gathered)], completed=gathered.position)

        yield show


def _print_results(report):
    """Print the numbers as a table, and what has to be known about them."""
    rows = []
    for result in report["metrics"].values():
        interval = result["interval"]
        rows.append(
            [
                result["name"],
                f"{result['value']:.4g}",
                f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else "",
                str(result["n"]),
                str(result["frames"]),
                str(result["stride"]),
                result["extractor"] or "none",
            ]
        )
    print_table(["metric", "value", "95%", "clips", "frames", "stride", "network"], rows)
    for result in report["metrics"].values():
        for note in result["notes"]:
            print(f"{result['name']}: {note}")
