"""From recordings to frames worth labelling, to the tools that label them, and back. No rclpy."""
