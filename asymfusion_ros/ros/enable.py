"""~/enable: pauses and resumes the network, without letting go of the camera's topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

SERVICE = "~/enable"


class Enable:
    """The service std_srvs/SetBool, in every state of the node: one that was disabled stays so through
    deactivating and configuring, until it is enabled. Without std_srvs there is no such service, and ``log``
    gets a line.

    While it is disabled, images still arrive and pair, so that the topics' health stays known; frames are
    neither put through the network nor published. ``done``: what becomes of them otherwise (segmented).

    Attributes: ``enabled``.
    """

    def __init__(self, node: Node, done: str, log: Callable[[str], object]) -> None:
        self.enabled = True
        self._done = done
        self._log = log
        try:
            from std_srvs.srv import SetBool
        except ImportError:
            log(f"{SERVICE} is not offered: it needs the package std_srvs")
            return
        self._service: Any = node.create_service(SetBool, SERVICE, self._on_request)

    def _on_request(self, request: Any, response: Any) -> Any:
        now = f"enabled: frames are {self._done}" if request.data else f"disabled: no frame is {self._done}"
        if request.data == self.enabled:
            response.message = f"was already {now}"
        else:
            self.enabled = bool(request.data)
            response.message = f"now {now}"
            self._log(f"{SERVICE}: {response.message}")
        response.success = True
        return response
