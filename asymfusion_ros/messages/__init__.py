"""Images as ROS messages carry them, from a topic or from a bag, to what the engine takes; no ROS needed."""
