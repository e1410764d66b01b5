"""Other programs that want the CPU too, as there are on every robot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Ends by itself where its parent is gone.
BUSY = """
import os
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    sum(i * i for i in range(100_000))
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keeps so many processes busy with arithmetic meanwhile, each of them a core's worth."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(processes):
            children.append(subprocess.Popen([sys.executable, "-S", "-c", BUSY], stdout=subprocess.PIPE))
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()  # it is at work
        yield
    finally:
        for child in children:
            child.kill()
            child.communicate()
