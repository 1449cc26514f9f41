"""What deploy/quickstart prints: lines with the time since its start, tables, and a table that is redrawn in place.

Where the output is no terminal, the live table becomes one line a second.
"""
import os
import shutil
import sys
import textwrap
import time

_started = time.monotonic()
_COLOURS = {'up': 32, 'suspect': 33, 'down': 31, 'recovering': 36, 'write_stalled': 33, 'unknown': 33, 'fenced': 31}


def start_clock(elapsed: float) -> None:
    """So many seconds went by before this program."""
    global _started
    _started = time.monotonic() - elapsed


def _stamp() -> str:
    seconds = int(time.monotonic() - _started)
    return f'[{seconds // 60:3}:{seconds % 60:02}]'


def say(text: str) -> None:
    print(f'{_stamp()} {text}', flush=True)


def aligned(rows: list[list], left: tuple[int, ...] = ()) -> list[str]:
    """The rows as lines; cells are text, on the right of their column but for the columns in `left`."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [
        '  '.join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
        for row in cells
    ]


def table(head: list[str], rows: list[list], left: tuple[int, ...] = (0,)) -> None:
    lines = aligned([head, *rows], left)
    lines.insert(1, '-' * max(map(len, lines)))
    print('\n'.join('    ' + line for line in lines) + '\n', flush=True)


def milliseconds(seconds: float) -> str:
    """A latency; `-` where there is none."""
    if seconds != seconds:
        return '-'
    return f'{seconds * 1000:.1f} ms' if seconds < 0.1 else f'{seconds * 1000:.0f} ms'


class Live:
    """A table below the lines that scroll. A row has one cell for each of HEAD."""

    COUNTS = ['waiting', 'held', 'refused', 'rolled back', 'unknown']
    HEAD = ['tenant', 'server', 'state', 'writes/s', 'p99', *COUNTS]
    STATE = 2

    def __init__(self, out=sys.stdout):
        self._out, self._drawn = out, 0
        self._terminal = out.isatty() and os.environ.get('TERM', 'dumb') != 'dumb'
        self._colours = self._terminal and not os.environ.get('NO_COLOR')
        self._rows: list[list] = []
        self._caption = ''

    @property
    def interval(self) -> float:
        return 0.5 if self._terminal else 1.0

    def _width(self) -> int:
        return shutil.get_terminal_size((120, 24)).columns if self._terminal else 120

    def say(self, text: str, indent: int = 0) -> None:
        """A line that stays, above the table; what is too long for one goes on below."""
        self._erase()
        first, below = f'{_stamp()} ' + ' ' * indent, ' ' * (len(_stamp()) + 1 + indent)
        lines = textwrap.wrap(text, max(60, self._width() - 1), initial_indent=first, subsequent_indent=below)
        self._out.write('\n'.join(lines) + '\n')
        self._draw()

    def show(self, rows: list[list], caption: str) -> None:
        self._rows, self._caption = rows, caption
        if self._terminal:
            self._erase()
            self._draw()
        else:
            self._out.write(f'{_stamp()} {caption:<11} {" | ".join(map(self._short, rows))}\n')
            self._out.flush()

    def _short(self, row: list) -> str:
        """Only what is not as always, so that a line can be read at a glance."""
        named = dict(zip(self.HEAD, row))
        state = '' if named['state'] == 'up' else f' {named["state"].upper()}'
        counts = ''.join(f', {named[name]} {name}' for name in self.COUNTS if named[name])
        p99 = f', p99 {named["p99"]}' if named['p99'] != '-' else ''
        return f'{named["tenant"]}{state} {named["writes/s"]}/s{p99}{counts}'

    def close(self) -> None:
        """The table as it is now stays, and the cursor is below it."""
        if self._drawn:
            self._out.write('\n')
        self._drawn, self._rows = 0, []
        self._out.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f'\033[{self._drawn}A\033[J')
            self._drawn = 0

    def _draw(self) -> None:
        if self._terminal and self._rows:
            lines = aligned([self.HEAD, *self._rows], left=(0, 1, 2))
            limit = self._width() - 5
            painted = [lines[0][:limit]]
            painted += [self._paint(line[:limit], row[self.STATE]) for line, row in zip(lines[1:], self._rows)]
            lines = ['', f'    {self._caption}', *('    ' + line for line in painted)]
            self._out.write('\n'.join(lines) + '\n')
            self._drawn = len(lines)
        self._out.flush()

    def _paint(self, line: str, state: str) -> str:
        if not self._colours or state not in _COLOURS:
            return line
        return line.replace(state, f'\033[{_COLOURS[state]}m{state}\033[0m', 1)
