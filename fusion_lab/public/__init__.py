"""Public data sets and weights: where they are, how they are fetched, and the checksums they are known by."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
