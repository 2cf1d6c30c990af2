"""fusion_lab.weighting."""
