"""Callbacks: what happens around the training step."""

from fusion_lab.callbacks.interruption import StopBetweenBatches
from fusion_lab.callbacks.measure_again import MeasureAgain
from fusion_lab.callbacks.repeatable_noise import RepeatableNoise

__all__ = ["MeasureAgain", "RepeatableNoise", "StopBetweenBatches"]
