"""Checkpoints as files for other runtimes. What runs them is in ``asymfusion_ros.engine.backends``."""
