"""FMI: how much of what the features of the sources tell is told by those of the fused image.

In each window of 3 x 3 pixels the features of a source and of the fused image, scaled to sum 1, are taken for two
distributions over the nine places. Nothing says how the two belong together, so the joint distribution is built from
the marginals: a mixture of independence and of the strongest dependence that the marginals allow, in the
proportion that gives the correlation of the two windows.
"""

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, check_choice, each_channel, grey_levels, ratio
from fusion_lab.metrics.features import FEATURES, edges

Feature = Literal["edge", "gradient", "dct", "pixel"]

SIDE = 3
_PLACES = SIDE * SIDE
_CODES = 2**_PLACES
"""How many windows of 0 and 1 there are."""

CHUNK = 4096
"""Windows at a time: their 9 x 9 joint distributions stay in a processor's cache."""


@each_channel
def feature_mutual_information(fused: Tensor, source_a: Tensor, source_b: Tensor, feature: Feature = "edge") -> Tensor:
    """FMI: the mean over all 3 x 3 windows and both sources of ``2 I / (H(X) + H(F))`` (Haghighat & Razian, 2014).

    Follows the authors' ``fast-FMI``: a window that is the same in both images counts 1; two constant windows of
    different value count 1 too, which there is a matter of rounding, but published tables rest on it.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 3 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        feature: ``"edge"``, thinned Sobel edges, is what tables call FMI or FMI_pixel; ``"gradient"`` is the horizontal
            one alone, ``"dct"`` the cosine transform of the whole image, ``"pixel"`` the image itself.

    Returns:
        ``(B,)``, 0..1.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another feature.
    """
    check_choice("feature", feature, Feature)
    levels = grey_levels(fused, source_a, source_b, minimum_side=SIDE)
    if feature == "edge":
        return _of_binary_features(*(edges(level) for level in levels))
    windows_f, windows_a, windows_b = (_windows(FEATURES[feature](level)) for level in levels)
    return (_mean_information(windows_a, windows_f) + _mean_information(windows_b, windows_f)) / 2


def _of_binary_features(feature_f: Tensor, feature_a: Tensor, feature_b: Tensor) -> Tensor:
    """Return FMI of features of 0 and 1, ``(B,)``, from a count of the pairs of windows: only some thousand differ."""
    code_f, code_a, code_b = (_codes(feature) for feature in (feature_f, feature_a, feature_b))
    pairs = torch.stack([code_a, code_b], dim=1) * _CODES + code_f[:, None]
    batch = len(pairs)
    image = torch.arange(batch, device=pairs.device).view(batch, 1, 1, 1)
    counts = torch.bincount((image * _CODES**2 + pairs).flatten(), minlength=batch * _CODES**2).view(batch, _CODES**2)
    (present,) = counts.sum(0).nonzero(as_tuple=True)
    bit = torch.arange(_PLACES, device=pairs.device)
    source, fused = (((code[:, None] >> bit) & 1).double() for code in (present // _CODES, present % _CODES))
    total = counts[:, present].double() @ _in_chunks(source, fused)
    return (total / pairs[0].numel()).to(feature_f.dtype)


def _codes(feature: Tensor) -> Tensor:
    """Number each 3 x 3 window of 0 and 1 by 0..511, bits in the order of `_windows`: ``(B, H - 2, W - 2)``."""
    feature = feature.long()
    rows = feature[:, :-2] + 2 * feature[:, 1:-1] + 4 * feature[:, 2:]
    return rows[..., :-2] + 8 * rows[..., 1:-1] + 64 * rows[..., 2:]


def _windows(feature: Tensor) -> Tensor:
    """Return all 3 x 3 windows, column by column: ``(B, H, W)`` to ``(B, (H - 2) (W - 2), 9)``."""
    return feature.unfold(1, SIDE, 1).unfold(2, SIDE, 1).transpose(3, 4).reshape(len(feature), -1, _PLACES)


def _mean_information(source: Tensor, fused: Tensor) -> Tensor:
    """Return the mean over the windows of each image: two ``(B, N, 9)`` to ``(B,)``."""
    return _in_chunks(source.flatten(0, 1), fused.flatten(0, 1)).view(len(source), -1).mean(1)


def _in_chunks(source: Tensor, fused: Tensor) -> Tensor:
    """Return `window_information` of any number of windows in little memory."""
    chunks = zip(source.split(CHUNK), fused.split(CHUNK), strict=True)
    return torch.cat([window_information(*chunk) for chunk in chunks])


def window_information(source: Tensor, fused: Tensor) -> Tensor:
    """Return ``2 I(X;F) / (H(X) + H(F))`` of pairs of windows.

    Args:
        source: Features of a source, ``(N, 9)``.
        fused: Those of the fused image, ``(N, 9)``.

    Returns:
        ``(N,)``; 1 where both windows are the same.
    """
    p, p_flat = _distribution(source)
    q, q_flat = _distribution(fused)
    correlation = torch.where(p_flat & q_flat, 1, _correlation(p, q))

    # The strongest dependence: both distributions cut the same unit of probability into intervals, one forwards, the
    # other forwards or, for a negative correlation, backwards. What two intervals share is their joint probability.
    p_end, q_end = p.cumsum(1), q.cumsum(1)
    p_start, q_start = p_end - p, q_end - q
    backwards = (correlation < 0)[:, None]
    p_start, p_end = torch.where(backwards, 1 - p_end, p_start), torch.where(backwards, 1 - p_start, p_end)
    joint = torch.minimum(q_end[:, :, None], p_end[:, None])
    joint = joint.sub_(torch.maximum(q_start[:, :, None], p_start[:, None])).clamp_(min=0)

    place = torch.arange(1, _PLACES + 1, dtype=p.dtype, device=p.device)
    p_mean, q_mean = p @ place, q @ place
    spread = ((p @ place.square() - p_mean.square()) * (q @ place.square() - q_mean.square())).clamp(min=0).sqrt()
    covariance = ((joint @ place) * place).sum(1) - p_mean * q_mean
    # A distribution on one place depends on nothing; rounding must not give it a share.
    share = torch.where(spread == 0, 0, ratio(correlation * spread, covariance))[:, None, None]
    joint = joint.mul_(share).add_((1 - share) * q[:, :, None] * p[:, None])

    separate = _entropy(p) + _entropy(q)
    score = ratio(2 * (separate - _entropy(joint.flatten(1))), separate)
    return torch.where((source == fused).all(1), 1, score)


def _distribution(window: Tensor) -> tuple[Tensor, Tensor]:
    """Scale windows ``(N, 9)`` to 0..1 and then to sum 1; tell which are constant, ``(N,)``: they become uniform."""
    low, high = window.amin(1, keepdim=True), window.amax(1, keepdim=True)
    scaled = torch.where(low == high, 1, (window - low) / (high - low))
    return scaled / scaled.sum(1, keepdim=True), (low == high)[:, 0]


def _correlation(p: Tensor, q: Tensor) -> Tensor:
    """Return Pearson's r of the probabilities of each pair, ``(N,)``; 0 where one of them is uniform."""
    p, q = p - 1 / _PLACES, q - 1 / _PLACES
    return ratio((p * q).sum(1), (p.square().sum(1) * q.square().sum(1)).sqrt())


def _entropy(distribution: Tensor) -> Tensor:
    """Return ``-sum p log2 |p|``, ``(N,)``: mixtures with a share above 1 have slightly negative entries."""
    return -torch.xlogy(distribution, distribution.abs()).sum(1) / math.log(2)


class FeatureMutualInformation(FusionMetric):
    """FMI, see `feature_mutual_information`.

    Args:
        feature: What is looked at.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "FMI"
    higher_is_better = True

    def __init__(self, feature: Feature = "edge", **options: Any) -> None:
        check_choice("feature", feature, Feature)
        super().__init__(**options)
        self.feature: Feature = feature

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return FMI of each image, ``(B,)``."""
        return feature_mutual_information(fused, source_a, source_b, self.feature)
