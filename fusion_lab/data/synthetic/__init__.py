"""Pairs of sources made from single photographs, or from nothing but a seed."""
