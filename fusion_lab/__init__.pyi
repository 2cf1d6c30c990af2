from .data.pairs import load_pairs as load_pairs
from .errors import FusionLabError as FusionLabError
from .evaluation.scores import Scores as Scores
from .evaluation.scores import evaluate as evaluate
from .inference.fuser import fuse as fuse
from .inference.video import FusedVideo as FusedVideo
from .inference.video import fuse_video as fuse_video
from .inference.weights import load_network as load_network
from .runs.result import Result as Result
from .runs.run import Run as Run
from .studies.study import Study as Study

__version__: str
