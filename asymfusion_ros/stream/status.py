"""How a node is: parts that each say what is wrong and give their numbers, put together as one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """How bad, as diagnostic_msgs/DiagnosticStatus numbers it. STALE: nothing was heard for too long."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: a line that names the value, then the fix."""

    level: Level
    text: str


@dataclass(frozen=True)
class Report:
    """What a part says. faults: none is OK. values: name -> number or text."""

    faults: tuple[Fault, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """The worst of the faults."""
        return max((fault.level for fault in self.faults), default=Level.OK)

    @property
    def message(self) -> str:
        """The faults in one line, the worst first; empty where there is none."""
        worst_first = sorted(self.faults, key=lambda fault: -fault.level)
        return "; ".join(fault.text for fault in worst_first)


StatusPart = Callable[[float], Report]  # called with ``time.monotonic()``, in the executor's thread


class StatusParts:
    """The parts of a node's status by task: a task is one status in /diagnostics ("node: task").

    Whatever knows something about the node's health adds a part and, where it ends before the node, removes
    it: ``node.status_parts.add(part)``.
    """

    def __init__(self, task: str) -> None:
        """``task``: of the parts that name no other."""
        self._task = task
        self._parts: list[tuple[str, StatusPart]] = []

    def add(self, part: StatusPart, task: str | None = None) -> None:
        """Asks ``part`` at each report from now on; its faults and values join those of its task."""
        self._parts.append((self._task if task is None else task, part))

    def remove(self, part: StatusPart) -> None:
        """Asks it no more; nothing where it wasn't asked."""
        self._parts = [(task, known) for task, known in self._parts if known != part]

    def reports(self, now: float) -> dict[str, Report]:
        """One report for each task, in the order in which the tasks were added; a value of a later part takes
        the place of an earlier one's of the same name. ``now``: of ``time.monotonic()``.
        """
        found: dict[str, Report] = {}
        for task, part in self._parts:
            before, said = found.get(task, Report()), part(now)
            found[task] = Report((*before.faults, *said.faults), {**before.values, **said.values})
        return found
