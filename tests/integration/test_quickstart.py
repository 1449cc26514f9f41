"""deploy/quickstart: its report is true and complete, it leaves nothing behind, and it notices a router that lies."""
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

import ledger
import paths
import servers
from processes import wait_until

DEPLOY = paths.ROOT / 'deploy'
sys.path.insert(0, str(DEPLOY))

import quickstart_report  # noqa: E402
import quickstart_view  # noqa: E402


class Quickstart:
    """One run, its output in a file."""

    def __init__(self, folder: Path, binary: Path, *options: str):
        reason = servers.available('mariadb')
        if reason:
            pytest.skip(reason)
        self._output = folder / 'output'
        argv = [DEPLOY / 'quickstart', '--binary', binary, *options]
        with open(self._output, 'wb') as output:
            # As in a terminal: the script and what it starts hear nothing of the tests' own signals.
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)

    @property
    def output(self) -> str:
        return self._output.read_text(errors='replace')

    def wait_for(self, text: str, timeout: float = 120) -> None:
        def there():
            assert self.process.poll() is None or text in self.output, self.output
            return text in self.output

        wait_until(there, timeout, f'`{text}` in the output', 0.1)

    def end(self, timeout: float = 180) -> int:
        try:
            code = self.process.wait(timeout)
        finally:
            self.process.kill()
        print(self.output)
        folder = re.search(r'servers in (\S+)', self.output)[1]
        assert not Path(folder).exists(), f'{folder} was left behind'
        assert not running_in(folder), 'processes were left behind'
        return code


def running_in(folder: str) -> list[str]:
    """The command lines that name this folder."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            text = entry.read_bytes().replace(b'\0', b' ').decode(errors='replace')
        except OSError:
            continue
        if folder in text:
            found.append(text)
    return found


@pytest.mark.slow
def test_report(binary, tmp_path):
    run = Quickstart(tmp_path, binary, '--no-wait', '--freeze', '12')
    assert run.end() == 0
    out = run.output
    check_where_the_rows_lie(out)
    for figure in ('lost', 'doubled', 'wrongly labelled'):
        assert re.search(rf'^ +{figure} +0$', out, re.M), figure
    lines = re.findall(r'^ +(\w.*?) {2,}(\d+) +(\d+) +(\d+)$', out, re.M)
    told = {name: tuple(map(int, counts)) for name, *counts in lines}
    assert told['done'][0] == told['done'][1] > 500
    assert told['not executed (9401, 9403)'][0] == told['not executed (9401, 9403)'][2] > 0
    unknown = told.get('outcome unknown (9410)', (0, 0, 0))
    assert unknown[0] == unknown[1] + unknown[2]
    counts = r'(\d+) statements while .* and (\d+) in the ramp.*: (\d+) released, (\d+) refused'
    held = re.search(rf'^ +held +{counts}', out, re.M)
    frozen, ramp, released, refused = map(int, held.groups())
    assert frozen > 0 and ramp >= 0 and frozen + ramp == released + refused
    for figure in ('time to hold', 'time to verdict'):
        assert re.search(rf'^ +{figure} +\d\.\d\d s', out, re.M), figure
    assert re.search(r'^ +other tenants +0 errors, p99 [\d.]+ ms before, [\d.]+ ms during', out, re.M)
    assert 'globex DOWN 0/s' in out and 'acme DOWN' not in out


def check_where_the_rows_lie(out: str) -> None:
    """Each tenant's orders are on one of the four servers, as many as the router shows; every server has some."""
    head = re.search(r'^ *tenant +router +db1:\d+ +db2:\d+ +db3:\d+ +db4:\d+ *$', out, re.M)
    assert head, out
    rows = re.findall(r'^ *([a-z]\w*) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) *$', out[head.end() :], re.M)
    assert {'acme', 'globex'} <= {tenant for tenant, *_ in rows} and len(rows) >= 4, out
    used = set()
    for tenant, seen, *counts in rows:
        place = [number for number, count in enumerate(counts) if count != '.']
        assert len(place) == 1 and counts[place[0]] == seen and int(seen) >= 10, (tenant, seen, counts)
        used.add(place[0])
    assert used == {0, 1, 2, 3}


def check_what_now(out: str) -> None:
    """The page, the operators' listener and Prometheus' configuration are there; a server frozen by hand is seen."""
    page = re.search(r'^ +(http://127\.0\.0\.1:\d+/)$', out, re.M)[1]
    with urllib.request.urlopen(page, timeout=10) as answer:
        assert b'<html' in answer.read()
    prometheus = re.search(r'--config\.file=(\S+)', out)[1]
    checked = subprocess.run(['promtool', 'check', 'config', prometheus], capture_output=True, text=True)
    assert checked.returncode == 0 and 'rules found' in checked.stdout, checked.stdout + checked.stderr
    where = re.search(r"^ +mariadb (-h 127\.0\.0\.1 -P \d+ -u admin -p\S+) -e 'SHOW SHARDS'$", out, re.M)[1].split()
    argv = ['mariadb', '--no-defaults', *where, '-N', '-B', '-e', 'SELECT state FROM backends ORDER BY name']
    stop = re.search(r'^ +(kill -STOP \d+)$', out, re.M)[1]
    subprocess.run(stop.split(), check=True)

    def states() -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL).stdout.split()

    wait_until(lambda: states() == ['up', 'down', 'up', 'up'], 30, f'db2 is down: {states()}')


@pytest.mark.slow
def test_ctrl_c_at_the_end(binary, tmp_path):
    """It prints how to connect, and that works; Ctrl-C then ends everything, as it should."""
    run = Quickstart(tmp_path, binary, '--freeze', '0')
    try:
        run.wait_for('Ctrl-C stops everything')
        line = re.search(r'^ +mysql (-h 127\.0\.0\.1 -P \d+ -u app@acme -p\S+ tenant_acme)$', run.output, re.M)
        assert line, run.output
        argv = ['mariadb', '--no-defaults', *line[1].split(), '-N', '-B', '-e', 'SELECT COUNT(*) FROM orders']
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0 and done.stdout == '10\n', done.stdout + done.stderr
        check_where_the_rows_lie(run.output)
        check_what_now(run.output)
    finally:
        os.kill(run.process.pid, signal.SIGINT)
    assert run.end(90) == 0
    assert 'nothing is left running' in run.output


@pytest.mark.slow
@pytest.mark.parametrize(
    'when, number, code', [('is frozen now', signal.SIGINT, 130), ('bulkhead serves', signal.SIGTERM, 143)]
)
def test_stopped_early(binary, tmp_path, when, number, code):
    """In the middle of the freeze, and while the tenants are made: nothing stays, least of all a frozen server."""
    run = Quickstart(tmp_path, binary, '--freeze', '60')
    run.wait_for(when)
    os.kill(run.process.pid, number)
    assert run.end(90) == code


@pytest.mark.parametrize('option', [['--nonsense'], ['--freeze'], ['--binary']])
def test_wrong_options(option):
    done = subprocess.run([DEPLOY / 'quickstart', *option], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and option[0] in done.stderr


class Told:
    """A tenant's clients and server, made up: what was told, and which rows there are."""

    def __init__(self, tenant: str, backend: str, told: list[tuple[str, int]], rows: list[tuple[int, int]]):
        self.tenant, self.backend, self.shard = tenant, backend, f's{backend[2:]}'
        self.clients = [SimpleNamespace(problems=[])]
        self.server = SimpleNamespace(execute=lambda text: rows if 'ledger' in text else [])
        allowed = {'done': ((0,),), 'not executed': ((),), 'unknown': ((), (0,))}
        self.told = [
            ledger.Told(number, 'auto', tenant, 10.0, 10.1, label, allowed=allowed[label]) for label, number in told
        ]

    def latencies(self, _start, _end):
        return [0.01, 0.02]


def judge(told, rows, others=(('done', 7),), other_rows=((7, 0),), after=None) -> bool:
    victim, other = Told('globex', 'db2', told, rows), Told('acme', 'db1', list(others), list(other_rows))
    gate = {
        'bulkhead_gate_enqueued_total{shard="s2",kind="write"}': 3.0,
        'bulkhead_gate_released_total{shard="s2",kind="write"}': 2.0,
        'bulkhead_gate_refused_total{shard="s2",kind="write",code="9403"}': 1.0,
    }
    return quickstart_report.report(
        SimpleNamespace(
            writers=[other, victim],
            victim=victim,
            others=[other],
            seconds=15.0,
            began=0.0,
            frozen=10.0,
            thawed=25.0,
            served=26.0,
            hold=0.5,
            verdict=2.0,
            before={},
            at_thaw={'bulkhead_gate_enqueued_total{shard="s2",kind="write"}': 1.0},
            after={**gate, **(after or {})},
            most_held=2,
        )
    )


def test_the_report_believes_what_is_true(capsys):
    assert judge([('done', 1), ('not executed', 2), ('unknown', 3), ('unknown', 4)], [(1, 0), (4, 0)])
    out = capsys.readouterr().out
    assert re.search(r'outcome unknown \(9410\) +2 +1 +1\n', out) and 'as promised' in out
    assert '1 statements while it was frozen, 2 at once, and 2 in the ramp after it: 2 released, 1 refused' in out


@pytest.mark.parametrize(
    'what, arguments',
    [
        ('lost', {'told': [('done', 1)], 'rows': []}),
        ('doubled', {'told': [('done', 1)], 'rows': [(1, 0), (1, 0)]}),
        ('doubled, its outcome unknown', {'told': [('unknown', 1)], 'rows': [(1, 0), (1, 0)]}),
        ('executed after all', {'told': [('not executed', 1)], 'rows': [(1, 0)]}),
        ('a row that nobody wrote', {'told': [('done', 1)], 'rows': [(1, 0), (9, 0)]}),
        (
            'refused on a server that was well',
            {'told': [], 'rows': [], 'others': [('not executed', 7)], 'other_rows': []},
        ),
        ('counts that do not add up', {'told': [], 'rows': [], 'after': {'bulkhead_held_statements{shard="s2"}': 4.0}}),
    ],
)
def test_the_report_notices(what, arguments, capsys):
    assert not judge(**arguments), what
    assert 'NOT AS PROMISED' in capsys.readouterr().out


def test_without_a_terminal_a_second_is_a_line(capsys):
    live = quickstart_view.Live(sys.stdout)
    acme = ['acme', 'db1', 'up', 80, '9.1 ms', 0, 0, 0, 0, 0]
    live.show([acme, ['globex', 'db2', 'down', 0, '-', 5, 4, 0, 0, 2]], 'frozen 3 s')
    live.say('word ' * 60)
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith('acme 80/s, p99 9.1 ms | globex DOWN 0/s, 5 waiting, 4 held, 2 unknown')
    assert len(out) > 2 and all(len(line) <= 120 for line in out) and '\033' not in ''.join(out)
