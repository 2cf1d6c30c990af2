"""Many trainings: which, how they are launched, and the table of what they came to."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
