"""What can be known of a camera's streams without ROS: which images pair, which topic fell silent.

Plain state machines with an injected clock, no threads of their own: most faults of a stream are
reproduced on them in milliseconds.
"""
