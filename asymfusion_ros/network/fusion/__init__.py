"""Exchange of features between the modalities inside the encoder."""
