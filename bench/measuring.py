"""What the scripts of this folder measure with."""

import time

import torch
from torch.profiler import ProfilerActivity, profile


def peak(run, device="cpu"):
    """Most bytes allocated at a time while `run` runs, beyond what was there before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = run()
        torch.cuda.synchronize()
        del result
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = run()
    events = sorted(
        (e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"),
        key=lambda e: e.start_ns(),
    )
    del result
    held, most = 0, 0
    for e in events:
        held += e.nbytes()
        most = max(most, held)
    return most


def seconds(run, device="cpu"):
    """How long one run takes."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def in_turns(tasks, repeats, device="cpu"):
    """Seconds of every task, `name -> list`; they take turns, so that a busy machine slows all of them."""
    for run in tasks.values():
        run()  # warm up
    times = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, run in tasks.items():
            times[name].append(seconds(run, device))
    return times
