"""The ROS 2 side: messages to frames and back, the node, its parameters. No other layer imports rclpy."""

import os

# Read when torch is loaded. Threads that wait for each other in a computation spin for a while before they
# sleep. GNU OpenMP's own while (300000) is so long that other programs on the same cores halve the masks;
# without any, waking costs as much. docs/performance.md has what was measured.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
