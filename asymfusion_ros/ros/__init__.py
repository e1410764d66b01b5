"""The ROS 2 side: messages to frames and back, the node, its parameters. No other layer imports rclpy."""
