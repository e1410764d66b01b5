"""What evaluation is made of: predictions, counts, boundaries, simulated holes, intervals, pictures."""
