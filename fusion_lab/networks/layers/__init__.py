"""fusion_lab.networks.layers."""
