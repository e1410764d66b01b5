"""Recordings through the network without a ROS graph: frames of a bag or a folder, masks, scores."""
