"""Freed memory is kept: what the system is asked for, in processes of their own."""

import os
import subprocess
import sys

import pytest

# The pages of 64 MiB that nine blocks, one after another, make the system fill with zeros.
PROGRAM = """
import resource
import numpy as np
from asymfusion_ros.engine.allocator import keep_freed_memory

kept = keep_freed_memory()
np.ones(64 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    np.ones(64 << 20, np.uint8)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    environment = {**os.environ, "ASYMFUSION_KEEP_MEMORY": keep}
    # Without huge pages, of which NumPy asks for some: then a page is 4 KiB, and faults can be counted.
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    kept, count = run.stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux's malloc")
def test_a_block_that_was_freed_is_not_asked_for_again():
    pages = 64 * 1024 // 4  # of a block
    kept, count = faults("1")
    assert kept and count < pages / 8
    kept, count = faults("0")
    assert not kept and count >= 8 * pages / 2
