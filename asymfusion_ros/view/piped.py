"""A pipe into which another library writes a file, and out of which it is written here.

Rerun's own writer stops where the disk is full, and whoever waits for it waits for ever. A pipe is never full
for long.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType

PIECE = 1 << 20  # bytes read at a time


class Piped:
    """A context manager; what is written into ``inlet`` and closed there is in the file ``path`` in the end.

    failed: why it can't be written, or None. What comes after that is thrown away.
    """

    def __init__(self, path: Path) -> None:
        self.failed: OSError | None = None
        self._file = path.open("wb")
        self._folder = tempfile.TemporaryDirectory()
        self.inlet = Path(self._folder.name) / "pipe.rrd"
        os.mkfifo(self.inlet)
        # Of both ends, so that opening waits for nobody; closed once the writer has its own.
        self._held = os.open(self.inlet, os.O_RDWR)
        self._thread = threading.Thread(target=self._copy, name="write", daemon=True)

    def __enter__(self) -> Piped:
        self._outlet = os.open(self.inlet, os.O_RDONLY)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._held)  # the writer has closed its end: this was the last
        self._thread.join()
        os.close(self._outlet)
        self._folder.cleanup()
        try:
            self._file.close()
        except OSError as late:
            self.failed = self.failed or late
        if self.failed is not None and error is None:
            raise self.failed

    def _copy(self) -> None:
        while piece := os.read(self._outlet, PIECE):
            if self.failed is not None:
                continue
            try:
                self._file.write(piece)
            except OSError as error:
                self.failed = error
