"""fusion_lab.modules."""
