"""Training and evaluation: from public data sets, or a folder of your own, to a checkpoint."""
