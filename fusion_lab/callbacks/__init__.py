"""fusion_lab.callbacks."""
