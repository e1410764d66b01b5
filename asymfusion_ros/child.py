"""Child processes: started in sessions of their own, always stopped, their output kept."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

STOP_SECONDS = 8.0


class Child:
    """A process whose standard error (and output, unless it is read as events) goes to ``log``.

    In a session of its own, so that Ctrl-C reaches only the parent, which then stops its children in
    order. A context manager: leaving it stops the process. Where this process is killed and cannot do that,
    Linux ends the child, if util-linux's setpriv is installed.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, read_events: bool = False) -> None:
        self.name = name
        self.log = log
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                _ending_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read_events else file,
                stderr=file,
                start_new_session=True,
            )
        self._reader: threading.Thread | None = None
        if read_events:
            self._reader = threading.Thread(target=self._read, name=f"{name} events", daemon=True)
            self._reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def ended(self) -> bool:
        """Whether the process has ended and ``events`` has all of its events: the reading lags behind."""
        return not self.running and (self._reader is None or not self._reader.is_alive())

    def events(self) -> Iterator[dict[str, Any]]:
        """The events that have come since the last call, without waiting."""
        while not self._events.empty():
            yield self._events.get()

    def wait(self, seconds: float) -> int | None:
        """Up to so long for the end: the exit status, as Popen has it, or None where it goes on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Asks the process to end (SIGTERM), and ends it after STOP_SECONDS."""
        if self.running:
            self.process.terminate()
            if self.wait(STOP_SECONDS) is None:
                self.process.kill()
        self.process.wait()

    def tail(self, lines: int = 6) -> str:
        """The last lines of the log, indented."""
        words = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(f"    {line}" for line in words[-lines:]) or "    (the log is empty)"

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("ab") as log:
            for line in self.process.stdout:
                if line.startswith(b"{"):
                    self._events.put(json.loads(line))
                else:  # a library underneath that prints
                    log.write(line)
                    log.flush()


def _ending_with_parent(command: Sequence[str]) -> list[str]:
    # The kernel sends SIGTERM. setpriv sets this up after the fork, where Python's preexec_fn may deadlock.
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [*([setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []), *command]
