"""The operation branches of OAF, one a file. A branch of your own: subclass `Operation`, name it in a config."""

from fusion_lab.networks.operations.addition import Addition
from fusion_lab.networks.operations.base import Operation
from fusion_lab.networks.operations.high_pass import HighPass, HighPassZeroPadded
from fusion_lab.networks.operations.multiplication import Multiplication

__all__ = ["Addition", "HighPass", "HighPassZeroPadded", "Multiplication", "Operation"]
