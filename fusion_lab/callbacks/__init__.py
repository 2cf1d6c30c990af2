"""Callbacks: what happens around the training step."""

from fusion_lab.callbacks.alternating_freeze import AlternatingFreeze
from fusion_lab.callbacks.checkpoint_files import CheckpointFiles
from fusion_lab.callbacks.checkpoints import BestCheckpoint, Checkpoints
from fusion_lab.callbacks.compile import Compile
from fusion_lab.callbacks.configured_steps import ConfiguredSteps
from fusion_lab.callbacks.data_manifest import DataManifest
from fusion_lab.callbacks.fused_pictures import FusedPictures
from fusion_lab.callbacks.gradient_conflict import GradientConflict
from fusion_lab.callbacks.history import HistoryLogger, KeepHistory
from fusion_lab.callbacks.interruption import REQUEUE, StopBetweenBatches
from fusion_lab.callbacks.matmul_precision import MatmulPrecision
from fusion_lab.callbacks.measure_again import MeasureAgain
from fusion_lab.callbacks.moving_average import MovingAverage
from fusion_lab.callbacks.operation_weights import OperationWeights
from fusion_lab.callbacks.repeatable_noise import RepeatableNoise
from fusion_lab.callbacks.small_pairs import TellSmallPairs
from fusion_lab.callbacks.wandb_logger import RunLogger
from fusion_lab.callbacks.write_fused import WriteFused

__all__ = [
    "REQUEUE",
    "AlternatingFreeze",
    "BestCheckpoint",
    "CheckpointFiles",
    "Checkpoints",
    "Compile",
    "ConfiguredSteps",
    "DataManifest",
    "FusedPictures",
    "GradientConflict",
    "HistoryLogger",
    "KeepHistory",
    "MatmulPrecision",
    "MeasureAgain",
    "MovingAverage",
    "OperationWeights",
    "RepeatableNoise",
    "RunLogger",
    "StopBetweenBatches",
    "TellSmallPairs",
    "WriteFused",
]
