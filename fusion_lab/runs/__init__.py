"""One training: its configuration, its folder, what it comes to, and how it goes on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
