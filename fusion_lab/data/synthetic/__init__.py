"""Pairs of sources made from single photographs."""
