"""fusion_lab.networks.operations."""
