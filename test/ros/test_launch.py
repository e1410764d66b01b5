"""The launch files, run with the real launch and launch_ros.

What is launched is a stand-in that writes down how it was started; the last tests start the node itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

# Not "launch": from the root of the repository that would find its launch folder.
pytest.importorskip(
    "launch_ros", reason="launch_ros is not installed: it comes with a ROS distribution", exc_type=ImportError
)

import rclpy
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState
from node_harness import HEIGHT, WIDTH, distances, image, picture
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from unets import unet_config, write_translation_checkpoint

from asymfusion_ros.ros.fast_dds import PROFILE_VARIABLES, profile_variables
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.translation_settings import TranslationSettings
from asymfusion_ros.settings import declared

ROOT = Path(__file__).resolve().parents[2]
SEGMENTATION = ROOT / "launch" / "segmentation.launch.py"
MULTI_CAMERA = ROOT / "launch" / "multi_camera.launch.py"
REPLAY = ROOT / "launch" / "replay.launch.py"
TRANSLATION = ROOT / "launch" / "translation.launch.py"
PROFILE = str(ROOT / "config" / "fastdds_large_images.xml")
SETTINGS = {one.name: one for one in declared(NodeSettings)}
TRANSLATION_ARGUMENTS = {one.name for one in declared(TranslationSettings)}

NODE = """#!{python}
import sys
from asymfusion_ros.ros.{module} import main
sys.exit(main())
"""

# What `ros2 launch` does, for machines that have launch_ros but not ros2cli.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""

RECORDER = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
files = [value for option, value in zip(arguments, arguments[1:]) if option == "--params-file"]
record = dict(
    arguments=arguments,
    parameters=[open(file).read() for file in files],
    environment={{name: os.environ.get(name) for name in {variables!r}}},
    processors=sorted(os.sched_getaffinity(0)),
)
with open({record!r}, "w") as file:
    json.dump(record, file)
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """To the process and all that it started, those that outlived it included."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class Machine:
    """A prefix with our package and RViz installed as far as launching goes, and ROS programs of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = folder / "prefix"
        for package in ("asymfusion_ros", "rviz2"):
            marker = self.prefix / "share" / "ament_index" / "resource_index" / "packages" / package
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
        self.node = self.prefix / "lib" / "asymfusion_ros" / "segmentation_node"
        self.record_starts(self.node, "node")
        self.record_starts(self.node.with_name("translation_node"), "node")
        self.record_starts(self.prefix / "lib" / "rviz2" / "rviz2", "rviz")
        self.record_starts(self.prefix / "bin" / "ros2", "ros2")
        self.environment = dict(os.environ)
        for name in (*PROFILE_VARIABLES, "ROS_DISTRO"):
            self.environment.pop(name, None)
        self.environment |= {
            "AMENT_PREFIX_PATH": str(self.prefix),
            "PATH": f"{self.prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
            "ROS_LOG_DIR": str(folder / "log"),
        }

    def record_starts(self, program: Path, name: str) -> None:
        text = RECORDER.format(
            python=sys.executable, variables=PROFILE_VARIABLES, record=str(self.folder / f"{name}.json")
        )
        write_program(program, text)

    def install_node(self) -> None:
        """The real nodes in place of the stand-ins."""
        for program, module in (("segmentation_node", "main"), ("translation_node", "translation")):
            write_program(self.node.with_name(program), NODE.format(python=sys.executable, module=module))

    def start(self, file: Path, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LAUNCH, str(file), *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def launch(self, file: Path, *arguments: str) -> tuple[int, str]:
        """Launches to the end, which comes when every program launched has ended: exit code and output."""
        process = self.start(file, *arguments)
        try:
            output, _ = process.communicate(timeout=90)
        finally:
            send(process, signal.SIGKILL)
        return process.returncode, output

    def started(self, name: str) -> Any:
        """How a program was started; None where it wasn't."""
        record = self.folder / f"{name}.json"
        return json.loads(record.read_text()) if record.exists() else None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def remappings(record: Any) -> dict[str, str]:
    arguments = record["arguments"]
    pairs = (value for option, value in pairwise(arguments) if option == "-r")
    found = dict(pair.split(":=", 1) for pair in pairs)
    # Some releases pass the root namespace on, others leave it out.
    return {name: value for name, value in found.items() if (name, value) != ("__ns", "/")}


def parameters(text: str) -> Any:
    """The values in a parameter file that is for one node."""
    ((_, content),) = yaml.safe_load(text).items()
    return content["ros__parameters"]


def declared_in(file: Path) -> dict[str, Any]:
    description = PythonLaunchDescriptionSource(str(file)).get_launch_description(LaunchContext())
    return {argument.name: argument for argument in description.get_launch_arguments()}


@pytest.mark.parametrize("file", [SEGMENTATION, MULTI_CAMERA, REPLAY])
def test_every_argument_is_described(file: Path) -> None:
    arguments = declared_in(file)
    assert {"rgb_topic", "depth_topic", "checkpoint", "device", "slop", "params_file"} <= set(arguments)
    assert {"namespace", "use_sim_time", "log_level", "autostart", "rviz"} <= set(arguments)
    assert set(SETTINGS) <= set(arguments)  # every parameter of the node
    for name, argument in arguments.items():
        assert len(argument.description) > 10, name
    if file == REPLAY:
        assert {"bag", "rate", "loop"} <= set(arguments)
        assert arguments["bag"].default_value is None


def test_the_translation_nodes_arguments_are_its_own() -> None:
    arguments = declared_in(TRANSLATION)
    assert set(arguments) >= TRANSLATION_ARGUMENTS
    more = {"depth_topic", "depth_info_topic", "topics", "use_sim_time", "params_file", "namespace"}
    assert set(arguments) - TRANSLATION_ARGUMENTS == more | {"log_level", "respawn", "cpus"}
    assert all(len(argument.description) > 10 for argument in arguments.values())
    assert "config/translation.yaml" in arguments["params_file"].description


def test_the_translation_node_gets_its_topics_and_parameters(machine: Machine) -> None:
    code, output = machine.launch(
        TRANSLATION, "depth_topic:=/depth", "topics:=shade:=/infra1", "namespace:=front", "slop:=0.05"
    )
    assert code == 0, output
    node = machine.started("node")
    assert remappings(node) == {
        "__node": "translation",
        "__ns": "/front",
        "depth_registered/image_rect": "/depth",
        "shade/image_rect": "/infra1",
    }
    (text,) = node["parameters"]
    assert parameters(text) == {"slop": 0.05}


def test_an_argument_that_names_a_parameter_shows_the_nodes_default_and_passes_nothing() -> None:
    arguments = declared_in(SEGMENTATION)
    for name, one in SETTINGS.items():
        (default,) = arguments[name].default_value
        assert default.perform(LaunchContext()) == "", name
        # What `ros2 launch --show-args` prints.
        shown = str(one.default)
        if isinstance(one.default, bool | tuple):
            shown = json.dumps(one.default)
        assert default.describe() == repr(shown), name
        assert arguments[name].description.startswith(one.help), name


def test_what_is_left_empty_is_not_passed(machine: Machine) -> None:
    code, output = machine.launch(SEGMENTATION)
    assert code == 0, output
    node = machine.started("node")
    assert remappings(node) == {"__node": "segmentation"}
    assert node["parameters"] == []
    assert "--log-level" not in node["arguments"]
    assert machine.started("rviz") is None


def test_arguments_reach_the_node_in_their_types(machine: Machine, tmp_path: Path) -> None:
    file, checkpoint = tmp_path / "mine.yaml", tmp_path / "kitchen.safetensors"
    file.write_text("/**:\n  ros__parameters:\n    slop: 0.5\n    overlay_opacity: 0.25\n")
    checkpoint.touch()
    code, output = machine.launch(
        SEGMENTATION,
        "rgb_topic:=/camera/color/image_raw",
        "depth_topic:=/camera/depth/image_raw",
        "namespace:=front",
        f"params_file:={file}",
        f"checkpoint:={checkpoint}",
        "device:=cuda:1",
        "slop:=0.05",
        "queue_size:=5",
        "missing_after:=2",
        "overlay_opacity:=0.75",
        "autostart:=false",
        "use_sim_time:=true",
        "log_level:=debug",
    )
    assert code == 0, output
    node = machine.started("node")
    assert remappings(node) == {
        "__node": "segmentation",
        "__ns": "/front",
        "rgb/image_rect_color": "/camera/color/image_raw",
        "depth_registered/image_rect": "/camera/depth/image_raw",
    }
    # ROS lets the later of two files win: the user's file comes first, the arguments after it.
    theirs, given = node["parameters"][0], {}
    for text in node["parameters"][1:]:
        given |= parameters(text)
    assert parameters(theirs) == {"slop": 0.5, "overlay_opacity": 0.25}
    assert given == {
        "checkpoint": str(checkpoint),
        "device": "cuda:1",
        "slop": 0.05,
        "queue_size": 5,
        "missing_after": 2.0,
        "overlay_opacity": 0.75,
        "autostart": False,
        "use_sim_time": True,
    }
    assert node["arguments"][node["arguments"].index("--log-level") + 1] == "debug"


def test_topics_of_further_modalities_are_remapped(machine: Machine) -> None:
    code, output = machine.launch(SEGMENTATION, "topics:=thermal:=/flir/image infrared:=/ir/image_raw")
    assert code == 0, output
    assert remappings(machine.started("node")) == {
        "__node": "segmentation",
        "thermal/image_rect": "/flir/image",
        "infrared/image_rect": "/ir/image_raw",
    }


@pytest.mark.parametrize("value", ["thermal", "thermal:=", "/thermal:=/flir/image"])
def test_a_topic_without_its_modality_is_refused(machine: Machine, value: str) -> None:
    code, output = machine.launch(SEGMENTATION, f"topics:={value}")
    assert code != 0
    assert f"topics has {value!r}; write modality:=topic, as in thermal:=/flir/image" in output
    assert machine.started("node") is None


def test_a_whole_number_is_a_number(machine: Machine) -> None:
    machine.launch(SEGMENTATION, "slop:=0")
    (text,) = machine.started("node")["parameters"]
    slop = parameters(text)["slop"]
    assert slop == 0.0
    assert isinstance(slop, float)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("slop:=soon", "argument slop is 'soon'; it must be a number"),
        ("slop:=[", "argument slop is '['; it must be a number"),
        ("slop:=50", "argument slop is 50.0; it must be 0 to 10"),
        ("queue_size:=2.5", "argument queue_size is 2.5; it must be a whole number"),
        ("autostart:=maybe", "argument autostart is 'maybe'; it must be true or false"),
        ("use_sim_time:=1", "argument use_sim_time is 1; it must be true or false"),
        ("params_file:=/nope.yaml", "argument params_file is '/nope.yaml': there is no such file"),
    ],
)
def test_a_wrong_value_is_refused_by_its_arguments_name(machine: Machine, argument: str, reason: str) -> None:
    code, output = machine.launch(SEGMENTATION, argument)
    assert code != 0
    assert reason in output
    assert machine.started("node") is None


def test_the_node_keeps_to_the_processors_that_it_is_given(machine: Machine) -> None:
    every = sorted(os.sched_getaffinity(0))
    assert machine.launch(SEGMENTATION)[0] == 0
    assert machine.started("node")["processors"] == every
    assert machine.launch(SEGMENTATION, f"cpus:={every[-1]}")[0] == 0
    assert machine.started("node")["processors"] == every[-1:]
    code, output = machine.launch(SEGMENTATION, "cpus:=two")
    assert code != 0 and "argument cpus is 'two': write numbers and ranges, as in 2,3 or 4-7" in output


def test_a_layout_that_is_not_there_is_refused(machine: Machine) -> None:
    code, output = machine.launch(SEGMENTATION, "rviz:=true", "rviz_config:=/nope.rviz")
    assert code != 0
    assert "argument rviz_config is '/nope.rviz': there is no such file" in output
    assert machine.started("rviz") is None


# Ends in another way at each start; an end of "active" is an exit code 1 once it has said to be active.
ENDS = """#!{python}
import os, pathlib, sys, time
starts = pathlib.Path({starts!r})
number = len(starts.read_text()) if starts.exists() else 0
with starts.open("a") as file:
    file.write(".")
end = {ends!r}[number]
if end == "active":
    import rclpy
    from lifecycle_msgs.msg import TransitionEvent
    rclpy.init()
    node = rclpy.create_node("segmentation")
    publisher = node.create_publisher(TransitionEvent, "segmentation/transition_event", 10)
    limit = time.monotonic() + 30
    while publisher.get_subscription_count() == 0 and time.monotonic() < limit:
        time.sleep(0.02)
    event = TransitionEvent()
    event.goal_state.label = "active"
    publisher.publish(event)
    time.sleep(0.5)
    os._exit(1)
if end < 0:
    os.kill(os.getpid(), -end)
sys.exit(end)
"""


@pytest.mark.parametrize(
    "ends",
    [
        [-signal.SIGSEGV, -signal.SIGKILL, 0],  # two crashes, then an end as on Ctrl-C
        ["active", 1],  # an uncaught exception; after the next start the checkpoint is refused
        [1],
        [2],  # wrong options
        [-signal.SIGTERM],  # asked to end, before it could answer to that itself
    ],
)
def test_the_node_is_started_again_after_a_crash_alone(machine: Machine, ends: list[Any]) -> None:
    starts = machine.folder / "starts"
    ends = [end if isinstance(end, str) else int(end) for end in ends]
    write_program(machine.node, ENDS.format(python=sys.executable, starts=str(starts), ends=ends))
    _, output = machine.launch(SEGMENTATION)
    assert starts.read_text() == "." * len(ends), output
    assert output.count("the segmentation node is started again") == len(ends) - 1


def test_a_crash_is_final_where_that_is_wanted(machine: Machine) -> None:
    starts = machine.folder / "starts"
    ends = [-int(signal.SIGKILL)]
    write_program(machine.node, ENDS.format(python=sys.executable, starts=str(starts), ends=ends))
    _, output = machine.launch(SEGMENTATION, "respawn:=false")
    assert starts.read_text() == ".", output


@pytest.mark.parametrize(
    ("distribution", "variables"),
    [("humble", PROFILE_VARIABLES[1:]), ("jazzy", PROFILE_VARIABLES[1:]), ("kilted", PROFILE_VARIABLES[:1])],
)
def test_fast_dds_gets_the_profile_for_large_images(
    machine: Machine, distribution: str, variables: tuple[str, ...]
) -> None:
    machine.environment["ROS_DISTRO"] = distribution
    machine.launch(SEGMENTATION)
    environment = dict.fromkeys(PROFILE_VARIABLES) | dict.fromkeys(variables, PROFILE)
    assert machine.started("node")["environment"] == environment
    assert Path(PROFILE).is_file()


@pytest.mark.parametrize("variable", PROFILE_VARIABLES)
def test_a_profile_of_the_users_own_is_kept(machine: Machine, variable: str) -> None:
    own = machine.folder / "own.xml"
    own.write_text(Path(PROFILE).read_text())
    machine.environment[variable] = str(own)
    machine.launch(SEGMENTATION)
    environment = dict.fromkeys(PROFILE_VARIABLES) | {variable: str(own)}
    assert machine.started("node")["environment"] == environment


def test_rviz_sees_the_nodes_topics(machine: Machine) -> None:
    code, output = machine.launch(
        SEGMENTATION, "rviz:=true", "namespace:=front", "rgb_topic:=/camera/color/image_raw"
    )
    assert code == 0, output
    rviz = machine.started("rviz")
    assert remappings(rviz) == {
        "__node": "rviz",
        "__ns": "/front",
        "rgb/image_rect_color": "/camera/color/image_raw",
    }
    layout = Path(rviz["arguments"][rviz["arguments"].index("--display-config") + 1])
    displays = yaml.safe_load(layout.read_text())["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"] for display in displays}
    # Relative, as the node has them, so that namespace and remappings apply.
    assert topics == {
        "rgb/image_rect_color",
        "depth_registered/image_rect",
        "segmentation/color_mask",
        "segmentation/overlay",
        "segmentation/points",
    }


def one_output(machine: Machine, file: Path, topics: tuple[str, str], output: str, *arguments: str) -> Image:
    """Launches the real node, and sends it pairs on two ``topics`` until ``output`` has an answer."""
    machine.install_node()
    process = machine.start(file, *arguments)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(machine.environment["ROS_DOMAIN_ID"]))
    answers: list[Image] = []
    try:
        camera = rclpy.create_node("camera", context=context)
        first, depth = (camera.create_publisher(Image, topic, 5) for topic in topics)
        camera.create_subscription(Image, output, answers.append, 5)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(camera)
        for stamp in range(1, 600):
            if answers or process.poll() is not None:
                break
            first.publish(image(picture(), "rgb8", stamp))
            depth.publish(image(distances(), "16UC1", stamp))
            executor.spin_once(timeout_sec=0.1)
    finally:
        rclpy.shutdown(context=context)
        # As a terminal does on Ctrl-C: launch and the node get it, and launch sends it to the node again.
        send(process, signal.SIGINT)
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            send(process, signal.SIGKILL)
    assert answers, said
    assert "process has died" not in said
    assert "Traceback" not in said
    return answers[0]


def test_the_launched_node_segments(machine: Machine, checkpoint: Path) -> None:
    topics = ("/camera/rgb", "/camera/depth")
    given = (f"checkpoint:={checkpoint}", "namespace:=front", *(f"{one[8:]}_topic:={one}" for one in topics))
    mask = one_output(machine, SEGMENTATION, topics, "/front/segmentation/mask", *given)
    assert (mask.encoding, mask.height, mask.width) == ("mono8", HEIGHT, WIDTH)


def test_the_launched_node_translates(machine: Machine, tmp_path: Path) -> None:
    config = unet_config(("normal", "depth"), "unet8")
    checkpoint = write_translation_checkpoint(tmp_path / "night.safetensors", config)
    topics = ("/camera/normal", "/camera/depth")
    given = (f"checkpoint:={checkpoint}", "topics:=normal:=/camera/normal", "depth_topic:=/camera/depth")
    made = one_output(machine, TRANSLATION, topics, "/translation/image", *given)
    assert (made.encoding, made.height, made.width) == ("rgb8", HEIGHT, WIDTH)


def test_replay_plays_when_the_node_is_active_and_ends_with_the_recording(
    machine: Machine,
    checkpoint: Path,
) -> None:
    machine.install_node()
    code, output = machine.launch(
        REPLAY, "bag:=/data/kitchen", "rate:=0.5", "loop:=true", "rviz:=false", f"checkpoint:={checkpoint}"
    )
    assert code == 0, output
    player = machine.started("ros2")
    assert player["arguments"][:3] == ["bag", "play", "/data/kitchen"]
    assert set(player["arguments"][3:]) == {
        "--clock",
        "--disable-keyboard-controls",
        "--rate",
        "0.5",
        "--loop",
    }
    expected = profile_variables({}, Path(PROFILE))  # that of the installed Fast DDS
    assert player["environment"] == dict.fromkeys(PROFILE_VARIABLES) | expected
    assert "the recording has ended" in output
    assert machine.started("rviz") is None


PLAYER = """#!{python}
import pathlib, time
folder = pathlib.Path({folder!r})
with (folder / "starts").open("a") as file:
    file.write("started\\n")
end = time.monotonic() + 60
while not (folder / "stop").exists() and time.monotonic() < end:
    time.sleep(0.05)
"""


def test_replay_goes_on_when_the_node_is_deactivated_and_activated(
    machine: Machine,
    checkpoint: Path,
) -> None:
    machine.install_node()
    write_program(
        machine.prefix / "bin" / "ros2", PLAYER.format(python=sys.executable, folder=str(machine.folder))
    )
    starts = machine.folder / "starts"
    process = machine.start(REPLAY, "bag:=/data/kitchen", "rviz:=false", f"checkpoint:={checkpoint}")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(machine.environment["ROS_DOMAIN_ID"]))
    try:
        manager = rclpy.create_node("manager", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(manager)
        events: list[str] = []
        manager.create_subscription(
            TransitionEvent,
            "/segmentation/transition_event",
            lambda event: events.append(event.goal_state.label),
            10,
        )
        client = manager.create_client(ChangeState, "/segmentation/change_state")
        end = time.monotonic() + 60
        while not starts.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert client.wait_for_service(30)
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            executor.spin_until_future_complete(future, 30)
            assert future.result().success
        while "active" not in events and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
    finally:
        rclpy.shutdown(context=context)
        (machine.folder / "stop").touch()
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            send(process, signal.SIGKILL)
    assert "executed more than once" not in output
    assert "Traceback" not in output
    assert "the recording has ended" in output
    assert process.returncode == 0
    assert starts.read_text() == "started\n"


def test_replay_ends_when_the_node_cannot_be_configured(machine: Machine) -> None:
    machine.install_node()
    junk = machine.folder / "junk.safetensors"
    junk.write_text("no checkpoint")
    _, output = machine.launch(REPLAY, "bag:=/data/kitchen", "rviz:=false", f"checkpoint:={junk}")
    assert str(junk) in output
    assert "the segmentation node has ended" in output
    assert machine.started("ros2") is None


def test_several_cameras_share_one_node(machine: Machine) -> None:
    code, output = machine.launch(
        MULTI_CAMERA,
        "cameras:=[front, rear]",
        "topics:=front/rgb:=/cam1/color rear/depth:=/cam2/depth rear/thermal:=/flir",
        "namespace:=robot",
        "max_rate:=5",
    )
    assert code == 0, output
    node = machine.started("node")
    assert remappings(node) == {
        "__node": "segmentation",
        "__ns": "/robot",
        "front/rgb/image_rect_color": "/cam1/color",
        "rear/depth_registered/image_rect": "/cam2/depth",
        "rear/thermal/image_rect": "/flir",
    }
    given: dict[str, Any] = {}
    for text in node["parameters"]:
        given |= parameters(text)
    assert given == {"cameras": ["front", "rear"], "max_rate": 5.0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("topics:=left/rgb:=/cam1/image",), "topics has 'left/rgb:=/cam1/image'"),
        (("topics:=rgb:=/cam1/image",), "write front/rgb:=/cam1/image"),
        (("rgb_topic:=/cam1/image",), "rgb_topic is for one camera, and cameras names 2"),
    ],
)
def test_a_topic_of_no_camera_is_refused(machine: Machine, arguments: tuple[str, ...], words: str) -> None:
    code, output = machine.launch(MULTI_CAMERA, "cameras:=[front, rear]", *arguments)
    assert code != 0
    assert words in output
    assert machine.started("node") is None
