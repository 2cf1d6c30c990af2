"""How long the metrics of the protocol `tita` take against plain programs, and how much memory.

    python benchmarks/metrics.py [--repeats 5] [--threads 1]

The plain programs below are written from the formulas the way that the published Python code is: NumPy and SciPy for
VIF and Qabf (as CDDFuse), loops over pixels for MI (as Metric_Python), over windows for FMI (as its authors' MATLAB
code) and MEF-SSIM (as its authors'). The last two take minutes and are timed on a crop and scaled to the number of
windows. Both sides score the same generated scene of 480 x 640 pixels in float64.
"""

import argparse
import math
import resource
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from fusion_lab.metrics.features import edges
from fusion_lab.metrics.protocols import TITA, VIFB

Image = np.ndarray
Triple = tuple[Image, Image, Image]


def scene(height: int = 480, width: int = 640, channels: int = 1, seed: int = 0) -> Triple:
    """Give a fused image and two sources with edges, texture and noise, ``(H, W)`` or ``(H, W, 3)`` in uint8."""
    generator = np.random.default_rng(seed)

    def plane(sigma: float) -> Image:
        smooth = gaussian_filter(generator.normal(size=(height, width)), sigma)
        steps = gaussian_filter(generator.normal(size=(height, width)), 3 * sigma) > 0
        return 127 + 40 * smooth / smooth.std() + 50 * steps + generator.normal(scale=3, size=(height, width))

    def image(sigma: float) -> Image:
        return np.stack([plane(sigma) for _ in range(channels)], axis=-1).squeeze(-1 if channels == 1 else ())

    source_a, source_b = image(3), image(8)
    fused = np.maximum(source_a, source_b)
    return tuple(np.clip(x, 0, 255).astype(np.uint8) for x in (fused, source_a, source_b))  # type: ignore[return-value]


def mutual_information(fused: Image, source_a: Image, source_b: Image) -> float:
    total = 0.0
    for source in (source_a, source_b):
        joint = np.zeros((256, 256))
        for row in range(fused.shape[0]):
            for column in range(fused.shape[1]):
                joint[source[row, column], fused[row, column]] += 1
        joint /= fused.size
        p, q = joint.sum(1), joint.sum(0)
        filled = joint > 0
        total += (joint[filled] * np.log2(joint[filled] / np.outer(p, q)[filled])).sum()
    return total


def edge_preservation(fused: Image, source_a: Image, source_b: Image) -> float:
    def gradient(image: Image) -> tuple[Image, Image]:
        kernel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        x, y = (convolve2d(image.astype(float), k, "same") for k in (kernel, -kernel.T))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.hypot(x, y), np.where(x == 0, np.pi / 2, np.arctan(y / x))

    strength_f, angle_f = gradient(fused)
    kept = present = 0.0
    for source in (source_a, source_b):
        strength, angle = gradient(source)
        with np.errstate(invalid="ignore"):
            ratio = np.minimum(strength, strength_f) / np.maximum(strength, strength_f)
        ratio = np.where(strength == strength_f, strength_f, ratio)
        aligned = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (aligned - 0.8)))
        kept, present = kept + (quality * strength).sum(), present + strength.sum()
    return kept / present


def visual_information(fused: Image, source_a: Image, source_b: Image) -> float:
    total = 0.0
    for source in (source_a, source_b):
        through = given = 0.0
        for gain, distortion, variance in _gains(source, fused):
            through += np.log10(1 + gain**2 * variance / (distortion + 2)).sum()
            given += np.log10(1 + variance / 2).sum()
        total += through / given
    return total


def fusion_fidelity(fused: Image, source_a: Image, source_b: Image) -> float:
    """VIFF."""
    noise = 0.005 * 255**2
    value = 0.0
    scales = zip(_gains(source_a, fused), _gains(source_b, fused), (1, 0, 0.15, 1), strict=True)
    for (gain_a, *rest_a), (gain_b, *rest_b), weight in scales:
        first = gain_a < gain_b
        gain = np.where(first, gain_a, gain_b)
        distortion, variance = (np.where(first, x, y) for x, y in zip(rest_a, rest_b, strict=True))
        through = np.log10(1 + gain**2 * variance / (distortion + noise)).sum() + 1e-7 * gain.size
        given = np.log10(1 + variance / noise).sum() + 1e-7 * gain.size
        value += weight / 2.15 * through / given
    return value


def _gains(source: Image, fused: Image) -> Iterator[tuple[Image, Image, Image]]:
    """Give local gain, distortion and variance of the source at four scales, by two-dimensional convolutions."""
    source, fused = source.astype(float), fused.astype(float)
    for scale in range(4):
        taps = 2 ** (4 - scale) + 1
        line = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * (taps / 5) ** 2))
        window = np.outer(line, line) / line.sum() ** 2
        if scale:
            source, fused = (convolve2d(x, window, "valid")[::2, ::2] for x in (source, fused))
        mean_s, mean_f, square_s, square_f, product = (
            convolve2d(x, window, "valid") for x in (source, fused, source**2, fused**2, source * fused)
        )
        variance_s = np.maximum(square_s - mean_s**2, 0)
        variance_f = np.maximum(square_f - mean_f**2, 0)
        covariance = product - mean_s * mean_f
        gain = np.maximum(covariance / (variance_s + 1e-10), 0)
        yield gain, np.maximum(variance_f - gain * covariance, 1e-10), variance_s


def feature_information(fused: Image, source_a: Image, source_b: Image) -> float:
    """FMI of the edges of a crop, window by window; the edges themselves cost nothing beside it."""
    map_f, map_a, map_b = (
        edges(torch.from_numpy(image[None].astype(float)))[0].numpy() for image in (fused, source_a, source_b)
    )
    values = []
    for column in range(fused.shape[1] - 2):
        for row in range(fused.shape[0] - 2):
            window = np.s_[row : row + 3, column : column + 3]
            of_fused = map_f[window].T.ravel()
            values += [_window_information(source[window].T.ravel(), of_fused) for source in (map_a, map_b)]
    return float(np.mean(values))


def _window_information(source: Image, fused: Image) -> float:
    if (source == fused).all():
        return 1.0
    flat = [source.min() == source.max(), fused.min() == fused.max()]
    p, q = (np.ones(9) if same else x for x, same in zip((source, fused), flat, strict=True))
    p, q = p / p.sum(), q / q.sum()
    correlation = float(all(flat)) if any(flat) else float(np.corrcoef(p, q)[0, 1])
    end_p, end_q = p.cumsum(), q.cumsum()
    place = np.arange(1, 10)
    spread = math.sqrt(max(p @ place**2 - (p @ place) ** 2, 0) * max(q @ place**2 - (q @ place) ** 2, 0))
    bound = np.zeros((10, 10))
    covariance = 0.0
    for i in range(9):
        for j in range(9):
            if correlation >= 0:
                bound[i + 1, j + 1] = min(end_q[i], end_p[j])
            else:
                bound[i + 1, j + 1] = max(end_q[i] + end_p[j] - 1, 0)
            covariance += bound[i + 1, j + 1] - end_q[i] * end_p[j]
    share = correlation * spread / covariance if spread > 1e-12 and correlation else 0.0
    joint_entropy = 0.0
    for i in range(9):
        for j in range(9):
            density = bound[i + 1, j + 1] - bound[i, j + 1] - bound[i + 1, j] + bound[i, j]
            probability = share * density + (1 - share) * q[i] * p[j]
            if abs(probability) > 1e-15:
                joint_entropy -= probability * math.log2(abs(probability))
    separate = -sum(x * math.log2(x) for x in (*p, *q) if x > 0)
    return 2 * (separate - joint_entropy) / separate if separate else 0.0


def exposure_similarity(fused: Image, source_a: Image, source_b: Image) -> float:
    """MEF-SSIM of three scales, window by window."""
    planes = [image.astype(float) for image in (fused, source_a, source_b)]
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    value = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001)):
        if scale:
            planes = [_half(plane) for plane in planes]
        rows, columns = (side - 10 for side in planes[0].shape)
        values = [
            _window_similarity(*(plane[r : r + 11, c : c + 11] for plane in planes), window)
            for r in range(rows)
            for c in range(columns)
        ]
        value *= max(float(np.mean(values)), 0) ** (weight / 0.6305)
    return value


def _half(plane: Image) -> Image:
    padded = np.pad(plane, ((0, 1), (0, 1)), mode="edge")
    return ((padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4)[::2, ::2]


def _window_similarity(fused: Image, source_a: Image, source_b: Image, window: Image) -> float:
    tiny = np.finfo(float).eps
    free = [x - x.mean() for x in (source_a, source_b)]
    norms = np.array([np.linalg.norm(x) for x in free])
    both = source_a + source_b
    consistency = (np.linalg.norm(both - both.mean()) + tiny) / (norms.sum() + tiny)
    power = min(math.tan(math.pi / 2 * min(consistency, 1 - tiny)), 10)
    strength = norms + 0.001
    weights = (strength / 11) ** power + tiny
    weights /= weights.sum()
    desired = sum(w * x / e for w, x, e in zip(weights, free, strength, strict=True))
    length = np.linalg.norm(desired)
    if length > 0:
        desired = desired * strength.max() / length
    mean_r, mean_f = (window * desired).sum(), (window * fused).sum()
    variance_r = (window * (desired - mean_r) ** 2).sum()
    variance_f = (window * (fused - mean_f) ** 2).sum()
    covariance = (window * (desired - mean_r) * (fused - mean_f)).sum()
    constant = (0.03 * 255) ** 2
    return (2 * covariance + constant) / (variance_r + variance_f + constant)


PLAIN: dict[str, tuple[Callable[[Image, Image, Image], float], int]] = {
    "MI": (mutual_information, 0),
    "FMI": (feature_information, 62),
    "Qabf": (edge_preservation, 0),
    "VIF": (visual_information, 0),
    "VIFF": (fusion_fidelity, 0),
    "SSIM": (exposure_similarity, 100),
}
"""The plain program of each column, and the side of the crop that it is timed on, 0 for the whole image."""


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Give the median time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def plain_seconds(label: str, triple: Triple) -> tuple[float, float]:
    """Give the time of a plain program on the whole image, and how far its value is from the protocol's."""
    program, side = PLAIN[label]
    whole = triple[0].size
    if side:
        triple = tuple(np.ascontiguousarray(image[200 : 200 + side, 200 : 200 + side]) for image in triple)  # type: ignore[assignment]
    start = time.perf_counter()
    value = program(*triple)
    took = time.perf_counter() - start
    scores = TITA.scores(*triple)
    return took * whole / triple[0].size, abs(value - scores[label])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    triple = scene()
    images = [TITA.prepare(image) for image in triple]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    TITA.scores(*triple)
    ours = {
        label: seconds(lambda metric=metric: metric.score(*images), arguments.repeats)
        for label, metric in TITA.metrics.items()
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"Protocol tita, 480 x 640, float64, threads: {arguments.threads}")
    print(f"{'':<8}{'plain, s':>10}{'here, s':>10}{'ratio':>8}{'difference':>12}")
    plain = {}
    for label, took in ours.items():
        plain[label], difference = plain_seconds(label, triple)
        print(f"{label:<8}{plain[label]:>10.3f}{took:>10.4f}{plain[label] / took:>8.1f}{difference:>12.1e}")
    print(f"{'total':<8}{sum(plain.values()):>10.3f}{sum(ours.values()):>10.4f}", end="")
    print(f"{sum(plain.values()) / sum(ours.values()):>8.1f}")
    print(f"peak memory {peak / 2**20:.2f} GiB, of which {before / 2**20:.2f} GiB before the first metric")
    colour = scene(channels=3)
    took = seconds(lambda: VIFB.scores(*colour), 3)
    print(f"Protocol vifb, 480 x 640 in colour: {took:.2f} s an image, {21 * took:.0f} s for 21")


if __name__ == "__main__":
    main()
