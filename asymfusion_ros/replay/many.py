"""Many recordings at once: each is a task, which a process of its own does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from asymfusion_ros.child import Child
from asymfusion_ros.errors import UserError

ATTEMPTS = 3  # of a recording whose process is ended by something else
TICK = 0.2  # seconds between looks whether a process has ended, or is not wanted any more
REFUSED = "asymfusion replay: error: "  # how the command begins the line in which it says why it ends
STOPPED = "stopped"


@dataclass(frozen=True)
class Task:
    """A recording to replay. name: of its folder in ``output``. words: those of `asymfusion replay`, with
    --resume: what is done, by whom ever, is not done again. program: what Python is to run with them."""

    name: str
    output: Path
    words: Sequence[str]
    program: Sequence[str] = ("-m", "asymfusion_ros.cli", "replay")

    @property
    def log(self) -> Path:
        """What its process says, until it has come to its end."""
        return self.output / f"{self.name}.log"


Ended = Callable[[Task, str], None]  # gets a task that has ended, and why it failed (empty: it did not)


def run_task(task: Task, threads: int, wanted: Callable[[], bool] = lambda: True) -> str:
    """Replays it in a process with so many threads, which is started again where a signal ends it, and
    stopped once it is not ``wanted`` any more. Returns why it failed, or an empty line."""
    command = [sys.executable, *task.program, *task.words, f"--threads={threads}"]
    status: int | None = None
    for _ in range(ATTEMPTS):
        try:
            with Child(task.name, command, task.log) as child:
                while (status := child.wait(TICK)) is None:
                    if not wanted():
                        return STOPPED
        except OSError as error:
            return f"cannot run it with the log {task.log}: {error.strerror or error}"
        if status == 0:
            task.log.unlink(missing_ok=True)
            return ""
        if status > 0:
            return _reason(task.log, status)
    return f"its process was ended by signal {-(status or 0)}, {ATTEMPTS} times; {task.log} has what it said"


def run_here(tasks: Sequence[Task], processes: int, threads: int, ended: Ended) -> None:
    """Runs the tasks, so many at once. However it ends, the processes have ended."""
    stop = threading.Event()
    with ThreadPoolExecutor(processes, thread_name_prefix="replay") as pool:
        futures = {pool.submit(run_task, task, threads, lambda: not stop.is_set()): task for task in tasks}
        try:
            for future in as_completed(futures):
                ended(futures[future], future.result())
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def failed(reasons: dict[str, str], output: Path) -> UserError:
    """What to say of the recordings that failed, by name."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:3])
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    several = "s" if len(reasons) > 1 else ""
    return UserError(
        f"{len(reasons)} recording{several} failed: {shown}{more} (what is done is in {output}, and --resume "
        "keeps it)"
    )


def _reason(log: Path, status: int) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    refused = [line.removeprefix(REFUSED) for line in lines if line.startswith(REFUSED)]
    if refused:
        return refused[-1]
    return f"{lines[-1].strip() if lines else f'exit status {status}'} ({log})"
