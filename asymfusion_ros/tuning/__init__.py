"""Which backend, precision and number of threads is the fastest on a machine, measured here."""

from asymfusion_ros.tuning.tuning_file import Tuning, TuningError, Way, read_tuning, standard_path

__all__ = ["Tuning", "TuningError", "Way", "read_tuning", "standard_path"]
