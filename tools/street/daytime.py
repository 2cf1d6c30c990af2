"""The light of four hours."""

from dataclasses import dataclass

from tools.street.colours import Colour


@dataclass(frozen=True)
class Daytime:
    """Light of an hour and what it demands of the visible camera."""

    ambient: Colour
    """Linear light on a white surface in the open, per channel; 1 saturates the camera."""
    zenith: Colour
    """Colour of the sky overhead."""
    horizon: Colour
    """Colour of the sky at its foot, and of haze."""
    sunlit: float
    """Share of the light that a shadow takes away."""
    lamps: float
    """Linear light on a white surface below a street lamp; 0 while the lamps are off."""
    noise: float
    """Standard deviation of the visible camera's noise, in linear light at full scale."""

    @property
    def dark(self) -> bool:
        """Whether lamps are lit."""
        return self.lamps > 0


DAYTIMES = {
    "day": Daytime((0.95, 0.92, 0.86), (92, 140, 205), (205, 218, 230), 0.72, 0.0, 0.004),
    "overcast": Daytime((0.55, 0.57, 0.60), (150, 158, 168), (196, 200, 204), 0.25, 0.0, 0.004),
    "dusk": Daytime((0.15, 0.11, 0.12), (58, 62, 104), (226, 138, 84), 0.3, 0.5, 0.008),
    "night": Daytime((0.012, 0.014, 0.022), (8, 10, 20), (26, 26, 36), 0.2, 0.75, 0.012),
}
