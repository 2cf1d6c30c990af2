"""fusion_lab.inference."""
