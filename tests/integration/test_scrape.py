"""Scrapes of a router with many backends and sessions: the short form of the program that prints the figures."""
import json
import os
import subprocess
import sys

import paths
import pytest

pytestmark = pytest.mark.slow


def test_a_fleet_is_scraped_whole(binary):
    options = {'backends': 50, 'sessions': 200, 'clients': 4, 'rate': 100, 'every': 0.2, 'seconds': 3, 'rounds': 1}
    done = subprocess.run(
        [sys.executable, str(paths.ROOT / 'tests/integration/scrape_fleet')]
        + [f'--{name}={value}' for name, value in options.items()],
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        env={**os.environ, 'BULKHEAD_BINARY': str(paths.BINARY)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures['backends'] == 50 and figures['sessions'] >= 204, figures
    assert figures['scrapes'] >= 1 and 0 < figures['scrape_median_ms'] <= figures['scrape_worst_ms'], figures
    # Per shard and backend, and growing with both: about 160 lines for each.
    assert figures['lines'] > 100 * 50, figures
