"""A headless Chromium that looks at the router's pages, and remembers what it complained of."""
import shutil
import tempfile
import time
from pathlib import Path

import paths


def unavailable() -> str | None:
    """Why there is no browser here; None if there is one."""
    for program in ('chromium', 'chromedriver'):
        if not shutil.which(program):
            return f'{program} is not installed (deploy/install-dependencies clients)'
    try:
        import selenium  # noqa: F401
    except ImportError:
        return 'python3-selenium is not installed (deploy/install-dependencies clients)'
    return None


class Browser:
    """One window. `phone`: the size and the touch of one; `dark`: what the person prefers."""

    SIZES = {False: (1280, 900, 1), True: (390, 844, 2)}

    def __init__(self, phone: bool = False, dark: bool = False):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        self._profile = tempfile.mkdtemp(prefix='chromium.', dir=paths.run_folder())
        for argument in (
            '--headless=new',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
            '--disable-dev-shm-usage',
            '--hide-scrollbars',
            '--force-color-profile=srgb',
            f'--user-data-dir={self._profile}',
        ):
            options.add_argument(argument)
        options.binary_location = '/usr/bin/chromium'
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        options.set_capability('acceptInsecureCerts', True)
        self.driver = webdriver.Chrome(service=Service('/usr/bin/chromedriver'), options=options)
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(20)
        width, height, scale = self.SIZES[phone]
        self.size(width, height, scale, phone)
        self.prefer(dark)

    def size(self, width: int, height: int, scale: float = 1, phone: bool = False) -> None:
        self.driver.execute_cdp_cmd(
            'Emulation.setDeviceMetricsOverride',
            {'width': width, 'height': height, 'deviceScaleFactor': scale, 'mobile': phone},
        )

    def prefer(self, dark: bool) -> None:
        features = [
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'},
            {'name': 'prefers-reduced-motion', 'value': 'reduce'},
        ]
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})

    def __enter__(self) -> 'Browser':
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> 'Browser':
        self.driver.get(url)
        return self

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What is seen of the first such element; '' if there is none."""
        return self.run(
            "const e = document.querySelector(arguments[0]); return e && e.checkVisibility() ? e.innerText : ''",
            selector,
        )

    def texts(self, selector: str) -> list[str]:
        return self.run(
            'return [...document.querySelectorAll(arguments[0])]'
            '.filter(e => e.checkVisibility()).map(e => e.innerText)',
            selector,
        )

    def ask_for_tenant(self, name: str) -> None:
        """Types it into the search field and presses Enter."""
        self.run(
            "document.getElementById('tenant').value = arguments[0];"
            "document.getElementById('tenant').dispatchEvent(new Event('input'));"
            "if (arguments[0]) document.getElementById('search').requestSubmit()",
            name,
        )

    def wait(self, what: str, condition, timeout: float = 20):
        """Until condition() is true; fails with what is seen instead."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f'{what}: not within {timeout} s; the page says:\n{self.text("body")[:3000]}')

    def wait_text(self, selector: str, wanted: str, timeout: float = 20) -> str:
        self.wait(f'{wanted!r} in {selector}', lambda: wanted in self.text(selector), timeout)
        return self.text(selector)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """PNG; `whole`: the page from top to bottom, not only the window."""
        import base64

        parameters = {'format': 'png', 'captureBeyondViewport': whole}
        if whole:
            height = self.run('return document.documentElement.scrollHeight')
            width = self.run('return document.documentElement.clientWidth')
            parameters['clip'] = {'x': 0, 'y': 0, 'width': width, 'height': height, 'scale': 1}
        data = self.driver.execute_cdp_cmd('Page.captureScreenshot', parameters)['data']
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """What the console got since the last call: errors of scripts, of policy, of files that were not there."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log('browser')]
