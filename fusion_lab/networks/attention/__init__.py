"""fusion_lab.networks.attention."""
