"""Layers that know several modalities: norms, layers of each modality's own, separable convolutions."""
