"""The page in a real browser: it renders without a complaint or a request, its controls work, and nothing in it is believed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quenched.lab.report.report import report
from quenched.lab.report.spelling import clipped
from quenched.lab.run import run, write, write_claims
from quenched.lab.verify import verify
from tests.lab.report_pages import HOSTILE, filled, hostile_report, install_study, load_study

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,1000",
)

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
for program in (CHROMIUM, DRIVER):
    if not program.exists():
        pytest.skip(f"there is no {program}: the Chromium of the distribution and its driver are needed", allow_module_level=True)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A sweep over three parameters (one of them names) with a run beside it, and the hostile page."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(install_study(folder / "package"))
        study = load_study()
        write(run(study()), folder / "run")
        write_claims("page-study", verify([study])[0], folder / "run")
        over = {"model.alpha": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5], "size": [10, 30, 100], "rule.batches": ["Full", "IID"]}
        store = filled(folder / "store", study(), over, seeds=2, failing=[10, 11])
        page = report([folder / "run", store], folder / "page.html")
        yield {"page": page, "hostile": hostile_report(study, folder)}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: Any) -> Any:
    """The browser as if it had just been started: nothing emulated, nothing logged."""
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    for log in ("browser", "performance"):
        chromium.get_log(log)
    return chromium


def opened(browser: Any, page: Path) -> Any:
    browser.get(page.as_uri())
    return browser


def requests(browser: Any) -> list[str]:
    """Addresses of everything that was asked for since the last call; data: addresses are inside the page."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith("data:")]


def keys(browser: Any, *pressed: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*pressed).perform()


def drawing(browser: Any, name: str = "curve") -> str:
    return browser.execute_script(f"return document.querySelector('.{name} svg').innerHTML")


def text(browser: Any, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def count(browser: Any, selector: str) -> int:
    return len(browser.find_elements("css selector", selector))


def choose(browser: Any, name: str, option: str) -> None:
    from selenium.webdriver.support.ui import Select

    for label in browser.find_elements("css selector", ".controls label"):
        if label.is_displayed() and label.find_element("tag name", "span").text == name:
            Select(label.find_element("tag name", "select")).select_by_visible_text(option)
            return
    raise AssertionError(f"no menu {name}")


def test_the_page_renders_without_complaint_or_request(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    opened(browser, pages["page"])
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    assert requests(browser) == [pages["page"].as_uri()]
    assert count(browser, ".curve circle.simulation") == 7
    assert count(browser, ".curve polyline.theory") == 1
    # seven values by three, and the colour bar
    assert count(browser, ".map rect.cell") == 7 * 3 + 48
    assert count(browser, "math") > 5
    widths = browser.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == 3
    assert min(widths) > 200
    picture = tmp_path / "page.png"
    browser.save_screenshot(str(picture))
    assert picture.stat().st_size > 20_000


def test_a_slider_changes_the_slice_with_the_keyboard_alone(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(browser, pages["page"])
    before, rows = drawing(browser), drawing(browser, "map")
    for _ in range(30):
        keys(browser, Keys.TAB)
        active = browser.switch_to.active_element
        if active.get_attribute("type") == "range":
            break
    assert active.get_attribute("aria-valuetext") == "30"
    keys(browser, Keys.ARROW_RIGHT)
    assert active.get_attribute("aria-valuetext") == "100"
    assert "size = 100" in text(browser, ".caption")
    assert drawing(browser) != before
    assert drawing(browser, "map") != rows


def test_arrow_keys_walk_over_the_map_and_the_curve(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(browser, pages["page"])
    browser.execute_script("document.querySelector('.map svg').focus()")
    keys(browser, Keys.ARROW_RIGHT)
    assert text(browser, ".readout").startswith("model.alpha = 0.5, size = 30: theory ")
    keys(browser, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert text(browser, ".readout").startswith("model.alpha = 1, size = 100: theory ")
    assert "simulation" in text(browser, ".readout")
    assert "size = 100" in text(browser, ".caption")
    browser.execute_script("document.querySelector('.curve svg').focus()")
    keys(browser, Keys.ARROW_RIGHT)
    assert text(browser, ".readout").startswith("model.alpha = 1.5")


def test_menus_choose_variable_axis_and_engine(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["page"])
    before = drawing(browser)
    choose(browser, "show", "training loss")
    assert text(browser, ".caption").startswith("training loss along model.alpha")
    assert drawing(browser) != before
    # the training loss is simulated only
    assert count(browser, ".curve .theory") == 0
    choose(browser, "show", "test error")
    choose(browser, "along", "rule.batches")
    assert count(browser, ".curve circle.simulation") == 2
    choose(browser, "map against", "size")
    assert "Map of test error, theory, over rule.batches and size" in browser.execute_script(
        "return document.querySelector('.map svg').getAttribute('aria-label')"
    )
    choose(browser, "map of", "simulation")
    assert "simulation" in text(browser, ".map .above")
    assert browser.get_log("browser") == []


def test_a_click_on_the_map_chooses_the_slice_and_shows_the_value(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    opened(browser, pages["page"])
    cell = browser.find_elements("css selector", ".map rect.cell")[0]
    ActionChains(browser).move_to_element(cell).click().perform()
    assert "at size = 10, rule.batches" in text(browser, ".caption")
    assert text(browser, ".readout").startswith("model.alpha = 0.5, size = 10: theory ")


def test_points_without_a_value_are_hatched_and_named(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["page"])
    choose(browser, "along", "model.alpha")
    counts = []
    for name in ("Full", "IID"):
        choose(browser, "rule.batches", name)
        counts.append(count(browser, ".map rect.cell[fill^='url']"))
    assert sorted(counts) == [0, 1]


def test_the_table_has_the_numbers_of_the_slice(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["page"])
    rows = browser.execute_script(
        "return [...document.querySelectorAll('.viewer details tr')].map((r) => [...r.children].map((c) => c.textContent))"
    )
    assert rows[0] == ["model.alpha", "theory", "simulation"]
    assert [row[0] for row in rows[1:]] == ["0.5", "1", "1.5", "2", "2.5", "3", "3.5"]
    assert re.fullmatch(r"0\.\d+ ± 0\.\d+", rows[1][2])


def test_hostile_values_are_text(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    opened(browser, pages["hostile"])
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert.text  # noqa: B018
    for _ in HOSTILE:
        # every hostile name under the cursor, and in the table
        browser.execute_script("document.querySelector('.curve svg').focus()")
        keys(browser, "\ue014")
        assert text(browser, ".readout")
    assert browser.execute_script("return window.pwned") is None
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    assert requests(browser) == [pages["hostile"].as_uri()]
    assert browser.execute_script("return document.scripts.length") == 2
    assert browser.execute_script("return [...document.images].every((image) => image.src.startsWith('data:'))")
    whole = browser.execute_script("return document.body.textContent")
    for hostile in HOSTILE:
        assert clipped(hostile) in whole
    browser.save_screenshot(str(tmp_path / "hostile.png"))


def test_letters_are_readable_in_light_and_dark(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    opened(browser, pages["page"])
    backgrounds = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        backgrounds.append(luminance(paper))
        words = ("p.statement", ".caption", ".verdict.passed", ".verdict.failed", "dt", "summary")
        shapes = (".curve text", ".curve circle.simulation")
        for selector, name in {**dict.fromkeys(words, "color"), **dict.fromkeys(shapes, "fill")}.items():
            ink = browser.execute_script(
                "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name
            )
            assert contrast(luminance(ink), luminance(paper)) >= 4.5, (scheme, selector, ink)
        browser.save_screenshot(str(tmp_path / f"{scheme}.png"))
    assert backgrounds[0] > 0.9
    assert backgrounds[1] < 0.05


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)", as the guidelines on accessible contrast define it."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, two: float) -> float:
    return (max(one, two) + 0.05) / (min(one, two) + 0.05)


@pytest.mark.parametrize("name", ["page", "hostile"])
@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits_a_telephone_and_a_desk(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened(browser, pages[name])
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return document.querySelector('.curve svg').getBoundingClientRect().right") <= width


def test_it_prints_on_pages_without_controls(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    opened(browser, pages["page"])
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    content = base64.b64decode(printed["data"])
    (tmp_path / "page.pdf").write_bytes(content)
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 12
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script("return getComputedStyle(document.querySelector('.controls')).display") == "none"
