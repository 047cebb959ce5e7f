"""One run: configuration, training, checkpoints, scoring."""
