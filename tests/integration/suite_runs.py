"""Runs the foreign suites of suites/ and keeps their direct results as baselines.

    /usr/bin/python3 tests/integration/suite_runs.py --record mariadb|mysql [SUITE...]
"""
import fnmatch
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import paths
import processes
import servers

HERE = Path(__file__).resolve().parent / 'suites'
SUITES = ['go-sql-driver', 'libmariadb-unit', 'python-sqlalchemy']
# They change global variables, and need room for their own crowds.
SETTINGS = {'mariadb': ['--max-connections=500'], 'mysql': ['--max-connections=500']}
# Differ from run to run, directly too.
FLAKY = {'go-sql-driver': ['TestConcurrent*']}


@dataclass
class Result:
    passed: set[str]
    failed: set[str]
    skipped: set[str]
    last_line: str

    @staticmethod
    def read(folder: Path, last_line='') -> 'Result':
        def names(kind):
            path = folder / f'{kind}.txt'
            return set(path.read_text(errors='replace').splitlines()) if path.exists() else set()

        return Result(names('pass'), names('fail'), names('skip'), last_line)


def run(suite: str, target, server, user: str, out: Path, limit: int = 1500) -> Result:
    """target: where the suite connects to; server: the real server behind it, for resetting its globals."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    env = {
        **os.environ,
        'COMPAT_WORK': str(paths.cache_folder() / 'suites'),
        'COMPAT_OUT': str(out),
        'COMPAT_RESET': f'{server.host} {server.port}',
        'LC_ALL': 'C.UTF-8',
    }
    done = subprocess.run(
        [str(HERE / suite), '127.0.0.1', str(target.port), user, 'suite', 'compat_' + suite.replace('-', '_')],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        timeout=limit,
        text=True,
        errors='replace',
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines and lines[-1].startswith(suite), f'{suite}: {done.stdout[-2000:]}'
    return Result.read(out, lines[-1])


def baseline_folder(server, suite: str) -> Path:
    return HERE / 'baselines' / f'{server.kind}-{type(server).find_version()}' / suite


def baseline(server, suite: str) -> Result:
    """Stored for this server version, or made now (in the cache, so that the next run has it)."""
    stored = baseline_folder(server, suite)
    if not (stored / 'pass.txt').exists():
        stored = paths.cache_folder() / 'baselines' / stored.parent.name / suite
        if not (stored / 'pass.txt').exists():
            print(f'no baseline of {suite} on {stored.parent.name}: running it directly first')
            run(suite, server, server, 'suite', stored)
    return Result.read(stored)


def exceptions(pooling: str, kind: str, suite: str) -> dict[str, str]:
    """{pattern: reason}"""
    found = {}
    for line in (HERE / 'exceptions.txt').read_text().splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        mode, server, name, test, reason = (part.strip() for part in line.split('|', 4))
        assert reason, f'no reason: {line}'
        if mode in (pooling, 'both') and server in (kind, 'both') and name == suite:
            found[test] = reason
    return found


def lost(direct: Result, routed: Result, allowed: dict[str, str], suite: str) -> list[str]:
    """What passed directly, not through the router, and is not allowed to."""
    patterns = [*allowed, *FLAKY.get(suite, [])]
    return sorted(
        name for name in direct.passed - routed.passed if not any(fnmatch.fnmatchcase(name, p) for p in patterns)
    )


def record(kind: str, suites: list[str]) -> None:
    reason = servers.available(kind)
    if reason:
        sys.exit(reason)
    with servers.KINDS[kind]('suites', SETTINGS[kind]) as server:
        for suite in suites or SUITES:
            out = paths.run_folder() / suite
            print(run(suite, server, server, 'suite', out).last_line, flush=True)
            target = baseline_folder(server, suite)
            target.mkdir(parents=True, exist_ok=True)
            for name in ('pass', 'fail', 'skip'):
                shutil.copy(out / f'{name}.txt', target / f'{name}.txt')


if __name__ == '__main__':
    processes.exit_on_signals()
    assert sys.argv[1:2] == ['--record'], __doc__
    record(sys.argv[2], sys.argv[3:])
