"""What comes in over ROS: subscriptions, conversion of encodings, pairing."""
