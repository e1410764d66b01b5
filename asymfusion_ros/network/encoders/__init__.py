"""Encoders: images to features at several resolutions."""
