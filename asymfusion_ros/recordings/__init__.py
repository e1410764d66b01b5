"""ROS 1 and ROS 2 bags, folders and the built-in scene as streams of images; no ROS needed."""
