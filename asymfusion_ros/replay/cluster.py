"""Recordings as tasks of a Dask cluster, whose workers see the same files under the same names."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asymfusion_ros.data.text_file import one_line
from asymfusion_ros.errors import DAMAGED, ConfigError, UserError
from asymfusion_ros.replay.many import TICK, Ended, Task, run_task

if TYPE_CHECKING:
    from distributed import Client, Future

ANSWER = 10.0  # seconds that a scheduler may take to answer
ALONE = 60.0  # seconds that it may be without any worker
LOOK = 5.0  # seconds between looks at its workers


def run_on_cluster(tasks: Sequence[Task], address: str, threads: int, ended: Ended) -> None:
    """Runs the tasks on the workers of the scheduler at ``address``; the tasks of a worker that dies go to
    another. ``threads``: of each task; 0: its share of the worker's cores.

    Raises UserError where the scheduler doesn't answer, or goes away, or has no worker for a minute.
    Whatever ends it, the tasks that run are stopped.
    """
    try:
        client = _connected(address)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--scheduler {address} needs {error.name}, which is not installed: pip install "
            "'asymfusion_ros[cluster]'"
        ) from error
    with client:
        run = uuid.uuid4().hex
        futures = {
            client.submit(_on_worker, task, threads, key=f"replay {task.name} {run}", pure=False): task
            for task in tasks
        }
        with_workers = looked = time.monotonic()
        while futures:
            time.sleep(TICK)
            for future in [future for future in futures if future.done()]:
                if client.status != "running" or future.status == "cancelled":
                    raise UserError(
                        f"the scheduler at {address} went away, or dropped its tasks: --resume goes on"
                    )
                ended(futures.pop(future), _failure(future))
            if time.monotonic() - looked < LOOK:
                continue
            looked = time.monotonic()
            if client.scheduler_info()["workers"]:
                with_workers = looked
            elif looked - with_workers > ALONE:
                raise UserError(
                    f"the scheduler at {address} has no worker: start one (`dask worker {address}`), and go "
                    "on with --resume"
                )


def _connected(address: str) -> Client:
    """Raises UserError."""
    from distributed import Client

    # It tells of each connection that it tries or loses.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        # Client itself waits for ever for a port that is open and silent.
        kind = asyncio.run(asyncio.wait_for(_kind(address), ANSWER))
    except (asyncio.TimeoutError, *DAMAGED) as error:  # DAMAGED: what answers there may be anything
        raise UserError(
            f"--scheduler {address} does not answer ({one_line(error)[:200] or 'nothing came'}): give the "
            "address that `dask scheduler` prints, as tcp://10.0.0.5:8786"
        ) from error
    if kind != "Scheduler":
        raise UserError(f"--scheduler {address} is a {kind} of Dask's: give the address of its scheduler")
    return Client(address, timeout=ANSWER, set_as_default=False)


async def _kind(address: str) -> str:
    """What answers there: Scheduler, Worker or Nanny."""
    from distributed import rpc

    async with rpc(address, timeout=ANSWER) as remote:
        found: str = (await remote.identity())["type"]
        return found


def _failure(future: Future) -> str:
    """Why a task that has ended failed, or an empty line."""
    from distributed import KilledWorker

    if future.status == "finished":
        return str(future.result())
    error: Any = future.exception()
    if isinstance(error, KilledWorker):
        return f"its workers died one after another, the last at {error.last_worker.address}"
    return f"{type(error).__name__}: {one_line(error)}"


def _on_worker(task: Task, threads: int) -> str:
    from dask.system import CPU_COUNT
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        """Not once the scheduler has released it, as it does where who asked for it is gone."""
        found = worker.state.tasks.get(key)
        return found is not None and found.state == "executing"

    share = threads or max(1, CPU_COUNT // worker.state.nthreads)
    reason = run_task(task, share, wanted)
    return f"{reason} (on {worker.address})" if reason else ""
