"""The ROS 2 side: messages to frames and back, the node, its parameters. No other layer imports rclpy."""

import os

# Read when torch is loaded. By default, threads that wait for each other in a computation spin: on a robot,
# whose cores have other work, that costs more than half of the masks.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
