"""The router's log as events: when was which state seen, and for what reasons."""
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from processes import wait_until

_LINE = re.compile(r'^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z (\w+) (.*)$')
_CHANGE = re.compile(r'^backend (\S+): (\S+) -> (\S+): (.*)$')
_GATE = re.compile(r'^gate: shard (\S+) (.*)$')


@dataclass(frozen=True)
class Line:
    at: float  # seconds, as time.time()
    level: str
    text: str


@dataclass(frozen=True)
class Change:
    """A change of a backend's state."""

    at: float
    backend: str
    old: str
    new: str
    reasons: str


class RouterLog:
    """Follows a log file that grows. Positions count lines: mark() now, and look for what comes after it."""

    def __init__(self, path: Path):
        self._path, self._offset, self._rest = path, 0, ''
        self._lines: list[Line] = []

    def lines(self, since: int = 0) -> list[Line]:
        try:
            with open(self._path, 'rb') as log:
                log.seek(self._offset)
                data = log.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *whole, self._rest = (self._rest + data.decode('utf-8', 'replace')).split('\n')
        for text in whole:
            found = _LINE.match(text)
            if found:
                at = datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc).timestamp()
                self._lines.append(Line(at, found[2], found[3]))
        return self._lines[since:]

    def mark(self) -> int:
        self.lines()
        return len(self._lines)

    def changes(self, backend: str | None = None, since: int = 0) -> list[Change]:
        found = ((line.at, _CHANGE.match(line.text)) for line in self.lines(since))
        return [
            Change(at, m[1], m[2], m[3], m[4]) for at, m in found if m and (backend is None or m[1] == backend)
        ]

    def state(self, backend: str) -> str:
        changes = self.changes(backend)
        return changes[-1].new if changes else 'unknown'

    def gates(self, shard: str, since: int = 0) -> list[Line]:
        """What was said of this shard's gate: `is suspect since ...`, `has answered again ...`."""
        found = ((line, _GATE.match(line.text)) for line in self.lines(since))
        return [Line(line.at, line.level, m[2]) for line, m in found if m and m[1] == shard]

    def wait(self, pattern: str, since: int = 0, timeout: float = 10) -> Line:
        """The first line from `since` on in which the pattern is found."""

        def found():
            return next((line for line in self.lines(since) if re.search(pattern, line.text)), None)

        try:
            return wait_until(found, timeout, f'`{pattern}` in the log', 0.02)
        except AssertionError as error:
            raise AssertionError(f'{error}\n' + '\n'.join(self.story(since))) from None

    def wait_state(self, backend: str, state: str, since: int = 0, timeout: float = 10) -> Change:
        """The first change to this state from `since` on."""

        def found():
            return next((c for c in self.changes(backend, since) if c.new == state), None)

        try:
            return wait_until(found, timeout, f'{backend} becomes {state}', 0.02)
        except AssertionError as error:
            raise AssertionError(f'{error}\n' + '\n'.join(self.story(since))) from None

    def wait_up(self, backend: str, timeout: float = 30) -> None:
        """Until it serves, now or soon."""
        try:
            wait_until(lambda: self.state(backend) == 'up', timeout, f'{backend} is up', 0.02)
        except AssertionError as error:
            raise AssertionError(f'{error}\n' + '\n'.join(self.story())) from None

    def story(self, since: int = 0, last: int = 40) -> list[str]:
        """The last lines, to be read by a human after a failure."""
        return [
            time.strftime('%H:%M:%S', time.gmtime(line.at)) + f'.{int(line.at * 1000) % 1000:03d} {line.text[:300]}'
            for line in self.lines(since)
            if not line.text.startswith('outcome unknown')
        ][-last:]
