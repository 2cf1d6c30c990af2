"""fusion_lab.cli."""
