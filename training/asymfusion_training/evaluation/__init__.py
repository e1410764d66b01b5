"""Scores: what `asymfusion evaluate` counts, compares and draws."""
