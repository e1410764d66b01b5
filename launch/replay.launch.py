"""A ROS 2 recording through the segmentation node, watched in RViz.

    ros2 launch asymfusion_ros replay.launch.py bag:=my_recording \
        rgb_topic:=/camera/color/image_raw depth_topic:=/camera/aligned_depth_to_color/image_raw

Topics, checkpoint and the rest are the arguments of segmentation.launch.py. The recording starts when the
node is active, so that its first seconds are not lost while the network loads, and its end ends the launch.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.event_handlers import OnStateTransition

SEGMENTATION = Path(__file__).resolve().parent / "segmentation.launch.py"


def arguments() -> list[DeclareLaunchArgument]:
    """What `--show-args` lists besides the arguments of segmentation.launch.py."""
    return [
        DeclareLaunchArgument("bag", description="the recording: the folder that `ros2 bag record` wrote"),
        DeclareLaunchArgument(
            "rate", default_value="", description="speed of the playback, 0.5 for half [empty: as recorded]"
        ),
        DeclareLaunchArgument(
            "loop", default_value="false", choices=["true", "false"], description="start over at the end"
        ),
        DeclareLaunchArgument(
            "rviz", default_value="true", choices=["true", "false"], description="watch it in RViz"
        ),
    ]


def play(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, started once the node is active, and the end of everything with its end."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    command = ["ros2", "bag", "play", given("bag"), "--clock", "--disable-keyboard-controls"]
    if given("rate"):
        command += ["--rate", given("rate")]
    if given("loop") == "true":
        command.append("--loop")
    player = ExecuteProcess(cmd=command, name="player", output="screen")

    def finish(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if context.is_shutdown:
            return []
        # RViz may be closed and the masks still be wanted; without the other two there is nothing to show.
        for process, subject in (("player", "the recording"), ("segmentation_node", "the segmentation node")):
            if event.process_name.startswith(process):
                reason = f"{subject} has ended"
                return [LogInfo(msg=reason), EmitEvent(event=Shutdown(reason=reason))]
        return []

    return [
        # Once: the recording plays on while the node is inactive, and a process can't be started twice.
        RegisterEventHandler(OnStateTransition(goal_state="active", entities=[player], handle_once=True)),
        RegisterEventHandler(OnProcessExit(on_exit=finish)),
    ]


def generate_launch_description() -> LaunchDescription:
    """What launch calls."""
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SEGMENTATION)),
        # A node that ends, however it does, ends the replay.
        launch_arguments={
            "rviz": LaunchConfiguration("rviz"),
            "use_sim_time": "true",
            "respawn": "false",
        }.items(),
    )
    return LaunchDescription([*arguments(), OpaqueFunction(function=play), segmentation])
