"""A /dev/shm of a few MiB for a program alone, so that it can be filled and the machine's own stays as it is:
a tmpfs in a mount namespace, which ends with the program.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from world import Failed, Skipped

SHARED_MEMORY = "/dev/shm"
PROGRAM = Path(__file__).resolve().parent / "faults.py"
LONGEST = 300.0  # seconds for one fault
# As root; else as root of a user namespace of its own, which some machines forbid.
UNSHARE = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
MOUNT = 'mount -t tmpfs -o size="$1" tmpfs ' + SHARED_MEMORY + ' && shift && exec "$@"'


def measured_inside(name: str, mebibytes: int, patience: float) -> float:
    """The seconds to the next mask of the fault ``name``, which faults.py tries in a process of its own with
    so small a /dev/shm. Raises Failed, or Skipped where this machine allows no such thing.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer, tempfile.TemporaryFile("w+") as output:
        options = ["--inside", answer.name, "--only", name, "--patience", str(patience)]
        program = subprocess.Popen(
            [*_prefix(mebibytes), sys.executable, str(PROGRAM), *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            program.wait(LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)  # its node and camera with it
            program.wait()
            raise Failed(f"not done in {LONGEST:.0f} s") from None
        found = answer.read()
        output.seek(0)
        if not found:
            raise Failed(f"the program ended ({program.returncode}): {output.read()[-1000:]}")
        wrong, seconds = json.loads(found)
        if seconds is None:
            print(output.read(), flush=True)
            raise Failed(wrong)
        return seconds


@contextmanager
def full(mebibytes: int) -> Iterator[None]:
    """Leaves no byte of /dev/shm, which must be a small one of this size."""
    path = Path(SHARED_MEMORY) / "filled"
    if (size := _size()) != mebibytes << 20:
        raise Failed(f"{SHARED_MEMORY} has {size >> 20} MiB, not {mebibytes}: it is the machine's own")
    try:
        with path.open("wb", buffering=0) as file:
            for chunk in (1 << 20, 1 << 12):
                _write_all(file.fileno(), bytes(chunk))
        yield
    finally:
        path.unlink()


def _write_all(descriptor: int, chunk: bytes) -> None:
    try:
        while True:
            os.write(descriptor, chunk)
    except OSError:  # no space left on device
        return


def _size() -> int:
    found = os.statvfs(SHARED_MEMORY)
    return found.f_frsize * found.f_blocks


def _prefix(mebibytes: int) -> list[str]:
    """The words before a program's that give it such a /dev/shm. Raises Skipped."""
    why = ""
    for unshare in UNSHARE:
        words = [*unshare, "--propagation", "private", "sh", "-c", MOUNT, "sh", f"{mebibytes}m"]
        try:
            tried = subprocess.run([*words, "true"], capture_output=True, text=True)
        except FileNotFoundError:
            raise Skipped("there is no program unshare") from None
        if tried.returncode == 0:
            return words
        why = tried.stderr.strip().splitlines()[-1] if tried.stderr.strip() else str(tried.returncode)
    raise Skipped(f"no mount namespace here ({why})")
