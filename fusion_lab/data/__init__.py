"""fusion_lab.data."""
