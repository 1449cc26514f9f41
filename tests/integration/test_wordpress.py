"""WordPress (Debian's package, on php -S) over the router: installed, logged in, posts and comments written."""
import http.cookiejar
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import paths
from processes import Process, can_connect, free_port, wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import make_tenant

pytestmark = pytest.mark.slow
PACKAGES = ['wordpress', 'wordpress-theme-twentytwentythree', 'php-getid3', 'libjs-underscore', 'libjs-cropper']


def unpacked():
    """The packages' files, without installing them: they would bring a web server."""
    target = paths.cache_folder() / 'wordpress'
    if not (target / '.complete').exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        done = subprocess.run(
            ['apt-get', 'download', *PACKAGES], cwd=target, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f'WordPress cannot be downloaded: {done.stderr.strip()[-200:]}')
        for package in target.glob('*.deb'):
            subprocess.run(['dpkg', '-x', package, target], check=True)
        (target / '.complete').touch()
    return target / 'usr/share'


class Browser:
    def __init__(self, port: int):
        self.base = f'http://127.0.0.1:{port}'
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def __call__(self, path: str, form: dict | None = None, headers: dict | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(self.base + path, data, headers or {})
        try:
            return self.opener.open(request, timeout=60).read().decode('utf-8', 'replace')
        except urllib.error.HTTPError as error:
            raise AssertionError(f'{path}: {error.code} {error.read()[:1500].decode("utf-8", "replace")}') from None


@pytest.fixture(params=['transaction', 'session'])
def site(request, fleet, routers):
    if not shutil.which('php'):
        pytest.skip('php is not installed (deploy/install-dependencies clients)')
    share, folder = unpacked(), paths.run_folder() / f'wordpress-{request.param}'
    server = fleet('mariadb')
    make_tenant(server, 'acme')
    config = configuration(
        {'acme': server}, users=[{'name': 'app', 'password': APP_PASSWORD, 'pooling': request.param}]
    )
    router = routers(config)
    shutil.copytree(share, folder, symlinks=True)
    root = folder / 'wordpress'
    (root / 'wp-config.php').unlink(missing_ok=True)
    (root / 'wp-config.php').write_text(
        f"""<?php
define('DB_NAME', 'tenant_acme'); define('DB_USER', 'app'); define('DB_PASSWORD', '{APP_PASSWORD}');
define('DB_HOST', '127.0.0.1:{router.port}'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_DEBUG', true); define('WP_DEBUG_DISPLAY', false); define('WP_DEBUG_LOG', '{folder}/debug.log');
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""
    )
    port = free_port()
    php = Process(
        'php',
        ['php', '-S', f'127.0.0.1:{port}', '-t', root],
        folder / 'php.log',
        env={'PHP_CLI_SERVER_WORKERS': '4', 'PATH': '/usr/bin:/bin'},
    )
    wait_until(lambda: can_connect(port), 10, 'php answers')
    yield Browser(port), server, folder
    php.stop()


def test_wordpress(site):
    browser, server, folder = site
    done = browser(
        '/wp-admin/install.php?step=2',
        {
            'weblog_title': 'Compartments',
            'user_name': 'boss',
            'admin_password': 'pw-Boss-1',
            'admin_password2': 'pw-Boss-1',
            'pw_weak': 'on',
            'admin_email': 'boss@example.org',
            'blog_public': '0',
            'language': '',
        },
    )
    assert 'Success!' in done, done[-2000:]
    assert 'Hello world!' in browser('/')
    browser('/wp-login.php')
    inside = browser(
        '/wp-login.php',
        {
            'log': 'boss',
            'pwd': 'pw-Boss-1',
            'wp-submit': 'Log In',
            'redirect_to': f'{browser.base}/wp-admin/',
            'testcookie': '1',
        },
    )
    assert 'Dashboard' in inside, inside[-1000:]
    nonce = browser('/wp-admin/admin-ajax.php?action=rest-nonce')
    started, posts = time.monotonic(), []
    for number in range(5):
        answer = browser(
            '/?rest_route=/wp/v2/posts',
            {'title': f'Bulkhead № {number}', 'content': f'Watertight — 🚢 {number}', 'status': 'publish'},
            {'X-WP-Nonce': nonce},
        )
        posts.append(json.loads(answer)['id'])
    for number, post in enumerate(posts):
        page = browser(f'/?p={post}')
        assert f'Bulkhead № {number}' in page and f'🚢 {number}' in page
        browser('/wp-comments-post.php', {'comment': f'A comment on {number}', 'comment_post_ID': str(post)})
        assert f'A comment on {number}' in browser(f'/?p={post}')
    assert 'Bulkhead № 3' in browser('/?s=Bulkhead')
    for page in (
        'edit.php',
        'edit-comments.php',
        'users.php',
        'options-general.php',
        'site-health.php',
        'export.php?download=true&content=all',
    ):
        assert browser(f'/wp-admin/{page}')
    print(f'WordPress: pages in {time.monotonic() - started:.1f} s')
    assert (
        server.execute(
            "SELECT COUNT(*) FROM tenant_acme.wp_posts WHERE post_title LIKE 'Bulkhead%' AND post_status = 'publish'"
        )[0][0]
        == 5
    )
    log = folder / 'debug.log'
    assert not log.exists() or 'WordPress database error' not in log.read_text(errors='replace'), log.read_text(
        errors='replace'
    )[-2000:]
