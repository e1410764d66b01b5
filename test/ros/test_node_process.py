"""The node as a process of its own: how it ends, and what it prints then."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")


def command(*arguments, module="asymfusion_ros.ros.main"):
    return [sys.executable, "-m", module, *arguments]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("number", "repeated"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)],
    ids=["ctrl-c", "sigterm", "ctrl-c repeated"],
)
def test_a_signal_ends_the_node_cleanly(checkpoint, number, repeated, tmp_path):
    """Repeated, as under ros2 launch, a signal arrives in every phase of the end, the interpreter's too."""
    log = tmp_path / "log"
    with log.open("w") as file:
        node = subprocess.Popen(
            command("--ros-args", "-p", f"checkpoint:={checkpoint}"), stdout=file, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + 60
        while "waiting for pairs" not in log.read_text():
            assert node.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        node.send_signal(number)
        end = time.monotonic() + 1.5  # after 2 s another signal means: at once
        while repeated and node.poll() is None and time.monotonic() < end:
            node.send_signal(number)
            time.sleep(0.002)
        assert node.wait(20) == 0
    finally:
        node.kill()
    lines = log.read_text().splitlines()
    assert "received 0 rgb and 0 depth images" in lines[-1]
    assert not any("Traceback" in line or "ERROR" in line for line in lines)


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_threads_that_wait_spin_a_short_while_or_as_the_user_says(given, spins):
    """OpenMP reads it when torch is loaded, and can show it then."""
    environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE", **given}
    for name in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} - given.keys():
        environment.pop(name, None)
    shown = subprocess.run(command("--help"), capture_output=True, text=True, env=environment, timeout=60)
    assert f"GOMP_SPINCOUNT = '{spins}'" in shown.stderr


def test_a_bad_checkpoint_is_one_line_and_exit_code_1(tmp_path):
    missing = tmp_path / "nowhere.safetensors"
    result = run("--ros-args", "-p", f"checkpoint:={missing}")
    assert result.returncode == 1
    (line,) = (result.stdout + result.stderr).strip().splitlines()
    assert "[ERROR]" in line and f"checkpoint {missing} does not exist" in line


def test_wrong_ros_arguments_are_one_line_and_exit_code_1(tmp_path):
    result = run("--ros-args", "--params-file", str(tmp_path / "nowhere.yaml"))
    assert result.returncode == 1
    (line,) = (result.stdout + result.stderr).strip().splitlines()
    assert line.startswith("segmentation_node: error: wrong ROS arguments") and "nowhere.yaml" in line


def test_help_lists_the_parameters_without_starting_a_node():
    result = run("--help")
    assert result.returncode == 0
    assert "missing_after (default 0.0; 0 to 3600): seconds" in result.stdout


def test_shutting_down_ends_the_process(checkpoint):
    """What is finalized can't be used again: it must not hold the network's memory."""
    srv = pytest.importorskip("lifecycle_msgs.srv", reason="needs lifecycle_msgs")
    import rclpy
    from lifecycle_msgs.msg import Transition

    namespace = f"/shutdown_{os.getpid()}"
    arguments = ("-p", f"checkpoint:={checkpoint}", "-p", "autostart:=false", "-r", f"__ns:={namespace}")
    node = subprocess.Popen(command("--ros-args", *arguments), stderr=subprocess.DEVNULL)
    context = rclpy.Context()
    rclpy.init(context=context)
    client = rclpy.create_node("test_client", namespace=namespace, context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(client)

    change = client.create_client(srv.ChangeState, "segmentation/change_state")
    state = client.create_client(srv.GetState, "segmentation/get_state")

    def call(service, request, seconds=20):
        assert service.wait_for_service(60)
        future = service.call_async(request)
        executor.spin_until_future_complete(future, seconds)
        return future.result()

    try:
        # Fast DDS drops an answer whose asker it has not discovered 100 ms later. Who is discovered after
        # another is answered when that one is.
        assert any(call(state, srv.GetState.Request(), 5) for _ in range(6))
        wanted = Transition(id=Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert call(change, srv.ChangeState.Request(transition=wanted)).success
        # A lifecycle manager asks whether it went well.
        assert call(state, srv.GetState.Request()).current_state.label == "finalized"
        assert node.wait(20) == 0
    finally:
        node.kill()
        executor.shutdown()
        client.destroy_node()
        rclpy.try_shutdown(context=context)
