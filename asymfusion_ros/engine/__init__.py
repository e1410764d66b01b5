"""Frames in, labels out, all on one device; no ROS."""
