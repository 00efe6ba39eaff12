"""The page in a real Chromium without a network: it draws, answers the mouse, filters, zooms, and fits a phone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from georanker.report.html_report import write_report
from georanker.report.predictions import Predictions
from tests.report.answers import NAUGHTY, PaintedPhotos, some_answers, written
from tests.report.browser import chromium, console, installed, opened, requests, resize

pytestmark = pytest.mark.skipif(
    not (installed() or os.environ.get("CI")),  # where changes land it must not be missing
    reason="chromium and chromedriver are not installed: apt-get install chromium chromium-driver",
)
PHOTOS = 60
BANDS = ["< 1 km", "1–25 km", "25–200 km", "200–750 km", "750–2,500 km", "> 2,500 km"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(some_answers(PHOTOS), tmp_path_factory.mktemp("page") / "answers.parquet")


@pytest.fixture(scope="module")
def page(answers: Path) -> Path:
    photos = PaintedPhotos()
    out = answers.parent / "report.html"
    write_report(answers, out, photo_source=photos, gallery_source=photos)
    return out


def look(browser: Chrome, page: Path, width: int = 1400, height: int = 1000) -> None:
    """Open a page and see that it neither fails nor asks for anything."""
    resize(browser, width, height)
    console(browser), requests(browser)
    opened(browser, page)
    assert console(browser) == []
    assert requests(browser) == [page.resolve().as_uri()]
    assert browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []


def pixel_of(browser: Chrome, row: int, points: str = "answers") -> tuple[float, float]:
    """Return where a photo's answer or truth lies on the map's element, in pixels from its upper left corner."""
    x, y = browser.execute_script(
        "const { xaxis, yaxis } = document.getElementById('map')._fullLayout;"
        f"const at = point(data.{points}, {row});"
        "return [xaxis.l2p(at.longitude), yaxis.l2p(at.latitude)]"
    )
    return x, y


def lonely(browser: Chrome, rows: list[int]) -> int:
    """Return which of these photos has the answer that lies farthest from all other dots."""
    dots = {(row, of): pixel_of(browser, row, of) for row in range(PHOTOS) for of in ("answers", "truths")}
    inside = [row for row in rows if 12 < dots[row, "answers"][0] < 820 and 12 < dots[row, "answers"][1] < 400]

    def room(row: int) -> float:
        here = dots[row, "answers"]
        return min(float(np.hypot(here[0] - x, here[1] - y)) for (of, _), (x, y) in dots.items() if of != row)

    return max(inside, key=room)


def picture(browser: Chrome) -> np.ndarray:
    """Return the map's pixels."""
    with Image.open(io.BytesIO(browser.find_element(By.ID, "map").screenshot_as_png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def seen(pixels: np.ndarray, south: float, north: float, west: float, east: float) -> np.ndarray:
    """Return the part of the picture between these degrees, when the map shows the whole world."""
    down, right = (np.array([92 - north, 92 - south]) / 184, np.array([west + 184, east + 184]) / 368)
    (top, bottom), (first, last) = (down * len(pixels)).astype(int), (right * pixels.shape[1]).astype(int)
    part: np.ndarray = np.median(pixels[top:bottom, first:last], axis=(0, 1))  # dots do not count
    return part


def colour_at(browser: Chrome, row: int) -> np.ndarray:
    x, y = pixel_of(browser, row)
    colour: np.ndarray = picture(browser)[round(y), round(x)]
    return colour


def drawn(browser: Chrome) -> int:
    """Return how many answers plotly has on the map."""
    count: int = browser.execute_script(
        "return document.getElementById('map')._fullData"
        ".filter((trace) => trace.visible === true && trace.name === 'answer')"
        ".reduce((sum, trace) => sum + trace.x.length, 0)"
    )
    return count


def band_of(error_km: float) -> int:
    return int(np.searchsorted([1, 25, 200, 750, 2500], error_km, side="right"))


def ranges(browser: Chrome) -> list[float]:
    found: list[float] = browser.execute_script(
        "const { xaxis, yaxis } = document.getElementById('map')._fullLayout; return [...xaxis.range, ...yaxis.range]"
    )
    return found


def test_a_request_would_be_seen(browser: Chrome, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<img src='https://example.com/x.png'>")
    console(browser), requests(browser)
    browser.get((tmp_path / "x.html").as_uri())
    WebDriverWait(browser, 10).until(lambda driver: "https://example.com/x.png" in requests(driver))
    assert any("ERR_PROXY" in message or "ERR_NAME" in message for message in console(browser))


def test_the_map_is_drawn(browser: Chrome, page: Path, answers: Path) -> None:
    look(browser, page)
    assert drawn(browser) == PHOTOS
    href = browser.find_element(By.CSS_SELECTOR, "#map image").get_attribute("href") or ""
    assert href.startswith("data:image/jpeg;base64,")
    browser.execute_script("document.getElementById('world').scrollIntoView()")
    pixels = picture(browser)
    india, ocean = seen(pixels, 20, 28, 76, 88), seen(pixels, -45, -25, -130, -100)
    assert ocean == pytest.approx([13, 24, 43], abs=3)
    assert (india > ocean + 9).all()  # settlements are drawn where there are any
    errors = Predictions.read(answers).errors_km
    far = [row for row in range(PHOTOS) if band_of(errors[row]) == 5]
    near = [row for row in range(PHOTOS) if band_of(errors[row]) == 1]
    for rows, colour in ((far, (255, 90, 95)), (near, (133, 212, 127))):
        assert np.abs(colour_at(browser, lonely(browser, rows)) - colour).max() < 24


def test_the_mouse_shows_a_photo_its_error_and_its_candidates(browser: Chrome, page: Path, answers: Path) -> None:
    look(browser, page)
    predictions, rows = Predictions.read(answers), some_answers(PHOTOS)
    row = lonely(browser, [row for row in range(PHOTOS) if predictions.errors_km[row] > 300])
    map_ = browser.find_element(By.ID, "map")
    assert rows[row]["photo_id"] not in browser.find_element(By.ID, "card").text
    browser.execute_script("document.getElementById('world').scrollIntoView()")
    x, y = pixel_of(browser, row)
    middle = map_.size["width"] / 2, map_.size["height"] / 2
    ActionChains(browser).move_to_element_with_offset(map_, round(x - middle[0]), round(y - middle[1])).perform()
    card = WebDriverWait(browser, 10).until(
        lambda driver: (found := driver.find_element(By.ID, "card")).text.startswith(rows[row]["photo_id"]) and found
    )
    assert f"{predictions.errors_km[row]:,.0f} km off" in card.text
    assert f"{rows[row]['true_latitude']:.3f}, {rows[row]['true_longitude']:.3f}" in card.text
    assert card.find_element(By.CSS_SELECTOR, "img").get_attribute("src").startswith("data:image/jpeg")  # type: ignore[union-attr]
    lines = card.find_elements(By.CSS_SELECTOR, "li:not(.columns)")
    assert len(lines) == 8
    km = predictions.candidates_km[predictions.starts[row] :]
    for rank, line in enumerate(lines):
        told = line.text.replace("\n", " ")
        assert told.startswith(f"{rank + 1} ")
        assert f"{km[rank]:.1f} km" in told or f"{km[rank]:,.0f} km" in told
        assert f"{rows[row]['candidates'][rank]['score']:.2f}".replace("-", "−") in told
    assert "4 more" in card.text
    marked = "return document.querySelectorAll('#map .shapelayer path, #map .annotation').length"
    assert browser.execute_script(marked) >= 3 + 8  # the way, the truth, the answer, and eight ranks
    assert console(browser) == []


def test_a_filter_draws_what_the_data_says(browser: Chrome, page: Path, answers: Path) -> None:
    look(browser, page)
    browser.execute_script("document.getElementById('world').scrollIntoView()")
    errors = Predictions.read(answers).errors_km
    counts = np.bincount([band_of(error) for error in errors], minlength=6)
    buttons = browser.find_elements(By.CSS_SELECTOR, "#filter button")
    assert [button.text for button in buttons] == [
        f"{name}\n{count}" for name, count in zip(BANDS, counts, strict=True)
    ]
    row = lonely(browser, [row for row in range(PHOTOS) if band_of(errors[row]) == 5])
    before = colour_at(browser, row)
    buttons[5].click()
    assert drawn(browser) == PHOTOS - counts[5]
    assert browser.find_element(By.ID, "drawn").text == f"{PHOTOS - counts[5]} of {PHOTOS} photos drawn"
    assert np.abs(colour_at(browser, row) - before).max() > 60  # the dot is gone
    buttons[1].click()
    assert drawn(browser) == PHOTOS - counts[5] - counts[1]
    assert buttons[1].get_attribute("aria-pressed") == "false"
    buttons[5].click()
    assert drawn(browser) == PHOTOS - counts[1]
    assert np.abs(colour_at(browser, row) - before).max() < 24


def test_wheel_mouse_and_buttons_move_the_map(browser: Chrome, page: Path) -> None:
    look(browser, page)
    browser.execute_script("document.getElementById('world').scrollIntoView()")
    map_ = browser.find_element(By.ID, "map")
    whole = ranges(browser)
    assert whole == [-184, 184, -92, 92]
    for _ in range(6):
        wheel = ActionChains(browser).key_down(Keys.CONTROL)
        wheel.scroll_from_origin(ScrollOrigin.from_element(map_), 0, -200).key_up(Keys.CONTROL).perform()
    WebDriverWait(browser, 10).until(lambda driver: ranges(driver)[1] - ranges(driver)[0] < 250)
    browser.find_element(By.ID, "nearer").click()
    left, right, low, high = ranges(browser)
    assert right - left < 150
    assert (right - left) / (high - low) == pytest.approx(2, rel=0.02)  # squares stay squares
    ActionChains(browser).click_and_hold(map_).move_by_offset(120, 40).release().perform()
    WebDriverWait(browser, 10).until(lambda driver: ranges(driver)[0] < left - 5)
    ActionChains(browser).click_and_hold(map_).move_by_offset(400, 200).release().perform()
    for _ in range(5):
        browser.find_element(By.ID, "farther").click()
    inside = ranges(browser)
    assert inside == pytest.approx(whole)
    browser.find_element(By.ID, "nearer").click()
    browser.find_element(By.ID, "whole").click()
    assert ranges(browser) == whole
    assert console(browser) == []


def test_the_page_scrolls_over_the_map(browser: Chrome, page: Path) -> None:
    """The wheel belongs to the page until the map is clicked; a finger moves the map once it is zoomed."""
    look(browser, page)
    browser.execute_script("document.getElementById('world').scrollIntoView()")
    map_, at = browser.find_element(By.ID, "map"), "return scrollY"
    whole, before = ranges(browser), browser.execute_script(at)
    ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(map_), 0, 200).perform()
    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(at) > before + 100)
    assert ranges(browser) == whole
    browser.execute_script("document.getElementById('world').scrollIntoView()")
    ActionChains(browser).click(map_).perform()
    ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(map_), 0, -200).perform()
    WebDriverWait(browser, 10).until(lambda driver: ranges(driver) != whole)

    look(browser, page, 390, 844)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for zoomed in (False, True):
            if zoomed:
                browser.find_element(By.ID, "nearer").click()
            browser.execute_script("document.getElementById('world').scrollIntoView()")
            before, shown = browser.execute_script(at), ranges(browser)
            swipe_up(browser)
            assert (browser.execute_script(at) > before + 50) is not zoomed
            assert (ranges(browser) != shown) is zoomed
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def swipe_up(browser: Chrome) -> None:
    """Move a finger over the map."""
    box = browser.execute_script("return document.getElementById('map').getBoundingClientRect()")
    for step in range(12):
        finger = {"x": box["x"] + 150, "y": box["y"] + 120 - 10 * step}
        kind = "touchMove" if step else "touchStart"
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [finger]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_case_is_shown_on_the_map(browser: Chrome, page: Path, answers: Path) -> None:
    look(browser, page)
    errors = Predictions.read(answers).errors_km
    (worst, *_), (best, *_) = (browser.find_elements(By.CSS_SELECTOR, f"#{kind} button") for kind in ("worst", "best"))
    assert f"{errors.max():,.0f} km" in worst.text
    browser.execute_script("arguments[0].scrollIntoView()", best)
    best.click()
    assert browser.find_element(By.ID, "card").text.startswith(f"query/{errors.argmin()}.jpg")
    examples = browser.find_elements(By.CSS_SELECTOR, "#examples article")
    assert len(examples) == 8
    assert all(len(each.find_elements(By.CSS_SELECTOR, "img")) == 1 + 8 for each in examples)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#curve .scatterlayer .trace")) == 3


def test_ways_take_the_shorter_side(browser: Chrome, tmp_path: Path) -> None:
    rows = some_answers(4)
    for row, (truth, answer) in zip(rows, ((179, -178), (-170, 175), (-180, 180), (60, -130)), strict=True):
        row |= {"true_latitude": 10.0, "true_longitude": truth, "latitude": 20.0, "longitude": answer}
    write_report(written(rows, tmp_path / "answers.parquet"), tmp_path / "report.html")
    look(browser, tmp_path / "report.html")
    ways: list[list[float]] = browser.execute_script(
        "return data.ids.map((_, row) => pieces(point(data.truths, row), point(data.answers, row)).flat())"
    )
    assert np.allclose(ways[0], [179, 10, 180, 10 + 10 / 3, -180, 10 + 10 / 3, -178, 20], atol=1e-4)
    assert np.allclose(ways[1], [-170, 10, -180, 10 + 20 / 3, 180, 10 + 20 / 3, 175, 20], atol=1e-4)
    assert np.allclose(ways[2], [-180, 10, -180, 20], atol=1e-4)
    assert np.allclose(ways[3][:3], [60, 10, 180 if ways[3][2] > 0 else -180], atol=1e-4)
    steps = browser.execute_script(
        "return document.getElementById('map').data.filter((trace) => trace.name === 'way')"
        ".flatMap((trace) => trace.x.map((x, at) => Math.abs(x - trace.x[at - 1])).filter((step) => step > 180))"
    )
    assert steps == []


def test_names_are_text(browser: Chrome, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = some_answers(6)
    for row in rows:
        row["photo_id"] = NAUGHTY
    path = written(rows, tmp_path / "answers.parquet")
    write_report(path, tmp_path / "report.html", title=NAUGHTY, credit=NAUGHTY, photo_source=PaintedPhotos())
    look(browser, tmp_path / "report.html")  # `broken` is not defined, so a call would be an error of the console
    assert browser.find_element(By.TAG_NAME, "h1").text == NAUGHTY
    assert browser.find_element(By.CSS_SELECTOR, "#card .id").text == NAUGHTY
    assert browser.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 3


def test_nothing_is_wider_than_the_screen(browser: Chrome, tmp_path: Path) -> None:
    rows = some_answers(12)
    rows[6]["photo_id"] = "long" * 60
    path, photos = written(rows, tmp_path / "answers.parquet"), PaintedPhotos()
    write_report(path, tmp_path / "report.html", title="t" * 120, photo_source=photos, gallery_source=photos)
    for width in (320, 390, 900):
        look(browser, tmp_path / "report.html", width, 844)
        for row in range(12):
            browser.execute_script(f"choose({row})")
            wide, inner = browser.execute_script("return [document.scrollingElement.scrollWidth, innerWidth]")
            assert inner == width
            assert wide <= width
        for part in ("map", "curve", "card"):
            assert browser.find_element(By.ID, part).size["width"] >= 0.4 * width


def test_without_truths(browser: Chrome, tmp_path: Path) -> None:
    rows = [row | {"true_latitude": None, "true_longitude": None} for row in some_answers(9)]
    write_report(written(rows, tmp_path / "answers.parquet"), tmp_path / "report.html")
    look(browser, tmp_path / "report.html")
    assert drawn(browser) == 9
    assert not browser.find_element(By.ID, "filter").is_displayed()
    assert browser.find_element(By.CLASS_NAME, "legend").text.split("\n")[0] == "answer"
    assert browser.find_elements(By.CSS_SELECTOR, ".photo") == [], "no room is kept for photos that there are none of"
    assert not browser.find_element(By.ID, "cases").is_displayed()
    assert "NaN" not in browser.find_element(By.TAG_NAME, "body").text
    assert "truth unknown" in browser.find_element(By.ID, "card").text


def test_without_webgl_the_dots_are_vectors(page: Path) -> None:
    with chromium(webgl=False) as browser:
        look(browser, page)
        assert drawn(browser) == PHOTOS
        assert len(browser.find_elements(By.CSS_SELECTOR, "#map .scatterlayer .point")) == 2 * PHOTOS
