"""Scoring fused images of files and comparing methods."""
