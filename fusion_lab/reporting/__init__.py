"""fusion_lab.reporting."""
