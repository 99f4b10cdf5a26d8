"""`motionrepro score`: motion scores of video files and folders."""

import math
from typing import Annotated

import typer

from .messages import print_or_write, print_table, say, track
from .options import MOST_PIXELS, Json, NumFrames, Start, check_targets, videos_of


def score(
    clips: Annotated[
        list[str],
        typer.Argument(metavar="CLIP", help="Video files, or folders searched with all their subfolders."),
    ],
    num_frames: NumFrames = 8,
    interval: Annotated[int, typer.Option(metavar="N", help="Take every Nth frame, at least 1.")] = 2,
    start: Start = 0,
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Resample to RATE frames per second first.",
            show_default="count the file's frames",
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(metavar="PIXELS", help="Resize the shorter side, crop to a square.")
    ] = 256,
    json: Json = None,
    normalizer: Annotated[
        str | None, typer.Option(metavar="FILE", help="Reference percentiles, as --fit saved them.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Take the 5th and 95th percentile of these very clips, and save them to FILE.",
        ),
    ] = None,
):
    """
    Score the motion of video files and folders.

    The difference is the mean absolute difference of neighbouring frames of a clip, pixels in [0, 1]. The
    motion score is where it lies between two reference percentiles, from 0 to 1. By default these are those
    of the moving shapes that ship with this package, so scores tell clips apart, and mean nothing by
    themselves: with clips of your own, make a reference with --fit.

    Broken and too short files in a folder are reported and skipped. A file that is named is an error if it
    is the only one; among others it is skipped too, and the exit status is 1.

    Example: motionrepro score clips/ extra.mp4 --json scores.json
    """
    from dataclasses import asdict

    from motionrepro.core import UserError, check_range

    if normalizer and fit:
        raise UserError("--normalizer and --fit exclude each other", "leave one of them out")
    check_range("num_frames", num_frames, 2)
    check_range("size", size, 8, MOST_PIXELS)
    check_targets({"--fit": fit, "--json": json}, _files(clips, normalizer))
    from motionrepro.temporal.motion import MotionNormalizer, world_normalizer

    reference = MotionNormalizer.load(normalizer) if normalizer else world_normalizer()
    options = dict(num_frames=num_frames, interval=interval, size=size, fps=fps, start=start)
    read, skipped = _read(clips, options)
    raw = _differences(read)
    if fit:
        reference = MotionNormalizer.fit(raw, source=f"{len(read)} clips, {options}")
        reference.save(fit)
    rows = [
        dict(
            file=clip.path,
            frames=clip.available,
            fps=None if math.isnan(clip.fps) else clip.fps,
            frame_difference=difference,
            motion=motion,
            indices=clip.indices,
        )
        for clip, difference, motion in zip(read, raw.tolist(), reference(raw).tolist())
    ]
    if json:
        reasons = [str(error) for error, _ in skipped]
        report = dict(clips=rows, skipped=reasons, settings=options, normalizer=asdict(reference))
        print_or_write(json, report)
    if json != "-":
        _print_scores(rows, reference)
    return int(any(named for _, named in skipped))


def _files(sources, normalizer):
    """Yield all files that will be read."""
    if normalizer:
        yield normalizer
    yield from videos_of(*sources)


def _read(sources, options) -> tuple:  # clips, and (error, whether it was named) of what was skipped
    """Read all clips, and report those that cannot be used."""
    from motionrepro.data.video import VideoError, read_clips

    clips, skipped = read_clips(sources, progress=lambda files: track(files, "reading"), **options)
    if not clips and len(skipped) == 1:
        raise skipped[0][0]
    for error, _ in skipped:
        say("skipped", error)
    if not clips:
        raise VideoError(f"none of {len(skipped)} files could be scored", "the lines above say why")
    return clips, skipped


def _differences(clips):  # `(n,)`
    """Raw scores of clips."""
    import torch

    from motionrepro.temporal.motion import frame_difference

    return torch.cat([frame_difference(clip.video[None]) for clip in clips])


def _print_scores(rows, reference):
    """Print the scores as a table, and what they are relative to."""
    cells = [
        [
            row["file"],
            str(row["frames"]),
            f"{row['fps']:.4g}" if row["fps"] else "?",
            f"{row['frame_difference']:.5f}",
            f"{row['motion']:.3f}",
        ]
        for row in rows
    ]
    print_table(["file", "frames", "fps", "difference", "motion"], cells)
    low, high = reference.percentiles
    print(
        f"\nmotion 0 is a difference of {reference.low:.5f}, motion 1 of {reference.high:.5f}: "
        f"percentiles {low:g} and {high:g} of {reference.n} clips ({reference.source or 'of unknown source'})"
    )
