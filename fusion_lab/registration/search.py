"""Looking for the best warp: coarsely among all turns, scales and shifts, then by ECC."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from fusion_lab.registration.edges import Matrix, Values, similarity, warp

MOTIONS = {
    "translation": [cv2.MOTION_TRANSLATION],
    "affine": [cv2.MOTION_AFFINE],
    "homography": [cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY],
}
"""The motions that are tried one after the other, by what is looked for."""

_SCALES = np.geomspace(0.8, 1.25, 9)
_ANGLES = (-6, -3, 0, 3, 6)
"""Degrees."""
_REACH = 0.2
"""The largest shift, as a share of the sides."""
_GAIN = {cv2.MOTION_TRANSLATION: 0.0, cv2.MOTION_AFFINE: 0.0, cv2.MOTION_HOMOGRAPHY: 0.01}
"""How much the similarity must gain before a motion is believed: a homography bends corners where nothing is seen."""
_ITERATIONS = 60
_SMOOTHING = 5


def candidates(a: Values, b: Values, turned: bool = True) -> list[Matrix]:
    """Return warps from the pixels of ``a`` to those of ``b``, the most promising first.

    For each scale and angle the shifts come from the correlation of the edge maps ``(3, H, W)``, by Fourier transforms.

    Args:
        a: Edge maps of the first image.
        b: Those of the second.
        turned: Try other scales and angles than that of no warp.
    """
    size = a.shape[:0:-1]
    padded = (2 * a.shape[1], 2 * a.shape[2])
    spectrum = np.conj(np.fft.rfft2(a, padded))
    rows, columns = (max(1, int(side * _REACH)) for side in a.shape[1:])
    found = []
    for start in _turns(size) if turned else [np.eye(3)]:
        moved = np.stack([warp(channel, start, size) for channel in b])
        energy = np.sqrt(float((moved**2).sum())) or 1.0
        correlation = np.fft.irfft2((spectrum * np.fft.rfft2(moved, padded)).sum(axis=0), padded)
        near = np.roll(correlation, (rows, columns), (0, 1))[: 2 * rows + 1, : 2 * columns + 1]
        for _ in range(2):
            y, x = np.unravel_index(int(near.argmax()), near.shape)
            shift = np.array([[1.0, 0, x - columns], [0, 1, y - rows], [0, 0, 1]])
            found.append((float(near[y, x]) / energy, start @ shift))
            near[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = -np.inf
    found.sort(key=lambda one: -one[0])
    return [matrix for _, matrix in found]


def refine(a: Values, b: Values, matrix: Matrix, motions: Sequence[int]) -> tuple[Matrix, float]:
    """Improve a warp by ECC for each motion in turn, where it improves; returns the similarity too."""
    best = similarity(a, b, matrix)
    for motion in motions:
        better = ecc(a, b, matrix, motion)
        if better is not None and (value := similarity(a, b, better)) > best + _GAIN.get(motion, 0.0):
            matrix, best = better, value
    return matrix, best


def ecc(a: Values, b: Values, matrix: Matrix, motion: int, mask: Values | None = None) -> Matrix | None:
    """Return the warp of the largest enhanced correlation coefficient nearby; None where it does not settle.

    Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization",
    IEEE TPAMI 2008, of the strengths of edges.

    Args:
        a: Edge maps ``(3, H, W)`` of the first image.
        b: Those of the second.
        matrix: Where to begin, ``(3, 3)``.
        motion: One of OpenCV's ``MOTION_*``.
        mask: Which pixels of ``a`` count, ``(H, W)``, 0 or not; all unless given.
    """
    start = (matrix / matrix[2, 2]).astype(np.float32)
    start = start if motion == cv2.MOTION_HOMOGRAPHY else start[:2].copy()
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, 1e-5)
    counted = (np.ones(a.shape[1:]) if mask is None else mask).astype(np.uint8)
    try:
        _, found = cv2.findTransformECC(a[0], b[0], start, motion, criteria, counted, _SMOOTHING)
    except cv2.error:
        return None
    whole = np.eye(3)
    whole[: found.shape[0]] = found
    return whole if np.isfinite(whole).all() else None


def _turns(size: tuple[int, ...]) -> Iterator[Matrix]:
    """Return turns and scales about the centre."""
    centre = (np.array(size) - 1) / 2
    for scale in _SCALES:
        for angle in np.deg2rad(_ANGLES):
            turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            matrix = np.eye(3)
            matrix[:2, :2], matrix[:2, 2] = turn, centre - turn @ centre
            yield matrix
