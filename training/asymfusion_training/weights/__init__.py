"""Weights to start from: ImageNet's, or another checkpoint's."""
