"""Several processes: numbers and clips are those of one, and what is left when one of them is killed."""

import json

import pytest
import torch
from conftest import cli
from test_training import finish, start, start_several


def on_the_command_line(*parts):
    """Run the command line in a process of its own."""
    raise SystemExit(cli(*parts))


def alone_and_together(command, outputs):
    """Run a command in 1, 2 and 3 processes, all at the same time; it takes the name of its output."""
    one, two, three = (command.format(out=out) for out in outputs)
    running = [start(on_the_command_line, one)]
    running += start_several(2, on_the_command_line, two) + start_several(3, on_the_command_line, three)
    return [finish(process) for process in running]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of 9 generated and 11 real clips; one of the generated ones is broken."""
    from motionrepro.core import generator
    from motionrepro.data.video import write_video

    root = tmp_path_factory.mktemp("clips")
    for name, n in (("made", 9), ("real", 11)):
        for k in range(n):
            noise = torch.rand(1, 3, 32, 32, generator=generator(name, k)).repeat(6, 1, 1, 1)
            write_video(
                root / name / f"{k}.gif", torch.stack([f.roll(k * i, 1) for i, f in enumerate(noise)])
            )
    (root / "made" / "4.gif").write_bytes(b"no video")
    (root / "prompts.txt").write_text("a red circle\n" * 9)
    return root


def test_metrics_are_the_same_for_any_number_of_processes(folders, tmp_path):
    outputs = [tmp_path / f"{n}.json" for n in (1, 2, 3)]
    line = f"evaluate {folders}/made {folders}/real --frames 4 --splits 2 --device cpu"
    line += f" --prompts {folders}/prompts.txt --json {{out}}"
    assert alone_and_together(line, outputs) == [0] * 6
    reports = [json.loads(file.read_text()) for file in outputs]
    for report in reports:
        assert list(report["metrics"]) == ["fid", "fvd", "is", "clipsim", "mm", "fc"]
        assert report["metrics"] == reports[0]["metrics"]
        assert report["generated"] == reports[0]["generated"]
    assert reports[0]["generated"]["read"] == 8 and reports[0]["reference"]["read"] == 11


def evaluated(folders, file, batch, stop_after=None):
    """Measure in blocks; what stops it in the middle leaves a state."""
    from motionrepro.core import process_team
    from motionrepro.metrics.evaluate import evaluate, load_networks

    seen = []

    def progress(gathered, total):
        seen.append(gathered.position)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    process_team("cpu")
    made, real = folders / "made", folders / "real"
    networks = load_networks(["fvd", "mm"], device="cpu")
    kept = dict(state=f"{file}.state", save_seconds=0, batch=batch, progress=progress)
    report = evaluate(made, real, ["fvd", "mm"], networks, num_frames=4, **kept)
    if process_team().is_main_process:
        assert process_team().num_processes == 1 or len(seen) == 3  # six files of made at once, and of real
        file.write_text(json.dumps(report))


def test_an_evaluation_goes_on_with_another_number_of_processes(folders, tmp_path):
    assert finish(start(evaluated, folders, tmp_path / "whole.json", 3)) == 0
    file = tmp_path / "parts.json"
    assert finish(start(evaluated, folders, file, 3, 2)) == 1
    assert [finish(process) for process in start_several(2, evaluated, folders, file, 3)] == [0, 0]
    whole, parts = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "parts"))
    assert parts["metrics"] == whole["metrics"] and whole["continued"] == 0 and parts["continued"] == 3


def test_clips_are_the_same_for_any_number_of_processes(tmp_path):
    (tmp_path / "prompts.txt").write_text(
        "\n".join(f"a {c} circle" for c in ("red", "blue", "green", "yellow"))
    )
    outputs = [tmp_path / str(n) for n in (1, 2, 3)]
    line = f"sample {tmp_path}/prompts.txt --out {{out}} --steps 1 --num-frames 2 --format gif --device cpu"
    assert alone_and_together(line, outputs) == [0] * 6
    one, *others = (
        {p.name: p.read_bytes() for p in folder.iterdir() if p.name[0] != "."} for folder in outputs
    )
    assert len(one) == 9 and all(other == one for other in others)
