"""Bytes of tensors on the CPU, as torch's allocator counts them: every storage, temporary ones included."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class PeakBytes:
    """The largest number of bytes that were allocated at once in a block, beyond what there was before it."""

    value = 0


@contextmanager
def peak_bytes() -> Iterator[PeakBytes]:
    """Count allocations until the block ends; the value is there after it."""
    gc.collect()  # or what earlier tests left would be freed inside the block
    found = PeakBytes()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profiler:
        yield found
    # Kineto lists the records of the allocator in the order of time; the high-level table has no peak.
    records = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = 0
    for record in sorted(records, key=lambda each: each.start_ns()):
        now += record.nbytes()
        found.value = max(found.value, now)
