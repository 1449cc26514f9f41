"""The status page in a real browser, against routers with well and with frozen servers."""
import os
import re
import time
from pathlib import Path

import browser
import hang_fleet
import pages
import pytest
import router as router_module
from browser import Browser
from pages import Pages
from sessions import login, make_tenant, run

pytestmark = pytest.mark.slow
# Where screenshots go, if somebody wants them: the documentation's are made this way.
SHOTS = os.environ.get('BULKHEAD_SCREENSHOTS')


@pytest.fixture(autouse=True)
def installed():
    reason = browser.unavailable()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def window():
    with Browser() as opened:
        yield opened
        assert opened.complaints() == []


def shot(window: Browser, name: str) -> None:
    if SHOTS:
        window.screenshot(Path(SHOTS) / f'{name}.png')


def test_a_calm_fleet(fleet, routers, window):
    servers = {'acme': fleet(number=1), 'globex': fleet(number=2)}
    for tenant, server in servers.items():
        make_tenant(server, tenant)
    page = Pages(routers(router_module.configuration(servers)))
    window.open(page.base + '/')
    window.wait_text('#verdict-words', 'All 2 shards are served.')
    window.wait_text('#live', 'live')
    assert window.text('#wrong') == ''
    assert sorted(window.texts('.cell .name')) == ['s1', 's2']
    assert window.texts('.cell .word') == ['served', 'served']
    assert len(window.texts('#servers tbody tr')) == 2
    # Where is a tenant?
    window.ask_for_tenant('globex')
    window.wait_text('#answer', 'Tenant globex is on shard s2')
    window.ask_for_tenant('nobody')
    window.wait_text('#answer', "No tenant 'nobody' is known here")
    # All about one shard, by keyboard alone.
    window.run("document.querySelector('.cell[data-shard=s2] button').focus()")
    window.driver.switch_to.active_element.send_keys('\n')
    window.wait_text('#detail', 'Shard s2')
    window.wait_text('#detail .tenants', 'globex')
    assert window.driver.current_url.endswith('#shard=s2')
    window.driver.switch_to.active_element.send_keys('\ue00c')  # Escape
    window.wait('the dialog is closed', lambda: window.text('#detail') == '')
    # The address opens it again.
    window.open(page.base + '/#shard=s1')
    window.driver.refresh()
    window.wait_text('#detail', 'Shard s1')


POINTS = """
const figure = document.querySelector(arguments[0] + ' .plot[data-kind=' + arguments[1] + ']');
const numbers = figure.querySelector('path.line').getAttribute('d').split(/[ML]/).filter(Boolean);
const box = figure.querySelector('svg').getBoundingClientRect();
const line = getComputedStyle(figure.querySelector('path.line'));
return {
  points: numbers.map(pair => pair.split(' ').map(Number)),
  label: figure.querySelector('svg').getAttribute('aria-label'),
  peak: figure.querySelector('.peak').textContent,
  area: figure.querySelector('path.area').getAttribute('d').length,
  width: box.width, height: box.height, stroke: line.stroke,
};
"""


def plot_of(window: Browser, place: str, kind: str) -> dict:
    """What is drawn in one plot of this element: its points from left to right, and what is said beside it."""
    return window.run(POINTS, place, kind)


def light_of(window: Browser, selector: str, what: str = 'backgroundColor') -> float:
    """How light a colour is, from 0 (black) to 1."""
    text = window.run(
        'return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]', selector, what
    )
    red, green, blue = (int(n) for n in re.findall(r'\d+', text)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_the_last_minutes_are_plotted(fleet, routers, window):
    """Of a shard with work the lines rise and fall; of one without they stay at the bottom."""
    servers = {'acme': fleet(number=1), 'globex': fleet(number=2)}
    for tenant, server in servers.items():
        make_tenant(server, tenant)
    router = routers(router_module.configuration(servers))
    page = Pages(router)
    window.open(page.base + '/')
    window.wait_text('#verdict-words', 'All 2 shards are served.')
    session = login(router, 'acme')
    end = time.monotonic() + 11  # two samples of five seconds
    while time.monotonic() < end:
        run(session, 'SELECT 1')
        time.sleep(0.01)
    session.close()
    history = page.get('/api/v1/history?shards=s1,s2').json()
    worked = history['shards']['s1']['per_second']
    assert max(worked) > 5 and max(history['shards']['s2']['per_second']) == 0, history
    window.open(page.base + '/#shard=s1')
    window.driver.refresh()
    window.wait_text('#detail', 'Shard s1')
    window.wait('the history is drawn', lambda: len(plot_of(window, '#detail', 'per_second')['points']) >= 2)
    seen = plot_of(window, '#detail', 'per_second')
    across, down = zip(*seen['points'])
    assert list(across) == sorted(set(across)) and 0 <= across[0] and across[-1] <= 180, seen
    assert all(0 <= y <= 40 for y in down), seen
    assert min(down) < 10 < 30 < max(max(down), 38), seen  # the most is near the top; 0 would be at 38
    assert len(seen['points']) >= len(worked) and seen['area'] > 20, seen
    assert 'statements a second, last 3 minutes: now ' in seen['label'] and seen['peak'].startswith('max '), seen
    assert seen['width'] > 60 and seen['height'] > 20 and seen['stroke'] not in ('none', ''), seen
    times = plot_of(window, '#detail', 'p99_ms')
    assert len(times['points']) == len(seen['points']) and min(y for _, y in times['points']) < 10, times
    window.open(page.base + '/#shard=s2')
    window.driver.refresh()
    window.wait_text('#detail', 'Shard s2')
    window.wait('it is drawn', lambda: len(plot_of(window, '#detail', 'per_second')['points']) >= 2)
    idle = plot_of(window, '#detail', 'per_second')
    assert {y for _, y in idle['points']} == {38}, idle


def test_dark_is_dark(fleet, routers, window):
    page = Pages(routers(router_module.configuration({'acme': fleet()})))
    window.open(page.base + '/')
    window.wait_text('#verdict-words', 'The shard is served.')
    places = [('body', 'backgroundColor'), ('.cell', 'backgroundColor')]
    for dark in (False, True, False):
        window.prefer(dark)
        for place, what in places:
            light = light_of(window, place, what)
            assert light < 0.2 if dark else light > 0.8, (place, light, dark)
        ink, paper = light_of(window, 'body', 'color'), light_of(window, 'body')
        assert abs(ink - paper) > 0.6, (ink, paper)
        scheme = window.run("return matchMedia('(prefers-color-scheme: dark)').matches")
        assert scheme == dark


def test_names_are_only_names(fleet, routers, window):
    """A tenant's name is shown as it is, whatever it holds."""
    server = fleet()
    config = router_module.configuration({'acme': server})
    config['topology']['tenants'].append({'name': '<img&src=x>', 'shard': 's1'})
    page = Pages(routers(config))
    window.open(page.base + '/')
    window.wait_text('#verdict-words', 'The shard is served.')
    window.ask_for_tenant('<img&src=x>')
    window.wait_text('#answer', 'Tenant <img&src=x> is on shard s1')
    assert window.run("return document.querySelectorAll('img').length") == 0


def test_a_frozen_server(routers, window):
    """What is wrong comes first, live, in words; others are served; afterwards the incident can be taken along."""
    fleet = hang_fleet.shared_fleet()
    router = routers(fleet.configuration(hold={'max_wait': '30s', 'max_statements': 40}))
    page = Pages(router)
    hang_fleet.wait_all_up(router)
    load = hang_fleet.Load(router, {'t1': 4, 't2': 12, 't3': 4, 't4': 4})
    try:
        window.open(page.base + '/')
        window.wait_text('#verdict-words', 'All 4 shards are served.')
        if SHOTS:
            time.sleep(60)  # something to see in the plots
        shot(window, 'calm')
        fleet.freeze(2)
        window.wait_text('#verdict-words', '1 of 4 shards: s2 is held.')
        window.wait_text('#verdict-more', '1 tenant of 4 is affected. The other 3 are served as usual.')
        window.wait_text('.card', 'down')
        window.wait_text('.card .evidence', 'ping unanswered')
        window.wait_text('.card .milestones', 'verdict')
        for milestone in ('last byte', 'detected', 'held'):
            assert milestone in window.text('.card .milestones')
        # Not by colour alone: each state is a word, and a shape.
        cell = '.cell[data-shard=s2]'
        assert window.text(f'{cell} .word').startswith('held')
        assert window.run(f"return document.querySelector('{cell} use').getAttribute('href')") == '#i-held'
        assert window.texts('.cell .name')[0] == 's2'
        level = f"return parseFloat(document.querySelector('{cell} .water').style.height)"
        window.wait('what is held rises in it', lambda: float(window.run(level) or 0) > 0)
        window.wait('the title says it', lambda: window.driver.title.startswith('(1) s2 held'))
        window.ask_for_tenant('t2')
        window.wait_text('#answer', 'Its new statements are held')
        window.ask_for_tenant('')
        if SHOTS:
            window.wait('in-flight is given up', lambda: 'given up' in window.text('.card .milestones'), 30)
            time.sleep(5)
        shot(window, 'status-down')
        window.prefer(dark=True)
        shot(window, 'status-down-dark')
        window.prefer(dark=False)
        phone_fits(page, 'status-phone')
    finally:
        fleet.thaw(2)
        hang_fleet.wait_all_up(router, timeout=40)
        load.finish()
    window.wait_text('#verdict-words', 'All 4 shards are served.', 40)
    window.wait('the incident is over', lambda: 'took' in window.text('.incident .when'), 30)
    window.run("document.querySelector('.incident').open = true")
    window.wait_text('.incident .timeline', 'all of its shards are served plainly')
    assert 'in words' in window.text('.incident .timeline')
    shot(window, 'status-incident')
    links = "return [...document.querySelectorAll('.incident .exports a')].map(a => a.getAttribute('href'))"
    for link in window.run(links):
        assert page.get(link).status == 200


def phone_fits(page: Pages, name: str) -> None:
    """On a phone nothing is wider than the screen, and what is wrong is at the top."""
    with Browser(phone=True, dark=True) as phone:
        phone.open(page.base + '/')
        phone.wait_text('#verdict-words', 's2 is held')
        phone.wait_text('.card', 's2')
        width = phone.run('return [document.documentElement.scrollWidth, document.documentElement.clientWidth]')
        assert width[0] <= width[1], f'the page is {width[0]} wide on a screen of {width[1]}'
        assert phone.run("return document.getElementById('verdict').getBoundingClientRect().top") < 300
        assert light_of(phone, 'body') < 0.2
        if SHOTS:
            phone.size(390, 844, 1, phone=True)
        shot(phone, name)
        assert phone.complaints() == []


def test_what_is_said_when_the_router_is_gone(fleet, routers, window):
    router = routers(router_module.configuration({'acme': fleet()}))
    page = Pages(router)
    window.open(page.base + '/')
    window.wait_text('#live', 'live')
    router.stop()
    window.wait_text('#live', 'no picture for')
    router.start()
    window.wait_text('#live', 'live', 40)
    assert any('ERR_' in line for line in window.complaints())  # that it was away is all the console says


def test_a_history_that_can_not_be_had_is_asked_for_again_in_a_while(fleet, routers, window):
    page = Pages(routers(router_module.configuration({'acme': fleet()})))
    refuse = (
        'window.askedAt = []; const real = window.fetch;'
        'window.fetch = (path, ...more) => {'
        "  if (!String(path).includes('/history')) return real(path, ...more);"
        '  window.askedAt.push(performance.now());'
        "  return Promise.reject(new Error('refused by the test'));"
        '};'
    )
    window.driver.execute_cdp_cmd('Page.addScriptToEvaluateOnNewDocument', {'source': refuse})
    window.open(page.base + '/')
    window.wait('it asks twice', lambda: len(window.run('return window.askedAt')) >= 2, 40)
    first, second = window.run('return window.askedAt.slice(0, 2)')
    assert second - first > 2900, (first, second)
    window.wait_text('#live', 'live')


def test_more_pages_than_streams(fleet, routers, window):
    config = router_module.configuration({'acme': fleet()}, http={'max_streams': 0})
    page = Pages(routers(config))
    window.open(page.base + '/')
    window.wait_text('#live', 'asked every 3 s')
    window.wait_text('#verdict-words', 'The shard is served.')
    assert all('503' in line for line in window.complaints())


def test_two_hundred_shards(routers, window):
    """The page stays usable: a server with fifty of them is one card, and the list says the worst first."""
    fleet = hang_fleet.shared_fleet()
    config = fleet.configuration(hold={'max_wait': '30s'})
    config['topology']['shards'] = [{'name': f's{i}', 'primary': f'db{(i - 1) % 4 + 1}'} for i in range(1, 201)]
    config['topology']['tenants'] = [{'name': f't{i}', 'shard': f's{i}'} for i in range(1, 201)]
    router = routers(config)
    page = Pages(router)
    hang_fleet.wait_all_up(router)
    try:
        window.open(page.base + '/')
        window.wait_text('#verdict-words', 'All 200 shards are served.')
        assert len(window.texts('.cell')) == 200
        fleet.freeze(2)
        window.wait_text('#verdict-words', '50 of 200 shards: s2, s6, s10 and 47 more are held.', 30)
        window.wait('one card for one server', lambda: window.texts('.card h3') == ['50 shards of db2'])
        assert len([n for n in window.texts('.cell[data-mood=alarm]')]) == 50
        shot(window, 'many')
    finally:
        fleet.thaw(2)
    window.wait_text('#verdict-words', 'All 200 shards are served.', 60)


def test_on_other_machines_with_a_password(fleet, routers):
    import certificates
    import paths

    made = certificates.make(paths.run_folder() / 'tls')
    config = router_module.configuration({'acme': fleet()})
    tls = {'mode': 'preferred', 'cert': str(made['cert']), 'key': str(made['key'])}
    config, base = pages.reachable(config, tls, [{'name': 'admin', 'password': 'secret'}])
    routers(config)
    with Browser() as window:
        window.open(base.replace('https://', 'https://admin:secret@') + '/')
        window.wait_text('#verdict-words', 'The shard is served.')
        window.wait_text('#live', 'live')


def test_pictures_in_the_documentation_are_small():
    folder = Path(__file__).resolve().parents[2] / 'docs' / 'images'
    sizes = {image.name: image.stat().st_size for image in folder.glob('*.png')}
    assert sizes and max(sizes.values()) < 300_000 and sum(sizes.values()) < 1_200_000, sizes
