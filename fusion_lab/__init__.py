"""fusion_lab: train, ablate, compare and use unified image-fusion networks."""

import lazy_loader

__version__ = "0.1.0"
# The public names are those of the stub beside, imported at their first use: `import fusion_lab` alone stays light.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
