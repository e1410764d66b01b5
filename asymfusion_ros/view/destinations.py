"""Where a Rerun recording goes: a file, a viewer on this machine, one elsewhere, or browsers.

Each is a context manager of an Outlet; what it needs ends with it, but for a viewer.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import rerun as rr
import rerun_cli

from asymfusion_ros.atomic_write import check_place, whole
from asymfusion_ros.child import Child
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.view.piped import Piped

LOOPBACK = "127.0.0.1"
GRPC_PORT, WEB_PORT = 9876, 9090  # Rerun's own
ANSWER = 3.0  # seconds for a viewer to answer
LONGEST = 60.0  # seconds for a viewer to take a second's frames
START = 20.0  # seconds for the web viewer's server to start
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@dataclass(frozen=True)
class Outlet:
    """line: to tell the user. flush: waits until what was logged has been passed on; raises UserError, or
    OSError of a file, where it can't be."""

    line: str
    flush: Callable[[], None]


Destination = Callable[[rr.RecordingStream], AbstractContextManager[Outlet]]


def to_file(path: Path, endless: bool = False) -> Destination:
    """An .rrd file, written beside and renamed in the end. ``endless``: without the index at its end, for
    which some kilobytes of each frame are kept in memory. Raises UserError where one is there already."""
    if path.suffix != ".rrd":
        raise ConfigError(f"--save {path}: the viewer opens files that are called NAME.rrd")
    if path.exists():
        raise ConfigError(f"{path} exists: name another file, or remove it")
    check_place(path)

    @contextmanager
    def saving(stream: rr.RecordingStream) -> Iterator[Outlet]:
        try:
            with whole(path) as beside, Piped(beside) as pipe:

                def passed_on() -> None:
                    _flush(stream, f"cannot write {path}")
                    if pipe.failed is not None:
                        raise pipe.failed

                try:
                    stream.save(pipe.inlet, write_footer=not endless)
                    yield Outlet(f"writing {path}", passed_on)
                    passed_on()
                finally:
                    stream.disconnect()
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error

    return saving


def to_viewer(memory: str, environment: Mapping[str, str] = os.environ) -> Destination:
    """The native viewer, started unless one is listening. memory: that it may take. Raises ConfigError where
    there is no display."""
    if sys.platform == "linux" and not any(environment.get(name) for name in DISPLAYS):
        raise ConfigError(
            f"there is no display here ({' and '.join(DISPLAYS)} are not set): --web shows it in a browser, "
            "--save FILE.rrd writes a file, --connect HOST sends it to a viewer elsewhere"
        )

    @contextmanager
    def spawned(stream: rr.RecordingStream) -> Iterator[Outlet]:
        try:
            stream.spawn(memory_limit=memory, port=GRPC_PORT)
        except RuntimeError as error:
            raise UserError(f"the viewer did not start: {error}") from error
        outlet = Outlet("sent to the viewer, which stays open", partial(_flush, stream, "the viewer is gone"))
        yield outlet
        outlet.flush()

    return spawned


def to_address(address: str) -> Destination:
    """A viewer that listens at ``address``: HOST, HOST:PORT or Rerun's rerun+http://HOST:PORT/proxy. Raises
    ConfigError where none answers."""
    host, port, url = parsed(address)
    try:
        socket.create_connection((host, port), ANSWER).close()
    except OSError as error:
        raise ConfigError(
            f"--connect {address}: no viewer answers at {host}:{port} ({error.strerror or error}): start "
            f"`rerun --port {port}` there, or see that the port is open"
        ) from error

    @contextmanager
    def connected(stream: rr.RecordingStream) -> Iterator[Outlet]:
        stream.connect_grpc(url)
        there = f"the viewer at {host}:{port}"
        outlet = Outlet(f"sending to {there}", partial(_flush, stream, f"{there} does not answer any more"))
        yield outlet
        outlet.flush()

    return connected


def to_browsers(memory: str, web_port: int = WEB_PORT, grpc_port: int = GRPC_PORT) -> Destination:
    """Rerun's web viewer and the data for it, on loopback alone. memory: of the data that is kept for those
    who connect later. Raises ConfigError for ports that are taken."""
    for option, port in (("--web-port", web_port), ("--port", grpc_port)):
        _check_free(option, port)

    @contextmanager
    def serving(stream: rr.RecordingStream) -> Iterator[Outlet]:
        # The SDK's own serve_web_viewer would listen on every interface.
        sink = rr.GrpcServerSink(LOOPBACK, grpc_port, server_memory_limit=memory)
        stream.set_sinks(sink)
        with tempfile.TemporaryDirectory() as folder:
            command = [_viewer(), "--serve-web", "--bind", LOOPBACK, "--web-viewer-port", str(web_port)]
            with Child("the web viewer", [*command, sink.uri], Path(folder) / "log") as child:
                _wait(child, web_port)
                url = f"http://{LOOPBACK}:{web_port}/?url={quote(sink.uri, safe='')}"
                yield Outlet(url, partial(_flush, stream, "the frames cannot be served"))

    return serving


def parsed(address: str) -> tuple[str, int, str]:
    """Host, port and Rerun's URL. Raises ConfigError."""
    text = address if "://" in address else f"rerun+http://{address}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or GRPC_PORT
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if (
        not host
        or parts.scheme not in ("rerun+http", "rerun+https", "rerun")
        or parts.path not in ("", "/proxy")
    ):
        raise ConfigError(f"--connect {address} is not HOST, HOST:PORT or rerun+http://HOST:PORT/proxy")
    shown = f"[{host}]" if ":" in host else host
    return host, port, f"{parts.scheme}://{shown}:{port}/proxy"


def _flush(stream: rr.RecordingStream, otherwise: str) -> None:
    """Raises UserError, beginning with ``otherwise``, where what was logged can't be passed on."""
    try:
        stream.flush(timeout_sec=LONGEST)
    except RuntimeError as error:
        raise UserError(f"{otherwise}: {error}") from error


def _check_free(option: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"{option} {port}: {reason}: give another port") from error


def _viewer() -> str:
    return str(Path(rerun_cli.__file__).with_name("rerun"))


def _wait(child: Child, port: int) -> None:
    end = time.monotonic() + START
    while child.running and time.monotonic() < end:
        try:
            socket.create_connection((LOOPBACK, port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise UserError(f"the web viewer did not start: {' '.join(child.tail(2).split())}")
