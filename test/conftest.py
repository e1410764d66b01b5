"""For every test, in each of the processes that run them side by side."""

import os
import signal

import pytest
import torch

# On networks this small, threads wait for each other longer than they compute: one here, and one in each
# process that a test starts.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C, and so would whatever a test starts and ends with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Triton interprets its kernels on a CPU where this is set before anything imports it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# A ROS domain for each process: no node of one sees the topics of another's.
process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ["ROS_DOMAIN_ID"] = str(int(os.environ.get("ROS_DOMAIN_ID", "0")) + process)


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use")
