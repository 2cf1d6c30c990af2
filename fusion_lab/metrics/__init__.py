"""fusion_lab.metrics."""
