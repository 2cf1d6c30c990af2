"""Fusion without learning, one method a file: the rows that every table needs for comparison."""

import lazy_loader

# Two of them load kornia, which fusing with a network should not wait for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
