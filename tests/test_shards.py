"""Videos encoded into shards: killed, damaged, changed, by several processes, and read back by trainings."""

import functools
import json
import multiprocessing
import os
import runpy
import signal
import tarfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import cli, one_line_and_a_hint

WAITING = multiprocessing.get_context("forkserver")  # imports PyTorch once for all processes that are killed
WAITING.set_forkserver_preload(["motionrepro.data.shards"])
OPTIONS = dict(size=32, num_frames=4, interval=1, clips=2, seed=0)


def write_videos(folder, n, frames=8):
    """Write videos of noise that moves, with their captions."""
    from motionrepro.core import generator
    from motionrepro.data.video import write_video

    for k in range(n):
        noise = torch.rand(1, 3, 32, 32, generator=generator(k)).repeat(frames, 1, 1, 1)
        write_video(folder / f"{k:03d}.gif", torch.stack([f.roll(k * i, -1) for i, f in enumerate(noise)]))
        (folder / f"{k:03d}.txt").write_text(f"number {k}")
    return folder


def encode(video, caption, seconds=0.0, bad=None, log=None):
    """Stand in for autoencoder and text encoder; may be slow, and raise at one caption."""
    time.sleep(seconds)
    if caption == bad:
        raise RuntimeError("the encoder fails")
    if log:
        with open(log, "a") as f:
            f.write(f"{caption}\n")
    text = np.frombuffer(caption.encode().ljust(20), dtype=np.uint8)[None]
    motion = (video[1:] - video[:-1]).abs().mean().item()
    return dict(latents=video[..., ::8, ::8].numpy(), text=text, motion=motion)


def normalizer(raw):
    """The percentiles of raw scores, as the real command has them."""
    from motionrepro.training.prepare import fitted_normalizer

    found = fitted_normalizer(raw, "")
    return dict(low=found.low, high=found.high, percentiles=found.percentiles, n=found.n, source="")


def prepare(videos, folder, processes=1, options=OPTIONS, shard_size=4, address=None, **how):
    """Prepare a folder of videos with the stand-in."""
    from motionrepro.data.shards import find_videos, prepare_shards

    found, left_out = find_videos(videos)
    return prepare_shards(
        found,
        folder,
        functools.partial(encode, **how),
        np.zeros((1, 20)),
        dict(vae="a"),
        options,
        normalizer,
        left_out,
        shard_size,
        processes,
        address,
    )


def contents(folder):
    """All that lies in a folder of shards, by name."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith("."))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of 14 videos, of which the last is too short and one is none."""
    folder = write_videos(tmp_path_factory.mktemp("videos"), 14)
    write_videos(folder / "short", 1, frames=2)
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "broken.txt").write_text("nothing")
    return folder


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory):
    """Shards of these videos, made by one process without a disturbance."""
    folder = tmp_path_factory.mktemp("shards") / "whole"
    result = prepare(videos, folder)
    assert (result["videos"], result["clips"], len(result["left_out"])) == (14, 28, 2)
    return folder


# preparing


def test_three_processes_leave_the_bytes_of_one(videos, whole, tmp_path):
    prepare(videos, tmp_path / "three", processes=3)
    assert contents(tmp_path / "three") == contents(whole)


def test_percentiles_are_those_of_all_clips(whole):
    from motionrepro.data.shards import ShardReader, read_shards

    scores = []
    for epoch in range(2):
        reader = ShardReader(whole)
        scores += [clip["motion"] for clip in reader.read(epoch * len(reader), len(reader))]
    values = read_shards(whole)["normalizer"]
    low, high = np.percentile(np.array(scores, dtype=np.float64), (5, 95))
    assert values["n"] == len(scores) == 28 and (values["low"], values["high"]) == (low, high)


def test_the_shard_size_changes_no_percentile(videos, whole, tmp_path):
    from motionrepro.data.shards import read_shards

    prepare(videos, tmp_path / "other", shard_size=3)
    assert read_shards(tmp_path / "other")["normalizer"] == read_shards(whole)["normalizer"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_that_raises_leaves_whole_shards(processes, videos, whole, tmp_path):
    folder = tmp_path / "shards"
    with pytest.raises(RuntimeError, match="the encoder fails"):
        prepare(videos, folder, processes, bad="number 9")
    assert not [p for p in contents(folder) if ".new-" in p]
    log = tmp_path / "log"
    prepare(videos, folder, log=log)
    assert contents(folder) == contents(whole)
    assert "number 0" not in log.read_text().splitlines()  # the first shard was kept


def test_killed_and_gone_on(videos, whole, tmp_path):
    folder = tmp_path / "shards"
    process = WAITING.Process(target=prepare, args=(videos, folder), kwargs=dict(seconds=0.05))
    process.start()
    deadline = time.monotonic() + 300
    while not (folder / "index" / "000001.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = {p.stem for p in (folder / "index").glob("*.json")}
    assert {"000000", "000001"} <= done < {f"{k:06d}" for k in range(4)}, "not killed in the middle"
    log = tmp_path / "log"
    result = prepare(videos, folder, log=log)
    assert contents(folder) == contents(whole) and not list(folder.rglob(".new-*"))
    assert result["made"] == 2 * (4 - len(done))
    again = {int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("number")}
    assert not again & set(range(4 * 2))


def kill_worker():
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """An argument that no worker survives unpacking."""

    def __reduce__(self):
        return kill_worker, ()


def test_a_killed_worker_is_said(videos, whole, tmp_path):
    from motionrepro.core import UserError

    folder = tmp_path / "shards"
    with pytest.raises(UserError, match="a process that encodes was killed"):
        prepare(videos, folder, 2, seconds=Killer())
    prepare(videos, folder)
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize("damage", ["truncated", "changed", "lost", "index"])
def test_a_damaged_shard_is_found_and_made_anew(damage, videos, whole, tmp_path):
    folder = tmp_path / "shards"
    prepare(videos, folder)
    tar = folder / "clip1" / "000002.tar"
    good = tar.read_bytes()
    if damage == "truncated":
        tar.write_bytes(good[:-2000])
    elif damage == "changed":
        tar.write_bytes(good[:700] + bytes([good[700] ^ 1]) + good[701:])
    elif damage == "lost":
        tar.unlink()
    else:
        (folder / "index" / "000002.json").write_text("{")
    log = tmp_path / "log"
    assert prepare(videos, folder, log=log)["made"] == 2
    assert contents(folder) == contents(whole) and len(log.read_text().splitlines()) == 8


def test_a_changed_caption_makes_its_shard_anew(tmp_path):
    from motionrepro.data.shards import ShardReader

    videos = write_videos(tmp_path / "videos", 6)
    prepare(videos, tmp_path / "shards", shard_size=2)
    (videos / "003.txt").write_text("number 33")
    log = tmp_path / "log"
    assert prepare(videos, tmp_path / "shards", shard_size=2, log=log)["made"] == 2
    assert set(log.read_text().split("\n")[:-1]) == {"number 2", "number 33"}
    said = {clip["caption"] for clip in ShardReader(tmp_path / "shards").read(0, 6)}
    assert said == {f"number {k}" for k in (0, 1, 2, 33, 4, 5)}


def test_two_runs_in_one_folder_are_refused(videos, tmp_path):
    from motionrepro.core import UserError

    folder = tmp_path / "shards"
    process = WAITING.Process(target=prepare, args=(videos, folder), kwargs=dict(seconds=0.1))
    process.start()
    deadline = time.monotonic() + 300
    while not (folder / "index").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    with pytest.raises(UserError, match="another process prepares it"):
        prepare(videos, folder)
    process.join(300)
    assert process.exitcode == 0 and prepare(videos, folder)["made"] == 0


def test_what_was_left_out_is_reported(whole):
    report = json.loads((whole / "report.json").read_text())
    assert report["left_out"]["broken.mp4"].startswith("not a video")
    assert report["reasons"] == {"not a video": 1, "too short": 1} and report["videos"] == 14


# reading


def test_the_tars_are_webdatasets(whole):
    webdataset = pytest.importorskip("webdataset")
    from motionrepro.data.shards import ShardReader

    files = [str(p) for p in sorted((whole / "clip0").glob("*.tar"))]
    loaded = list(webdataset.WebDataset(files, shardshuffle=False).decode())
    assert len(loaded) == 14 and len({sample["__key__"] for sample in loaded}) == 14
    ours = {clip["id"]: clip for clip in ShardReader(whole).read(0, 14)}
    for sample in loaded:
        clip = ours[sample["json"]["id"]]
        assert np.array_equal(sample["latents.npy"], clip["latents"])
        assert np.array_equal(sample["text.npy"], clip["text"])
        assert sample["json"]["motion"] == clip["motion"]


def test_an_epoch_shows_each_video_once_and_the_next_its_other_clip(whole):
    from motionrepro.data.shards import ShardReader

    epochs = [[clip["id"] for clip in ShardReader(whole).read(14 * e, 14)] for e in range(4)]
    for ids in epochs:
        assert len({name.split(" from ")[0] for name in ids}) == 14
    assert set(epochs[0]) == set(epochs[2]) and set(epochs[1]) == set(epochs[3])
    assert len(set(epochs[0]) & set(epochs[1])) < 14
    assert epochs[0] != epochs[2]


def test_each_epoch_has_its_blocks_in_another_order(whole):
    from motionrepro.core import read_json
    from motionrepro.data.shards import ShardReader, index_file

    block_of = {name: b for b in range(4) for name in read_json(index_file(whole, b))["names"]}
    reader = ShardReader(whole, mix=1)
    orders = set()
    for epoch in range(8):
        names = [clip["id"].split(" from ")[0] for clip in reader.read(14 * epoch, 14)]
        orders.add(tuple(dict.fromkeys(block_of[name] for name in names)))
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders) and len(orders) > 2


def test_shards_of_other_networks_are_refused(whole, tmp_path, capsys):
    assert cli("train adapter --out", tmp_path / "mine", "--data", whole, "--device cpu --samples 3") == 2
    assert "samples=3: " in capsys.readouterr().err
    assert cli("train adapter --out", tmp_path / "mine", "--data", whole, "--device cpu") == 2
    messages = capsys.readouterr().err.split("\r")[-1].split("\n", 1)[1]  # after the bar of the base
    assert one_line_and_a_hint(messages) and not (tmp_path / "mine").exists()
    assert "was encoded by another autoencoder and text encoder than that of backbone='tiny'" in messages


def batches(folder, world, rank, first, steps, seed=0):
    """The clips of a process's steps."""
    from unittest import mock

    from motionrepro.training.prepare import ClipStream

    stream = ClipStream(folder, 3, accumulation=2 // world, seed=seed)
    state = type("State", (), dict(num_processes=world, process_index=rank))
    with mock.patch("motionrepro.training.prepare.PartialState", return_value=state):
        return [
            [stream.next_batch(step)["ids"] for _ in range(2 // world)]
            for step in range(first, first + steps)
        ]


def test_the_order_depends_on_the_seed_and_not_on_the_number_of_processes(whole):
    alone = batches(whole, 1, 0, 0, 7)
    shared = [batches(whole, 2, rank, 0, 7) for rank in range(2)]
    assert alone == [[a, b] for (a,), (b,) in zip(*shared)]
    assert batches(whole, 1, 0, 0, 7, seed=1) != alone


def test_reading_goes_on_in_the_middle_of_an_epoch(whole):
    assert batches(whole, 1, 0, 4, 5) == batches(whole, 1, 0, 0, 9)[4:]


def large(folder, blocks, samples):
    """Made-up shards of 64 kB latents."""
    from motionrepro.data.shards import index_file, make_block

    def clip(i):
        arrays = dict(latents=np.full((8, 4, 32, 32), i), text=np.zeros((1, 4)))
        return arrays | dict(motion=0.1, caption="", cut=False, id=f"{i}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("motionrepro.data.shards.video_clips", lambda name, *_: [clip(int(name))])
        patch.setattr("motionrepro.data.shards.block_contents", lambda videos: {})
        for b in range(blocks):
            rows = [(f"{b * samples + i}", None, ()) for i in range(samples)]
            made = make_block(b, rows, folder, None, dict(clips=1), {})
            assert made[1] and index_file(folder, b).exists()
    common = dict(finished=True, counts=[samples] * blocks, options=dict(clips=1))
    (folder / "shards.json").write_text(json.dumps(common))
    return folder


def test_memory_does_not_grow_with_the_data(tmp_path):
    from motionrepro.data.shards import ShardReader

    peaks = []
    for blocks in (4, 40):
        folder = large(tmp_path / f"{blocks}", blocks, 16)
        tracemalloc.start()
        reader = ShardReader(folder)
        seen = [clip["id"] for start in range(0, len(reader), 8) for clip in reader.read(start, 8)]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(set(seen)) == 16 * blocks
    assert peaks[1] < 1.3 * peaks[0] < 40 * 16 * 65536, peaks


def large_latents(video, caption):
    """256 kB for each clip."""
    return dict(latents=np.zeros((2, 4, 128, 128)), text=np.zeros((1, 20)), motion=0.1)


def test_memory_of_preparing_does_not_grow_with_the_data(tmp_path):
    from motionrepro.data.layouts import CaptionedVideos
    from motionrepro.data.shards import prepare_shards

    (path,) = write_videos(tmp_path / "videos", 1).glob("*.gif")
    peaks = []
    for n in (8, 64):
        names = [f"{k:03}.gif" for k in range(n)]
        videos = CaptionedVideos(
            "videos", "txt", "", dict.fromkeys(names, path), dict.fromkeys(names, ("a",))
        )
        given = (large_latents, np.zeros((1, 20)), dict(vae="a"), OPTIONS | dict(clips=1), normalizer)
        tracemalloc.start()
        result = prepare_shards(videos, tmp_path / f"{n}", *given, shard_size=8)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert result["clips"] == n
    assert peaks[1] < 1.3 * peaks[0] < 64 * 2**17, peaks


# on the command line


SETTINGS = "--size 32 --num-frames 2 --interval 1 --device cpu"


def test_prepare_and_train_on_the_command_line(tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 3)
    (videos / "2.txt").unlink(missing_ok=True)
    write_videos(videos / "silent", 1)
    (videos / "silent" / "000.txt").unlink()
    line = f"data prepare {videos} --out {tmp_path / 'shards'} {SETTINGS} --clips 2 --processes 1"
    assert cli(line) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith(f"{tmp_path / 'shards'}: 3 of 4 videos, 2 clips of each, in 2 shards (2 made")
    assert out[-1].endswith(f"left out: 1 no caption; see {tmp_path / 'shards' / 'report.json'}")
    assert cli(line) == 0 and "(0 made, 2 were there)" in capsys.readouterr().out
    train = f"train adapter --data {tmp_path / 'shards'} --out {tmp_path / 'mine'} --steps 1 --device cpu"
    assert cli(train, f"--checkpoints {tmp_path / 'state'} --set batch=2 precision=fp32") == 0
    assert (tmp_path / "mine" / "diffusion_pytorch_model.safetensors").is_file()
    assert "6 clips" in capsys.readouterr().out and not (tmp_path / "state" / "shards").exists()
    (tmp_path / "shards" / "clip1" / "000000.tar").unlink()
    assert cli(train, f"--checkpoints {tmp_path / 'other'}") == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "000000.tar: is lost" in messages


def test_tars_of_videos_are_a_source(tmp_path, capsys):
    videos = write_videos(tmp_path / "videos", 3)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for file in sorted(videos.iterdir()):
            tar.add(file, file.name)
    for source in (tmp_path / "a.tar", videos):
        out = tmp_path / f"of-{source.name}"
        assert cli(f"data prepare {source} --out {out} {SETTINGS} --processes 1") == 0
    from motionrepro.data.shards import ShardReader

    packed, plain = (ShardReader(tmp_path / f"of-{name}").read(0, 3) for name in ("a.tar", "videos"))
    assert {clip["caption"] for clip in packed} == {clip["caption"] for clip in plain}
    assert capsys.readouterr().out.count(": 3 of 3 videos, 1 clip of each") == 2


def test_a_source_of_links_odd_names_and_long_captions_that_holds_its_shards(tmp_path, capfd):
    source = tmp_path / "source"
    videos = write_videos(tmp_path / "elsewhere", 2)
    source.mkdir()
    (source / "there").symlink_to(videos)
    (source / "again").symlink_to(source)
    (source / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (videos / "001.txt").write_text(" ".join(["a red ball"] * 40))
    try:
        os.rename(os.fsencode(videos / "000.gif"), os.fsencode(videos) + b"/caf\xe9.gif")
        os.rename(os.fsencode(videos / "000.txt"), os.fsencode(videos) + b"/caf\xe9.txt")
    except OSError:
        pytest.skip("this file system takes no such names")
    line = f"data prepare {source} --out {source / 'shards'} {SETTINGS}"
    said = "the caption of 1 clip is cut off at the text encoder's length; left out: 1 link to nothing"
    for processes, made in ((2, 1), (1, 0)):
        assert cli(line, f"--processes {processes}") == 0
        out, messages = capfd.readouterr()
        assert ": 2 of 3 videos" in out and f"({made} made" in out and said in out
        assert "warn" not in messages.lower()
    report = json.loads((source / "shards" / "report.json").read_text())
    assert report["cut_captions"] == 1 and report["left_out"] == {"gone.mp4": "link to nothing"}
    train = (
        f"train adapter --data {source} --out {source / 'mine'} --checkpoints {source / 'state'} --steps 1"
    )
    same = "--set size=32 num_frames=2 interval=1 batch=1 precision=fp32 --device cpu --processes 1"
    for _ in range(2):
        assert cli(train, same, "--validation 0.6") == 0
    held_out = (source / "mine" / "held-out.txt").read_bytes()
    assert held_out in (b"there/caf\xe9.gif\n", b"there/001.gif\n")
    assert "set aside" not in capfd.readouterr().out
    assert cli(train, same, "--samples 1 --out", tmp_path / "other") == 0
    assert "set aside, by the seed, for samples=1: 1 of 2 videos" in capfd.readouterr().out


@pytest.mark.parametrize(
    "more, reason",
    [
        ("videos --out shards --size 33", "size=33 is not a multiple of 8"),
        ("videos --out shards --num-frames 1", "num_frames=1 is outside [2"),
        ("videos --out shards --clips 0", "clips=0 is outside [1"),
        ("videos --out shards --interval 0", "interval=0 is outside [1"),
        ("videos --out shards --seed -1", "seed=-1 is outside [0"),
        ("videos --out shards --shard-size 0", "shard_size=0 is outside [1"),
        ("videos --out shards --processes 0", "processes=0 is outside [1"),
        ("videos --out videos", "holds 000.gif and no shards.json"),
        ("videos --out videos/000.gif", "is a file"),
        ("nowhere --out shards", "nowhere: no such file or folder"),
        ("table.csv --out shards", "table.csv' is no video, and no tar"),
        ("videos --out shards --captions none.csv", "none.csv': no such file"),
        ("videos --out shards --num-frames 40", "none of 2 files has a usable clip"),
        ("videos", "--out"),
    ],
)
def test_prepare_mistakes(more, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_videos(tmp_path / "videos", 2)
    (tmp_path / "table.csv").write_text("videoid,page_dir,name\n")
    there = set(tmp_path.rglob("*"))
    usual = " ".join(f"--{k} {v}" for k, v in dict(size=32, device="cpu").items() if f"--{k}" not in more)
    assert cli(f"data prepare {more} {usual}") == 2
    messages = capsys.readouterr().err.splitlines()
    assert messages[-2].startswith("motionrepro: error: ") and reason in messages[-2], messages
    assert {p for p in tmp_path.rglob("*") if p.name != ".lock"} == there


def test_the_bench_runs(root, tmp_path, monkeypatch):
    report = tmp_path / "bench.json"
    monkeypatch.syspath_prepend(str(root / "bench"))
    monkeypatch.setattr("sys.argv", ["shards.py", "--smoke", "--output", str(report)])
    runpy.run_path(str(root / "bench" / "shards.py"), run_name="__main__")
    assert set(json.loads(report.read_text())["values"]["ratios"]) == {"preparing", "reading"}


# on several machines


@pytest.mark.slow
def test_a_machine_of_a_ray_cluster_is_killed(videos, whole, tmp_path, capfd, monkeypatch):
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError:
        pytest.skip("NOT TESTED: Ray is not installed, pip install 'motionrepro[ray]'")
    folder = tmp_path / "shards"
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, path))
    )  # machines import `encode` from here
    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1))
    second = cluster.add_node(num_cpus=1)
    try:
        cluster.wait_for_nodes()
        result = {}

        def work():
            result.update(prepare(videos, folder, shard_size=1, address=cluster.address, seconds=0.3))

        thread = threading.Thread(target=work)
        thread.start()
        deadline = time.monotonic() + 300
        while (
            thread.is_alive() and len(list(folder.glob("index/*.json"))) < 3 and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        before = len(list(folder.glob("index/*.json")))
        cluster.remove_node(second, allow_graceful=False)
        thread.join(400)
        assert not thread.is_alive() and 3 <= before < 16, before
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert result["videos"] == 14
    undisturbed = tmp_path / "undisturbed"
    prepare(videos, undisturbed, shard_size=1)
    assert contents(folder) == contents(undisturbed)


@pytest.mark.slow
def test_a_cluster_that_works_in_another_folder_is_given_whole_paths(tmp_path, monkeypatch):
    Cluster = pytest.importorskip("ray.cluster_utils", reason="NOT TESTED: Ray is not installed").Cluster
    write_videos(tmp_path / "here" / "videos", 3)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1))
    try:
        cluster.wait_for_nodes()
        monkeypatch.chdir(tmp_path / "here")
        line = f"data prepare videos {SETTINGS} --shard-size 2"
        assert cli(f"{line} --out shards --address {cluster.address}") == 0
        assert cli(f"{line} --out alone --processes 1") == 0
    finally:
        cluster.shutdown()
    assert contents(tmp_path / "here" / "shards") == contents(tmp_path / "here" / "alone")
    assert not list((tmp_path / "elsewhere").iterdir())
