from .build import Experiment as Experiment
from .cluster import Cluster as Cluster
from .cluster import Job as Job
from .compose import compose as compose
from .result import Result as Result
from .run import Run as Run
from .synthesis import load_synthesis as load_synthesis
