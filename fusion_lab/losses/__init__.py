"""fusion_lab.losses."""
