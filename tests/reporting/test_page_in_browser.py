"""The report page in a real browser: what clicks, drags and keys do, and that nothing is fetched or complained of."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from fusion_lab.reporting.page import FusedImage, ReportPair, write_page
from fusion_lab.reporting.page_scores import MetricColumn, ScoredPair

METRICS = [
    MetricColumn("EN", True, "Entropy"),
    MetricColumn("Nabf", False, "Artifacts", decimals=2),
    MetricColumn("SCD", True, decimals=1),
]
NASTY = "<img src=x onerror=alert(1)>"
SCORES = {
    "TITA": {"EN": 7.0, "Nabf": 0.10, "SCD": -0.5},
    "Average": {"EN": 10.0, "Nabf": 0.30, "SCD": 1.0},
    NASTY: {"EN": 9.0, "SCD": 1.5},
}
LEVELS = {"TITA": 14, "Average": 60, NASTY: 10}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with two pairs of constant images, and a third pair that only has scores."""
    path = tmp_path_factory.mktemp("page") / "report.html"

    def grey(level):
        return np.full((60, 80), level, np.uint8)

    fused = [FusedImage(method, grey(LEVELS[method]), scores) for method, scores in SCORES.items()]
    pairs = [ReportPair(name, "ivf", grey(10), grey(200), fused) for name in ("one", "two")]
    third = ScoredPair("three", "ivf", {"TITA": {"EN": 3.5, "Nabf": 0.2}, "Average": {"Nabf": 0.2}})
    write_page(path, "Report", "What was done.", pairs, METRICS, [third])
    return path


@pytest.fixture
def page(browser, report):
    """The page, opened from disk; a test fails if the console tells anything or anything is fetched."""
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    told, fetched = [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert not told
    assert [url for url in fetched if not url.startswith("data:")] == [report.as_uri()]
    page.close()


@pytest.fixture
def pair(page):
    return page.locator("article").first


def methods(page):
    return page.locator("#summary tbody tr:not(.task) th").all_text_contents()


def heading(page, label):
    return page.locator("#summary thead th").filter(has_text=label)


def levels(view):
    """What a view shows, as grey levels ``(H, W)``: a band inside its rounded corners and above the divider's knob."""
    pixels = np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB"))[8:80, 8:-8]
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def transforms(pair):
    """The zooms and places of all images of a pair that are seen: factor, shift to the right and down, in images."""
    script = "all => all.map(i => [new DOMMatrix(getComputedStyle(i).transform), i.offsetWidth, i.offsetHeight])"
    script = f"all => ({script})(all).map(([m, w, h]) => [m.a, m.e / w, m.f / h])"
    return np.array(pair.locator("img:visible").evaluate_all(script))


def seen(place, images):
    """The same zoom and place in so many images; layout rounds to parts of a pixel."""
    return pytest.approx(np.array([place] * images), abs=0.011)


def stage(pair, view, left, right):
    pair.get_by_role("radio", name=view).check()
    pair.get_by_role("combobox", name="Left").select_option(left)
    pair.get_by_role("combobox", name="Right").select_option(right)
    return pair.locator(".stage .view")


def test_a_heading_sorts_by_click_and_by_keyboard(page):
    assert methods(page) == ["TITA", "Average", NASTY]
    heading(page, "EN").get_by_role("button").click()
    # The third pair brings the mean of TITA down to 5.833.
    assert methods(page) == ["Average", NASTY, "TITA"]
    assert heading(page, "EN").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert methods(page) == ["TITA", NASTY, "Average"]
    assert heading(page, "EN").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    # The lower is the better; what has no score stays last.
    assert methods(page) == ["TITA", "Average", NASTY]
    assert page.locator("#summary th[aria-sort]").count() == 1
    page.keyboard.press("Space")
    assert methods(page) == ["Average", "TITA", NASTY]


def test_bars_are_drawn_to_one_scale_from_zero(page):
    assert page.locator("#bars h4").all_text_contents() == ["one", "two", "three"]
    assert page.locator("#bars h4 a").count() == 2

    def parts():
        script = "rows => rows.map(r => [...r.querySelectorAll('.track span')].map(b => [b.style.left, b.style.width]))"
        return page.locator("#bars li").evaluate_all(script)

    assert parts() == [*[[["0%", "70%"]], [["0%", "100%"]], [["0%", "90%"]]] * 2, [["0%", "35%"]], []]
    assert page.locator(".winner > :last-child").all_text_contents() == ["10.000"] * 2
    page.locator("#metric").select_option("SCD")
    assert parts() == [*[[["0%", "25%"]], [["25%", "50%"]], [["25%", "75%"]]] * 2, [], []]
    assert page.locator(".winner > :first-child").all_text_contents() == [NASTY] * 2
    page.locator("#metric").select_option("Nabf")
    # In the third pair both are alike.
    assert page.locator(".winner > :first-child").all_text_contents() == ["TITA"] * 2


def test_the_divider_moves_by_mouse_and_clips_the_image(page, pair):
    view = stage(pair, "Swipe", "Source A", "Source B")
    pair.scroll_into_view_if_needed()
    box = view.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    page.mouse.move(box["x"] + 0.2 * box["width"], middle)
    page.mouse.up()
    page.mouse.move(box["x"] + 0.9 * box["width"], middle)
    assert view.get_by_role("slider").get_attribute("aria-valuenow") == "20"
    shown = levels(view)
    width = shown.shape[1]
    assert (shown[:, : int(0.17 * width)] == 10).all()
    assert (shown[:, int(0.23 * width) :] == 200).all()


def test_the_divider_moves_by_keys(page, pair):
    view = stage(pair, "Swipe", "Source B", "Average")
    divider = view.get_by_role("slider")
    divider.focus()
    page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "52"
    page.keyboard.press("End")
    assert (levels(view)[:, :-20] == 200).all()
    page.keyboard.press("Home")
    assert (levels(view)[:, 20:] == 60).all()
    page.keyboard.press("ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "0"


def test_the_difference_is_zero_for_equal_images_and_grows_with_the_gain(pair):
    view = stage(pair, "Difference", "Source A", NASTY)
    pair.get_by_role("combobox", name="Gain").select_option("32")
    assert (levels(view) == 0).all()
    view = stage(pair, "Difference", "TITA", "Source A")
    for gain in (1, 4, 8):
        pair.get_by_role("combobox", name="Gain").select_option(str(gain))
        assert (levels(view) == 4 * gain).all()
    # Without a sign: the brighter image may be on either side.
    view = stage(pair, "Difference", "Source A", "TITA")
    assert (levels(view) == 32).all()
    assert "Source A and TITA, times 8" in pair.locator(".stage figcaption").text_content()


def test_zoom_and_place_are_those_of_all_views_of_a_pair(page, pair):
    page.locator(".images .view").nth(1).focus()
    for key in ("+", "+", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    # The middle of what is seen went by a tenth of the view a step, from 0.5 to 0.55 and to 0.475.
    moved = [4, 0.5 - 4 * 0.55, 0.5 - 4 * 0.475]
    assert transforms(pair) == seen(moved, 5)
    for mode in ("Swipe", "Difference"):
        stage(pair, mode, "Source A", "TITA")
        assert transforms(pair) == seen(moved, 2)
    assert pair.locator(".zoom output").text_content() == "4×"
    assert transforms(page.locator("article").nth(1)) == seen([1, 0, 0], 5)
    pair.get_by_role("button", name="Whole").click()
    assert transforms(pair) == seen([1, 0, 0], 2)


def test_the_mouse_zooms_in_where_it_is_and_drags(page, pair):
    view = pair.locator(".images .view").first
    view.scroll_into_view_if_needed()
    box = view.bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2

    def drag(right):
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + right * box["width"], y)
        page.mouse.up()

    page.mouse.dblclick(x, y)
    # What was under the pointer, a quarter of the width, still is.
    assert transforms(pair) == seen([2, -0.25, -0.5], 5)
    drag(-0.1)
    assert transforms(pair) == seen([2, -0.35, -0.5], 5)
    # No drag leaves the image.
    drag(5)
    assert transforms(pair) == seen([2, 0, -0.5], 5)
    page.keyboard.press("Escape")
    assert transforms(pair) == seen([1, 0, 0], 5)
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(pair.locator(".zoom output")).to_have_text("1.9×")


def test_everything_is_reached_by_keys_alone(page, pair):
    pair.get_by_role("radio", name="Swipe").focus()
    page.keyboard.press("Space")
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className || document.activeElement.type"))
    assert reached[:7] == ["left", "right", "out", "in", "whole", "view", "divider"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    colours = page.evaluate(
        "() => Object.fromEntries(['--paper', '--card', '--ink', '--soft', '--accent', '--best'].map("
        "name => [name.slice(2), getComputedStyle(document.documentElement).getPropertyValue(name).trim()]))"
    )

    def luminance(colour):
        levels = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
        return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    pairs = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "card")] + [("accent", "best")]
    for ink, ground in pairs:
        dark, light = sorted([luminance(colours[ink]), luminance(colours[ground])])
        # WCAG 2, level AA.
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_narrow_screen_needs_no_sideways_scrolling(page, pair):
    page.set_viewport_size({"width": 360, "height": 700})
    for mode in ("All images", "Swipe", "Difference"):
        pair.get_by_role("radio", name=mode).check()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
