"""The newest status of every node that was heard, for whoever shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from asymfusion_ros.stream.status import Level

STALE_AFTER = 5.0  # seconds, as diagnostic_aggregator has it
FORGOTTEN_AFTER = 60.0
LARGEST = 200  # statuses that are kept at most


@dataclass(frozen=True)
class NodeStatus:
    """One status. name: "node: task". heard: when, in seconds of the board's clock. silent: seconds since."""

    name: str
    node: str
    level: Level
    message: str
    values: Mapping[str, str]
    heard: float
    silent: float = 0.0


class Board:
    """Keeps the newest status by name. One that was not heard for STALE_AFTER seconds is STALE; after
    FORGOTTEN_AFTER it is gone.

    Nodes of this package are known by the value ``software`` of one of their statuses.
    """

    def __init__(self, software: str) -> None:
        """``software``: what that value begins with."""
        self._software = software
        self._statuses: dict[str, NodeStatus] = {}

    def hear(self, status: NodeStatus) -> None:
        """Takes a status of any node."""
        self._statuses.pop(status.name, None)
        self._statuses[status.name] = status
        if len(self._statuses) > LARGEST:
            del self._statuses[next(iter(self._statuses))]  # the one that was heard longest ago

    def statuses(self, now: float) -> list[NodeStatus]:
        """Those of this package's nodes, by name."""
        found = []
        ours = {
            status.node
            for status in self._statuses.values()
            if status.values.get("software", "").startswith(self._software)
        }
        for name in sorted(self._statuses):
            status = self._statuses[name]
            silent = now - status.heard
            if status.node not in ours or silent >= FORGOTTEN_AFTER:
                continue
            if silent >= STALE_AFTER:
                message = f"nothing heard of it for {silent:.0f} s (it was {status.level.name})"
                status = replace(status, level=Level.STALE, message=message)
            found.append(replace(status, silent=silent))
        return found
