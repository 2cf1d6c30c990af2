"""The steerable pyramid of Simoncelli & Freeman (1995) with filters of the fifth order, as far as metrics need it.

The filters are "sp5" of pyrtools, https://github.com/LabForComputationalVision/pyrtools (a port of matlabPyrTools),
under the MIT licence, Copyright (c) 2016 LabForComputationalVision:

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions: The above copyright notice
and this permission notice shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS
PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT
HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

# Of filters that are symmetric about both axes and the diagonal, one octant: row i from column i, 0 is the centre.
FIRST_LOW_PASS = ((0.40304148, 0.1592557, -0.03848215), (0.05586982, -0.01551246), (0.00341614,))
LOW_PASS = (
    (0.2019308, 0.16339236, 0.07962786, 0.02005976, -0.01924108),
    (0.12852666, 0.06554076, 0.008212, -0.01888864),
    (0.02793492, -0.01322234, -0.00775624),
    (-0.01046562, -0.00489834),
    (0.00170808,),
)
# The band of vertical edges: rows from the centre down, columns 1 to 3 right of it; to the left the signs change.
ORIENTED = (
    (0.11732297, -0.02755155, -0.01455399),
    (0.08226445, -0.01189859, -0.01026699),
    (0.03075356, 0.00893064, -0.00496194),
    (0.01021852, 0.00986904, -0.00277643),
)


def _from_octant(octant: tuple[tuple[float, ...], ...]) -> Tensor:
    reach = len(octant) - 1
    rows = [
        [octant[min(abs(y), abs(x))][abs(abs(y) - abs(x))] for x in range(-reach, reach + 1)]
        for y in range(-reach, reach + 1)
    ]
    return torch.tensor(rows, dtype=torch.float64)


@lru_cache(maxsize=2)
def _kernels(first: bool) -> Tensor:
    """Return a level's filters ``(3, taps, taps)``: of both orientations, and the one before the next level.

    With those of the first level the low-pass that comes before it is merged; being symmetric, it changes nothing in
    how the image goes on beyond its border.
    """
    with torch.inference_mode(False):
        down = torch.tensor(ORIENTED, dtype=torch.float64)
        right = torch.cat([down.flip(0)[:-1], down])
        vertical = torch.cat([-right.flip(1), torch.zeros(7, 1, dtype=torch.float64), right], dim=1)
        oriented = [F.pad(band, (1, 1, 1, 1)) for band in (vertical, -vertical.T)]
        kernels = torch.stack([*oriented, _from_octant(LOW_PASS)])
        if not first:
            return kernels
        before = _from_octant(FIRST_LOW_PASS)
        return F.conv2d(kernels[:, None], before[None, None], padding=len(before) - 1)[:, 0]


@lru_cache(maxsize=8)
def _spectra(first: bool, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the factors ``(3, height, width // 2 + 1)`` that correlate with a level's filters."""
    with torch.inference_mode(False):
        kernels = _kernels(first).to(device)
        centred = F.pad(kernels, (0, width - kernels.shape[2], 0, height - kernels.shape[1]))
        reach = kernels.shape[1] // 2
        spectra = torch.fft.rfft2(centred.roll((-reach, -reach), (1, 2))).conj().resolve_conj()
        return spectra.to(dtype.to_complex())


def oriented_bands(images: Tensor, levels: int = 4) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the bands of vertical and of horizontal edges, from the finest level to the coarsest.

    They are bands 1 and 4 of the pyramid's 6 orientations. Beyond the border the image is mirrored.

    Args:
        images: ``(N, H, W)`` in floating point, more than 6 pixels a side at the first level and 4 at the last.
        levels: Number of levels; each has half the height and width of the one before, rounded up.

    Yields:
        For each level two times ``(N, h, w)``.
    """
    for level in range(levels):
        height, width = images.shape[1:]
        reach = _kernels(level == 0).shape[1] // 2
        # Multiples of 32 have fast transforms.
        size = tuple(-(-(side + 2 * reach) // 32) * 32 for side in (height, width))
        padded = F.pad(images[:, None], (reach,) * 4, mode="reflect")[:, 0]
        spectrum = torch.fft.rfft2(padded, s=size)
        inside = (..., slice(reach, reach + height), slice(reach, reach + width))
        vertical, horizontal, low_pass = _spectra(level == 0, *size, images.dtype, images.device)
        yield (
            torch.fft.irfft2(spectrum * vertical, s=size)[inside],
            torch.fft.irfft2(spectrum * horizontal, s=size)[inside],
        )
        if level < levels - 1:
            images = torch.fft.irfft2(spectrum * low_pass, s=size)[inside][:, ::2, ::2]
