"""The network as a monitor of the cameras: modalities that disagree beyond what is usual become a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement
from asymfusion_ros.engine.segmenter import HostResult, reference_name
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream.disagreement import DisagreementAlarm
from asymfusion_ros.stream.status import Fault, Level, Report

SAID = {"rgb": "colour"}  # what people call a modality


@dataclass(frozen=True)
class _Watched:
    """The modalities that were available last, and what is known of them."""

    names: tuple[str, ...]
    usual: UsualDisagreement
    alarm: DisagreementAlarm


class DisagreementMonitor:
    """Watches the disagreement of one camera's modalities; ``report`` is a part of the node's status.

    ``needs`` and ``look`` are called in the inference thread, ``report`` in the executor's. ``log`` gets a
    line where the checkpoint does not say what is usual, so that there is no alarm.
    """

    def __init__(
        self,
        checkpoint: ModelDescription,
        settings: NodeSettings,
        log: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoint = checkpoint
        self._quantile = settings.disagreement_alarm
        self._clock = clock
        self._watched: _Watched | None = None
        if self._quantile and len(checkpoint.config.modalities) > 1 and not checkpoint.disagreements:
            log(
                "no alarm for modalities that disagree: the checkpoint does not say how far they usually do; "
                f"`asymfusion evaluate {settings.checkpoint} --data DIR --calibrate OUT.safetensors` "
                "measures it and writes it into OUT (disagreement_alarm:=0.0 ends this line)"
            )

    def needs(self, modalities: Iterable[str]) -> frozenset[str]:
        """The fields of the result that are looked at now, for a frame of these modalities, which are in the
        network's order: the disagreement where a look is due."""
        watched = self._watch(tuple(modalities))
        due = watched is not None and watched.alarm.due(self._clock())
        return frozenset({"disagreement"} if due else ())

    def look(self, modalities: Iterable[str], result: HostResult) -> None:
        """Looks at the result of such a frame, where a look is due."""
        watched, now = self._watch(tuple(modalities)), self._clock()
        if watched is not None and result.disagreement is not None and watched.alarm.due(now):
            watched.alarm.look(watched.usual.share(result.disagreement), now)

    def report(self, now: float) -> Report:
        """``now``: of the clock."""
        watched = self._watched
        state = None if watched is None else watched.alarm.state(now)
        if watched is None or state is None:
            return Report()
        alarm = watched.alarm
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
            f"{_who(watched.names)} in {100 * state.share:.0f} % of pixels since {since} (usually "
            f"{100 * alarm.usual:.0f} %): unregistered, blocked, dirty or late?"
        )
        return Report((Fault(Level.WARN, text),), values)

    def _watch(self, names: tuple[str, ...]) -> _Watched | None:
        if self._watched is None or self._watched.names != names:
            usual = self._checkpoint.usual_disagreement(names) if self._quantile else None
            self._watched = None
            if usual is not None:
                alarm = DisagreementAlarm(usual.quantile(self._quantile), usual.quantile(0.5))
                self._watched = _Watched(names, usual, alarm)
        return self._watched


def _who(names: tuple[str, ...]) -> str:
    """``depth disagrees with colour``; of more than two, that they disagree."""
    reference = reference_name(dict.fromkeys(names))
    others = [name for name in names if name != reference]
    said = SAID.get(reference, reference)
    if len(others) == 1:
        return f"{others[0]} disagrees with {said}"
    return f"{said}, {', '.join(others[:-1])} and {others[-1]} disagree"
