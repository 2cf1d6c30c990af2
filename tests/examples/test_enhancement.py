import numpy as np
import pytest
import torch

from examples.cifar100.enhancement import enhance_batch
from fusion_lab.data.images import Picture
from fusion_lab.inference.fuser import Fuser
from fusion_lab.networks import TITA, GIFNet
from tests.tiny import NETWORK


@pytest.mark.parametrize("make", [lambda: GIFNet(width=4), lambda: TITA(**NETWORK)])
def test_a_batch_is_enhanced_as_one_by_one(make):
    torch.manual_seed(0)
    network = make().eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), np.uint8)
    fuser = Fuser(network)
    single = [fuser(Picture(image), Picture(image)).pixels for image in images]
    assert np.array_equal(enhance_batch(network, images), np.stack(single))


def test_grey_images_stay_grey_with_three_channels():
    images = np.repeat(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), np.uint8), 3, axis=3)
    enhanced = enhance_batch(GIFNet(width=4), images)
    assert enhanced.shape == images.shape
    assert (enhanced == enhanced[..., :1]).all()
