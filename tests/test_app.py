"""The page in a real browser, and what lies under it."""

import io
import signal
import socket
import subprocess
import sys
from functools import partial
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the extra app is not installed")
from playwright.sync_api import expect

from fusion_lab.app import App, app, serve
from fusion_lab.cli.main import main
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.weights import save_network
from fusion_lab.networks import TITA, Maximum

WAIT = 20_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two dark and light pairs of 8 and 16 bits, one of another size, and one that is no image."""
    folder = tmp_path_factory.mktemp("images")
    for name, level in (("a", 40), ("b", 200)):
        image = np.full((48, 64, 3), level, np.uint8)
        image[:16, : 32 if name == "a" else 64] = 255
        Image.fromarray(image).save(folder / f"{name}.png")
        cv2.imwrite(str(folder / f"{name}16.png"), np.full((48, 64), level * 257 + 3, np.uint16))
    Image.fromarray(np.zeros((48, 32), np.uint8)).save(folder / "narrow.png")
    (folder / "text.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def address():
    page = app()
    yield serve(page, wait=False)
    page.close(verbose=False)


@pytest.fixture
def page(browser, address):
    """The page; a test fails if a script fails or anything is fetched from elsewhere."""
    page = browser.new_page(viewport={"width": 1000, "height": 1100})
    page.set_default_timeout(WAIT)
    errors, fetched = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(address)
    yield page
    assert not errors
    assert [url for url in fetched if not url.startswith((address, "data:", "blob:"))] == []
    page.close()


def drop(page, *paths):
    """Give A and B their files."""
    for number, path in enumerate(paths):
        place = page.locator("input[type=file]").nth(number)
        with page.expect_response(lambda response: "/upload" in response.url):
            place.set_input_files(path)
    expect(page.locator("img[src*='/file=']")).to_have_count(len(paths), timeout=WAIT)


def fuse(page):
    page.get_by_role("button", name="Fuse").click()


def choose(page, network):
    page.get_by_label("Network").click()
    page.get_by_role("option", name=network).click()


def downloaded(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download PNG").click()
    download.value.save_as(tmp_path / "fused.png")
    return cv2.imread(str(tmp_path / "fused.png"), cv2.IMREAD_UNCHANGED)


def test_two_images_become_one(page, files, tmp_path):
    drop(page, files / "a.png", files / "b.png")
    choose(page, "Maximum")
    fuse(page)
    slide = page.locator("#swipe")
    expect(slide.locator("img").first).to_be_visible(timeout=WAIT)
    found = downloaded(page, tmp_path)
    expected = np.maximum(cv2.imread(str(files / "a.png")), cv2.imread(str(files / "b.png")))
    assert np.array_equal(found if found.ndim == 3 else found[..., None].repeat(3, 2), expected)

    def colours():
        pixels = np.asarray(Image.open(io.BytesIO(slide.screenshot())).convert("L"))
        # Below the label, left and right of the line.
        row = pixels[pixels.shape[0] * 3 // 4]
        return row[row.size // 2 - 60], row[row.size // 2 + 60]

    assert colours() == (40, 200)
    line = slide.locator(".inner, [role=slider]").first.bounding_box()
    page.mouse.move(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2)
    page.mouse.down()
    page.mouse.move(line["x"] + 130, line["y"] + line["height"] / 2, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert colours() == (40, 40)


def test_16_bits_stay(page, files, tmp_path):
    drop(page, files / "a16.png", files / "b16.png")
    choose(page, "Maximum")
    fuse(page)
    page.get_by_role("button", name="Download PNG").wait_for()
    found = downloaded(page, tmp_path)
    assert found.dtype == np.uint16
    assert np.unique(found).tolist() == [200 * 257 + 3]


def test_mistakes_are_told_on_the_page(page, files):
    fuse(page)
    expect(page.locator("#told")).to_contain_text("Two images are needed", timeout=WAIT)
    drop(page, files / "a.png", files / "narrow.png")
    choose(page, "Average")
    fuse(page)
    expect(page.locator("#told")).to_contain_text("64x48", timeout=WAIT)
    expect(page.locator("#swipe")).not_to_be_visible()


def test_a_file_that_is_no_image_is_told(page, files):
    drop(page, files / "a.png", files / "text.png")
    choose(page, "Average")
    fuse(page)
    expect(page.locator("#told")).to_contain_text("B cannot be used", timeout=WAIT)


def test_what_is_told_names_the_file_alone(files):
    with pytest.raises(FusionLabError, match="B cannot be used") as error:
        App().fuse(str(files / "a.png"), str(files / "text.png"), "Average", "both")
    assert str(files) not in str(error.value)


def test_networks_are_loaded_once_and_when_they_are_needed(files):
    loaded = []

    def load():
        loaded.append(True)
        return Maximum()

    under = App({"mine": load})
    assert not loaded
    for _ in range(2):
        path, images = under.fuse(str(files / "a.png"), str(files / "b.png"), "mine", "grey")
    assert len(loaded) == 1
    assert Image.open(path).mode == "L"
    assert [image.size for image in images] == [(64, 48)] * 3


def test_the_command_serves_the_page_until_it_is_stopped():
    command = [sys.executable, "-m", "fusion_lab.cli.main", "app", "--weights", "fusion_lab.networks.Wavelet"]
    # A shell that runs the tests in the background has its processes ignore Ctrl-C, and they hand that on.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=listen) as process:
        line = process.stdout.readline()
        assert line.startswith("The page is at http://127.0.0.1:"), process.stderr.read()
        with urlopen(line.split()[4], timeout=20) as answer:
            assert b"fusion_lab" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)


def test_a_port_that_is_taken(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["app", "--port", str(taken.getsockname()[1])]) == 2
    assert "is taken" in capsys.readouterr().err


def test_wrong_weights_and_a_missing_extra(monkeypatch, capsys):
    assert main(["app", "--weights", "missing.safetensors"]) == 2
    assert "missing.safetensors" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app"]) == 2
    assert "pip install 'fusion_lab[app]'" in capsys.readouterr().err


def test_given_networks_never_hide_each_other_or_those_of_the_package(tmp_path):
    import gradio

    files = [tmp_path / name for name in ("tita.safetensors", "mine.safetensors", "other/mine.safetensors")]
    for file in files:
        save_network(TITA(12, 2, num_interaction_blocks=1), file)
    blocks = app(files)
    [choice] = [block for block in blocks.blocks.values() if isinstance(block, gradio.Dropdown)]
    offered = [name for name, _ in choice.choices]
    assert offered[:3] == [str(files[0]), "mine", str(files[2])]
    assert choice.value == offered[0]
    assert offered.count("tita") == 1
