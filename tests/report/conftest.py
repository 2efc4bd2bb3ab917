"""A headless browser, where there is one, and pages to open in it."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


class Page:
    """An opened report."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def open(self, path: Path) -> float:
        """Seconds until the sample browser is ready."""
        begun = time.monotonic()
        self.driver.get(path.as_uri())
        self.wait(lambda: self.js("return document.documentElement.dataset.ready === 'yes'"), 60)
        return time.monotonic() - begun

    def wait(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            time.sleep(0.02)

    def js(self, script: str, *arguments: object):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        return self.js("return document.querySelector(arguments[0]).textContent", selector)

    def count(self, selector: str) -> int:
        return self.js("return document.querySelectorAll(arguments[0]).length", selector)

    def select(self, field: str, label: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.driver.find_element("id", field)).select_by_visible_text(label)
        self.js("document.getElementById('list').focus()")  # letters typed in a select are its own

    def click(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", selector)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def found(self) -> str:
        return self.text("#found")

    @property
    def chosen(self) -> str:
        return self.text('[aria-selected="true"] .name')

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, value: str) -> None:
        media = {"features": [{"name": "prefers-color-scheme", "value": value}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def _driver(tmp_path_factory) -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra `test`)")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(_driver) -> Page:
    """A browser window at desktop size, light, with nothing remembered."""
    page = Page(_driver)
    page.size(1400, 1000)
    page.scheme("light")
    _driver.get("about:blank")
    _driver.get_log("browser")
    return page
