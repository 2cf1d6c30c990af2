from .average import Average as Average
from .guided_filter import GuidedFilter as GuidedFilter
from .laplacian_pyramid import LaplacianPyramid as LaplacianPyramid
from .maximum import Maximum as Maximum
from .wavelet import Wavelet as Wavelet
