import numpy as np

from fusion_lab.reporting.pictures import picture_grid


def test_row_of_images_and_maps(tmp_path):
    generator = np.random.default_rng(0)
    feature_map = generator.normal(5, 1, (20, 30)).astype(np.float32)
    images = {
        "grey": generator.integers(0, 256, (20, 30), np.uint8),
        "colour": generator.integers(0, 2**16, (20, 30, 3)).astype(np.uint16),
        "map": feature_map,
    }
    figure = picture_grid([images])
    assert [axis.get_title() for axis in figure.axes] == list(images)
    grey, colour, drawn = (axis.images[0] for axis in figure.axes)
    assert np.array_equal(grey.get_array() * 255, images["grey"])
    assert grey.get_clim() == (0, 1)
    np.testing.assert_allclose(colour.get_array(), images["colour"] / 65535, atol=1e-6)
    np.testing.assert_allclose(drawn.get_clim(), np.percentile(feature_map, (1, 99)))
    # Every image keeps its shape.
    size = figure.get_size_inches()
    for axis in figure.axes:
        box = axis.get_position()
        assert np.isclose(box.width * size[0] / (box.height * size[1]), 30 / 20)


def test_rows_may_differ_in_size_and_number():
    rows = [{"a": np.zeros((10, 20), np.uint8), "b": np.zeros((10, 20), np.uint8)}, {"c": np.zeros((30, 10), np.uint8)}]
    figure = picture_grid(rows)
    boxes = [axis.get_position() for axis in figure.axes]
    assert boxes[0].y0 == boxes[1].y0 > boxes[2].y1
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
    size = figure.get_size_inches()
    shapes = [box.width * size[0] / (box.height * size[1]) for box in boxes]
    np.testing.assert_allclose(shapes, [2, 2, 1 / 3])
