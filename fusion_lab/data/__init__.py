"""Data: pairs of images, their mixing into batches, and the modules that Lightning asks for them."""

import lazy_loader

# Reading an image should not wait for Lightning.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
