"""The network as a monitor of the cameras: modalities that disagree beyond what is usual become a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import available_key
from asymfusion_ros.engine.segmenter import HostResult, reference_name
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream.disagreement import DisagreementAlarm
from asymfusion_ros.stream.status import Fault, Level, Report

SAID = {"rgb": "colour"}  # what people call a modality


class DisagreementMonitor:
    """Watches the disagreement of one camera's modalities; ``report`` is a part of the node's status.

    ``due`` and ``look`` are called in the inference thread, ``report`` in the executor's. ``log`` gets a line
    where the checkpoint does not say what is usual, so that there is no alarm.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: NodeSettings,
        log: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoint = checkpoint
        self._quantile = settings.disagreement_alarm
        self._clock = clock
        # The alarm of the modalities that were available last, by what they are called together.
        self._current: tuple[str, tuple[str, ...], DisagreementAlarm] | None = None
        if self._quantile and len(checkpoint.config.modalities) > 1 and not checkpoint.disagreements:
            log(
                "no alarm for modalities that disagree: the checkpoint does not say how far they usually do; "
                f"`asymfusion evaluate {settings.checkpoint} --data DIR --calibrate OUT.safetensors` "
                "measures it and writes it into OUT (disagreement_alarm:=0.0 ends this line)"
            )

    def due(self, modalities: Iterable[str]) -> bool:
        """Whether a look at a frame of these modalities, in the network's order, is due."""
        alarm = self._alarm(tuple(modalities))
        return alarm is not None and alarm.due(self._clock())

    def look(self, modalities: Iterable[str], result: HostResult) -> None:
        """At a frame of these modalities, where its disagreement was computed."""
        names = tuple(modalities)
        usual, alarm = self._checkpoint.usual_disagreement(names), self._alarm(names)
        if usual is not None and alarm is not None and result.disagreement is not None:
            now = self._clock()
            if alarm.due(now):
                alarm.look(usual.share(result.disagreement), now)

    def report(self, now: float) -> Report:
        """``now``: of the clock."""
        current = self._current
        state = None if current is None else current[2].state(now)
        if current is None or state is None:
            return Report()
        _, names, alarm = current
        values: dict[str, object] = {
            "disagreement": f"{state.share:.3f}",
            "disagreement_usual": f"{alarm.usual:.3f}",
            "disagreement_threshold": f"{alarm.threshold:.3f}",
        }
        if state.since is None:
            return Report((), values)
        # The wall clock's, for people: it may be set meanwhile, which moves what they read with it.
        since = time.strftime("%H:%M", time.localtime(time.time() - (now - state.since)))
        text = (
            f"{_who(names)} in {100 * state.share:.0f} % of pixels since {since} (usually "
            f"{100 * alarm.usual:.0f} %): unregistered, blocked, dirty or late?"
        )
        return Report((Fault(Level.WARN, text),), values)

    def _alarm(self, names: tuple[str, ...]) -> DisagreementAlarm | None:
        key = available_key(names)
        if self._current is None or self._current[0] != key:
            usual = self._checkpoint.usual_disagreement(names) if self._quantile else None
            if usual is None:
                self._current = None
                return None
            alarm = DisagreementAlarm(usual.quantile(self._quantile), usual.quantile(0.5))
            self._current = (key, names, alarm)
        return self._current[2]


def _who(names: tuple[str, ...]) -> str:
    """``depth disagrees with colour``; of more than two, that they disagree."""
    reference = reference_name(dict.fromkeys(names))
    others = [name for name in names if name != reference]
    said = SAID.get(reference, reference)
    if len(others) == 1:
        return f"{others[0]} disagrees with {said}"
    return f"{said}, {', '.join(others[:-1])} and {others[-1]} disagree"
