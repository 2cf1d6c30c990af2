from .data_sets import PublicDataSet as PublicDataSet
from .data_sets import find_data_set as find_data_set
from .fetching import Fetched as Fetched
from .fetching import fetch_data_set as fetch_data_set
from .weights import PUBLIC_WEIGHTS as PUBLIC_WEIGHTS
from .weights import PublicWeights as PublicWeights
from .weights import fetch_weights as fetch_weights
from .weights import find_public_weights as find_public_weights
