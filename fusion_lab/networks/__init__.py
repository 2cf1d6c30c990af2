"""fusion_lab.networks."""
