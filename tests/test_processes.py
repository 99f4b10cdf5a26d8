"""Several processes: numbers and clips are those of one, and what is left when one of them is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import cli, one_line_and_a_hint
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
            (root / name / f"{k}.txt").write_text("a red circle")
    (root / "made" / "4.gif").write_bytes(b"no video")
    return root


def test_metrics_are_the_same_for_any_number_of_processes(folders, tmp_path):
    outputs = [tmp_path / f"{n}.json" for n in (1, 2, 3)]
    line = f"evaluate {folders}/made {folders}/real --num-frames 4 --splits 2 --device cpu"
    line += " --metrics fid,fvd,is,clipsim,mm,fc --json {out}"
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


def selector_data_of(file):
    """Compute what a selector learns from, of five clips of which two make a batch."""
    from dataclasses import replace

    from motionrepro.core import process_team
    from motionrepro.training.dss import SelectorRecipe, captions_of, selector_data
    from motionrepro.training.mtn import MotionRecipe, new_network
    from test_training import small_base

    team = process_team("cpu")
    base = small_base()
    motion = MotionRecipe(dict(blocks=[0, 1], filter_channels=8), num_frames=4, references=3, size=32)
    recipe = SelectorRecipe(schedule=3, frames=(0, 1, 2, 3))
    clips = dict(captions=captions_of("train", 5, 4), adapter=None)
    network = new_network(replace(motion, references=3), base)
    data = selector_data(network, base, clips, motion, recipe, file, batch=2, progress=False)
    torch.save(data, file.with_suffix(f".{team.process_index}"))


def test_what_a_selector_learns_from_is_the_same_for_one_process_and_two(tmp_path):
    running = [start(selector_data_of, tmp_path / "1.pt")]
    running += start_several(2, selector_data_of, tmp_path / "2.pt")
    assert [finish(process) for process in running] == [0] * 3
    names = ("1.pt", "1.0", "2.pt", "2.0", "2.1")
    one, *others = (torch.load(tmp_path / name, weights_only=True) for name in names)
    assert one["statistics"].shape == (5, 3, 7)
    for other in others:
        assert other["about"] == one["about"]
        assert torch.equal(other["statistics"].nan_to_num(-1), one["statistics"].nan_to_num(-1))
        assert all(torch.equal(other["errors"][k], one["errors"][k]) for k in one["errors"])


def refused_together(folder):
    """Ask two processes for what is one's; write what each was told."""
    import contextlib
    import io

    said = []
    for target in ("text", "clip", "all", "adapter", "ablations"):
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            code = cli(f"train {target} --device cpu --out {folder}/out --checkpoints {folder}/state")
        said.append((target, code, told.getvalue()))
    (folder / f"said-{os.environ['RANK']}.json").write_text(json.dumps(said))


def test_trainings_that_cannot_be_shared_out_are_refused_before_anything_is_computed(tmp_path):
    assert [finish(process) for process in start_several(2, refused_together, tmp_path)] == [0, 0]
    for rank in (0, 1):
        for target, code, told in json.loads((tmp_path / f"said-{rank}.json").read_text()):
            assert code == 2 and one_line_and_a_hint(told)
            assert f"train {target} is for one process, and there are 2" in told
    assert {p.name for p in tmp_path.rglob("*")} == {"said-0.json", "said-1.json"}


def train_a_judge(folder):
    """Train the video encoder for two steps, as the command line does it, on few scenes."""
    import multiprocessing

    from motionrepro.training.base import train_command

    multiprocessing.set_start_method("fork", force=True)  # as in processes of torchrun
    train_command("video", 2, folder / "judges", folder / "state", device="cpu", n=20, pool_length=24)


@pytest.mark.slow
def test_two_processes_train_a_selector_and_a_judge(folders, tmp_path):
    common = f"--device cpu --steps 2 --checkpoints {tmp_path}/state"
    mtn = f"train mtn --data {folders}/real --out {tmp_path}/mtn {common}"
    assert cli(mtn, "--set size=32 num_frames=4 references=3 schedule_steps=1 batch=1") == 0
    dss = f"train dss --data {folders}/real --out {tmp_path}/dss --mtn {tmp_path}/mtn --adapter none {common}"
    running = start_several(2, on_the_command_line, f"{dss} --set schedule=4 batch=4")
    running += start_several(2, train_a_judge, tmp_path)
    assert [finish(process) for process in running] == [0] * 4
    for folder, name in (("dss", "dss"), ("judges/evaluators/video", "video")):
        card = json.loads((tmp_path / folder / "card.json").read_text())
        assert name in card["training"] and card["scores"]["n"] > 0
    log = json.loads((tmp_path / "state" / "video" / "log.json").read_text())
    assert log["config"]["processes"] == 2


def train_until_killed(folder, killed_at=None, seconds=120.0, rank=1):
    """Train a small network for 20 steps together with others; one of them may be killed in the middle."""
    from motionrepro.training.loop import TrainConfig, TrainingError, train

    def loss(model, step, random):
        if step == killed_at and os.environ["RANK"] == str(rank):
            os.kill(os.getpid(), signal.SIGKILL)
        x = torch.randn(16, 4, generator=random)
        return dict(loss=(model(x) - x.sum(1, keepdim=True)).square().mean())

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
    config = TrainConfig(steps=20, lr=0.01, warmup=5, precision="fp32", checkpoint_seconds=seconds)
    try:
        train(
            model,
            loss,
            config,
            folder,
            device="cpu",
            progress=False,
            sample=lambda step: dict(s=step),
            sample_every=6,
        )
    except TrainingError as e:
        (folder / "message").write_text(str(e))
        raise
    torch.save(model.state_dict(), folder / f"final-{os.environ['RANK']}.pt")


def launch(script, folder, *more):
    """Two processes under torchrun that train in a folder."""
    script.write_text(
        f"import pathlib, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"import test_processes as t; t.train_until_killed(pathlib.Path({str(folder)!r}), *{more!r})\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return subprocess.run([*torchrun, script], capture_output=True, text=True, timeout=600)


def same_weights(one, two):
    """Whether the runs in two folders ended alike."""
    files = [[torch.load(f / f"final-{rank}.pt", weights_only=True) for rank in (0, 1)] for f in (one, two)]
    return all(torch.equal(a[k], b[k]) for a, b in zip(*files) for k in a)


@pytest.mark.parametrize("rank", [0, 1])
def test_who_loses_another_process_leaves_a_checkpoint(tmp_path, rank):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    undisturbed = start_several(2, train_until_killed, whole)
    killed = start_several(2, train_until_killed, broken, 13, 120.0, rank)
    ends = [-signal.SIGKILL, 1] if rank == 0 else [1, -signal.SIGKILL]
    assert [finish(process) for process in undisturbed + killed] == [0, 0, *ends]
    assert f"process {1 - rank} of 2 has lost another one at step 13" in (broken / "message").read_text()
    kept = torch.load(broken / "checkpoint.pt", weights_only=True)
    assert kept["step"] == 13 and kept["config"]["processes"] == 2
    assert kept["samples"] == [dict(step=step, s=step) for step in (6, 12)]
    assert [finish(process) for process in start_several(2, train_until_killed, broken)] == [0, 0]
    assert same_weights(whole, broken)


def train_with_a_bad_sample(folder):
    """Train together with others; the first process cannot take a sample at step 6."""
    from motionrepro.training.loop import TrainConfig, TrainingError, train

    def fail(step):
        raise ValueError("no room")

    model = torch.nn.Linear(4, 1)
    config = TrainConfig(steps=6, precision="fp32")
    try:
        train(
            model,
            lambda m, step, random: dict(loss=m(torch.ones(1, 4)).square().mean()),
            config,
            folder,
            device="cpu",
            progress=False,
            sample=fail,
            sample_every=6,
        )
    except TrainingError as e:
        (folder / f"message-{os.environ['RANK']}").write_text(str(e))
        raise


def test_a_sample_that_fails_is_no_lost_process_and_is_taken_again(tmp_path):
    assert [finish(process) for process in start_several(2, train_with_a_bad_sample, tmp_path)] == [1, 1]
    for rank in (0, 1):
        message = (tmp_path / f"message-{rank}").read_text()
        assert message == "step 6: no sample could be taken (ValueError: no room)"
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_worker_ends_the_run_with_its_rank_and_a_checkpoint_that_resumes(tmp_path, rank):
    script = tmp_path / "run.py"
    assert launch(script, tmp_path / "whole").returncode == 0
    killed = launch(script, tmp_path / "broken", 13, 0.0, rank)
    print(killed.stderr)
    assert killed.returncode != 0
    assert f"rank      : {rank} " in killed.stderr and "Signal 9 (SIGKILL)" in killed.stderr
    assert torch.load(tmp_path / "broken" / "checkpoint.pt", weights_only=True)["step"] == 13
    assert launch(script, tmp_path / "broken").returncode == 0
    assert same_weights(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize(
    "name, kind, machines, processes",
    [("ddp", "MULTI_GPU", 1, 8), ("nodes", "MULTI_GPU", 2, 16)],
)
def test_configurations_are_what_accelerate_takes(root, name, kind, machines, processes):
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    config = load_config_from_file(str(root / "configs" / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig) and config.distributed_type == kind
    assert (config.num_machines, config.num_processes) == (machines, processes)
    assert config.mixed_precision == "no" and not config.use_cpu
    assert not any([config.fsdp_config, config.deepspeed_config, config.dynamo_config])


def test_all_configurations_are_tested(root):
    assert {p.stem for p in (root / "configs").iterdir()} == {"ddp", "nodes"}


@pytest.mark.slow
def test_a_configuration_launches_the_command_line(folders, tmp_path, root):
    settings = (
        "--backbone tiny --device cpu --steps 2 --set size=32 num_frames=2 interval=1 warmup=1 clip=100"
    )
    command = f"train adapter --data {folders}/real {settings}"
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        root / "configs" / "ddp.yaml",
        "--num_processes",
        "2",
    ]
    more = f"--gradient-accumulation 2 --out {tmp_path}/two --checkpoints {tmp_path}/state-two"
    several = f"{command} batch=1 {more}".split()
    done = subprocess.run(
        [*launch, "-m", "motionrepro", *several], capture_output=True, text=True, timeout=900
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0 and done.stdout.count("loss of the last tenth") == 1
    one = f"{command} batch=4 --out {tmp_path}/one --checkpoints {tmp_path}/state-one"
    assert cli(one) == 0
    logs = [
        json.loads(next(tmp_path.glob(f"state-{n}/own/*/run/log.json")).read_text()) for n in ("one", "two")
    ]
    assert [(log["config"]["processes"], log["config"]["accumulation"]) for log in logs] == [(1, 1), (2, 2)]
    for a, b in zip(*(log["log"] for log in logs), strict=True):
        for name in ("loss", "grad_norm"):
            assert abs(a[name] - b[name]) <= 1e-3 * abs(a[name])
