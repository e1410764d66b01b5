"""Image translation: the paper's second task, adversarial as in pix2pix."""
