"""The demonstration: a recording played through the node over real ROS 2 topics, and pictures of it."""
