from .augmentation import Augmentation as Augmentation
from .datamodules import MultiTaskDataModule as MultiTaskDataModule
from .embedded_pairs import EmbeddedPairs as EmbeddedPairs
from .joint import JointDataModule as JointDataModule
from .pairs import PairDataset as PairDataset
from .synthesized_pairs import SynthesizedPairs as SynthesizedPairs
