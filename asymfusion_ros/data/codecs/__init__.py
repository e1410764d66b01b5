"""Encoded images to pixels: what image_transport's plugins and stereo cameras send.

Bytes in, arrays out; no ROS.
"""
