"""Training frames: reading, augmentation, depth noise."""
