"""The load generator for incidents, tests/bench/crowd.cc, as an object: a process, and what it says as JSON lines."""
import atexit
import hashlib
import json
import os
import resource
import shutil
import subprocess
import threading
from pathlib import Path

import paths
from processes import _die_with_parent, wait_until
from servers import APP_PASSWORD

_SOURCES = {
    'crowd': ['crowd.cc', 'client_protocol.h', 'latency.h', 'support.h', 'transport.h'],
    'null_server': ['null_server.cc', 'null_answers.h', 'support.h'],
}
_live: list['Crowd'] = []


def raise_file_limit(needed: int) -> str | None:
    """Of this process, and so of those that it starts; the reason where that is not possible."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f'{needed} file descriptors are needed, and the hard limit is {hard} (ulimit -Hn)'
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return None


def program(name: str = 'crowd') -> Path:
    """Of tests/bench: the one beside the router under test, or one compiled from these sources."""
    folder = paths.ROOT / 'tests/bench'
    sources = [folder / source for source in _SOURCES[name]]
    newest = max(source.stat().st_mtime for source in sources)
    built = paths.BINARY.parent / f'tests/bench_{name}'
    if built.exists() and built.stat().st_mtime >= newest:
        return built
    digest = hashlib.sha256(b''.join(source.read_bytes() for source in sources)).hexdigest()[:16]
    made = paths.cache_folder() / f'bench_{name}-{digest}'
    if not made.exists():
        compiler = os.environ.get('CXX') or shutil.which('c++') or 'g++'
        partial = made.with_name(f'{made.name}.{os.getpid()}')
        subprocess.run(
            [compiler, '-std=c++20', '-O2', f'-I{paths.ROOT}', sources[0], '-o', partial, '-lssl', '-lcrypto'],
            check=True,
        )
        partial.rename(made)
    return made


class Crowd:
    """One process of clients of one tenant. `options`: its flags, with _ for -; True is a switch."""

    def __init__(self, target, tenant: str, mode: str, **options):
        argv = [str(program()), '--mode', mode, '--host', target.host, '--port', str(target.port)]
        argv += ['--user', 'app', '--password', APP_PASSWORD, '--database', f'tenant_{tenant}']
        for name, value in options.items():
            if value is True:
                argv.append(f'--{name.replace("_", "-")}')
            elif value is not None and value is not False:
                argv.append(f'--{name.replace("_", "-")}={value}')
        self.tenant, self.mode = tenant, mode
        self.said: list[dict] = []
        self._error = open(paths.run_folder() / f'crowd.{tenant}.{mode}.err', 'w+')
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._error,
            text=True,
            preexec_fn=_die_with_parent,
        )
        _live.append(self)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def wait_ready(self, timeout: float = 60) -> 'Crowd':
        def ready():
            assert self._process.poll() is None or self.said, self._failure()
            return bool(self.said)

        wait_until(ready, timeout, f'the {self.mode} clients of {self.tenant} are there', 0.02)
        return self

    def _failure(self) -> str:
        self._error.seek(0)
        return f'the {self.mode} clients of {self.tenant} ended with {self._process.poll()}: {self._error.read()}'

    def go(self) -> None:
        """Mode once: the statements are sent now."""
        self._process.stdin.write('go\n')
        self._process.stdin.flush()

    @property
    def windows(self) -> list[dict]:
        return [entry for entry in list(self.said) if 'until' in entry]

    def outcomes(self, timeout: float = 60) -> list[tuple[int, float, float, int]]:
        """Mode once: (number, sent, answered, code) of each, when all have ended."""
        self._end(timeout)
        return [tuple(entry) for entry in self.said[-1]['outcomes']]

    def finish(self, timeout: float = 20) -> list[dict]:
        """Ends it; all its windows."""
        self._process.stdin.close()
        self._end(timeout)
        return self.windows

    def _end(self, timeout: float) -> None:
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        if self in _live:
            _live.remove(self)
        assert code == 0, self._failure()
        self._error.close()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self in _live:
            _live.remove(self)


def kill_all() -> None:
    for crowd in list(_live):
        crowd.kill()


atexit.register(kill_all)
