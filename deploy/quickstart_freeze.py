"""The incident of deploy/quickstart: clients that write down what they were told, and a server frozen under them."""
import os
import signal
import threading
import time
from collections import Counter, deque

import ledger
from hang_log import RouterLog
from processes import wait_until
from quickstart_view import Live, milliseconds, say

CLIENTS = 9  # for each tenant
MIX = {'auto': 60, 'prepared': 20, 'transaction': 20}
SINGLE = ('auto', 'prepared')  # one statement each: their time is a statement's latency
# Seconds between two writes, by client: the quick ones are in flight when the server freezes, the slow ones come later.
THINK = ((0.01, 0.06), (0.2, 1.0), (0.5, 2.0))
# Seconds without an end from which on the display counts a write as waiting; some transactions pause for a second.
WAITING = {'auto': 0.25, 'prepared': 0.25, 'transaction': 1.3}
WARM_UP, BEFORE, AFTER = 2.0, 8.0, 4.0
SERVED_WITHIN = 40.0  # seconds after the thaw; with what a test machine may add


def percentile(values, share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float('nan')


class Writers:
    """One tenant's clients, and what they see."""

    def __init__(self, router, tenant: str, server, number: int):
        """number: from 0; the ids of two tenants' writes never meet."""
        self.tenant, self.server, self.backend, self.shard = tenant, server, f'db{number + 1}', f's{number + 1}'
        first = 1 + number * CLIENTS
        self.clients = [
            ledger.Client(router, tenant, n, seed=1, think=THINK, mix=MIX) for n in range(first, first + CLIENTS)
        ]
        self._seen = [0] * CLIENTS
        self._recent: deque[tuple[float, float]] = deque()  # (when, how long) of single statements, the last 5 s
        self._ended: Counter = Counter()  # by label and code
        self.counts: Counter = Counter()  # the same, and what was told already of writes that go on, such as a ROLLBACK

    @property
    def told(self) -> list[ledger.Told]:
        return [unit for client in self.clients for unit in client.told]

    def latencies(self, start: float, end: float) -> list[float]:
        return [
            unit.ended - unit.started
            for unit in self.told
            if unit.kind in SINGLE and unit.label == 'done' and start <= unit.started and unit.ended <= end
        ]

    def look(self) -> tuple[int, int, float]:
        """(writes done since the last look, writes waiting now, p99 of the last five seconds); brings `counts` up."""
        now, done, waiting, told = time.time(), 0, 0, Counter()
        for index, client in enumerate(self.clients):
            for unit in client.told[self._seen[index] :]:
                if not unit.ended:
                    waiting += now - unit.started > WAITING[unit.kind]
                    told.update([unit.label, unit.code] if unit.code else [])
                    continue
                self._seen[index] += 1
                self._ended.update([unit.label, unit.code])
                done += unit.label == 'done'
                if unit.label == 'done' and unit.kind in SINGLE:
                    self._recent.append((unit.ended, unit.ended - unit.started))
        self.counts = self._ended + told
        while self._recent and self._recent[0][0] < now - 5:
            self._recent.popleft()
        return done, waiting, percentile([took for _, took in self._recent], 0.99)


class Incident:
    """run() does it all, and leaves times and counts for the report."""

    def __init__(self, router, fleet, tenants: list[str], victim: int, seconds: float):
        """tenants: one for each server, in the servers' order. victim: which of them, from 0."""
        self.router, self.seconds = router, seconds
        self.writers = [Writers(router, t, s, n) for n, (t, s) in enumerate(zip(tenants, fleet))]
        self.victim = self.writers[victim]
        self.others = [w for w in self.writers if w is not self.victim]
        self.log = RouterLog(router.folder / 'log')
        self.live = Live()
        self.began = self.frozen = self.thawed = self.served = self.ended = 0.0
        self.hold: float | None = None  # seconds after the freeze
        self.verdict: float | None = None
        self.before: dict[str, float] = {}  # the router's metrics: before the freeze, at its end, when all was over
        self.at_thaw: dict[str, float] = {}
        self.after: dict[str, float] = {}
        self.most_held = 0
        self._stop = threading.Event()
        self._told: set[str] = set()  # what was explained already
        self._looked = 0.0

    def run(self) -> None:
        for writers in self.writers:
            self.log.wait_up(writers.backend)
        threads = [
            threading.Thread(target=client.run, args=(self._stop,), daemon=True)
            for writers in self.writers
            for client in writers.clients
        ]
        say(
            f'{len(threads)} clients write through the router, {CLIENTS} for each of {len(self.writers)} tenants: '
            'single INSERTs, prepared ones, transactions'
        )
        say('each notes what it is told about every write; `waiting` has no answer yet, `held` of it was not sent')
        self._mark, self._looked = self.log.mark(), time.time()
        for thread in threads:
            thread.start()
        try:
            self._watch_until(time.time() + WARM_UP)
            self.began = time.time()
            self._watch_until(self.began + BEFORE)
            self.before = self.router.metrics()
            self._freeze()
            self._recover()
        finally:
            self._stop.set()
            self.live.close()
        say('the clients stop; each waits for its last answer')
        deadline = time.monotonic() + ledger.CLIENT_TIMEOUT
        for thread in threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        self.ended = time.time()
        # Which the router publishes some times a second.
        wait_until(lambda: self._held(self.victim.shard) == 0, 20, 'nothing is held any more', 0.2)
        time.sleep(0.5)  # the same, for the counters
        self.after = self.router.metrics()

    def _freeze(self) -> None:
        victim, process = self.victim, self.victim.server.process
        self.live.say(
            f'>>> {victim.backend}, where {victim.tenant} lives, is frozen now (SIGSTOP): its kernel accepts, '
            f'nothing answers; thawed in {self.seconds:g} s'
        )
        try:
            self.frozen = time.time()
            os.kill(process.pid, signal.SIGSTOP)
            self._watch_until(self.frozen + self.seconds)
            self.at_thaw = self.router.metrics()
        finally:
            os.kill(process.pid, signal.SIGCONT)
            self.thawed = time.time()
        self.live.say(f'>>> {victim.backend} is thawed; what was sent to it before the freeze may still run now')

    def _recover(self) -> None:
        deadline = self.thawed + SERVED_WITHIN
        while not self._served_again() and time.time() < deadline:
            self._watch_until(time.time() + 0.2)
        if self.served:
            self._watch_until(time.time() + AFTER)

    def _served_again(self) -> bool:
        """The victim's tenant has had a write done since the router calls its server up."""
        changes = [c for c in self.log.changes(self.victim.backend) if c.at > self.frozen]
        up = max(changes[-1].at, self.thawed) if changes else self.thawed
        if not self.served and self.log.state(self.victim.backend) == 'up':
            ended = [u.ended for u in self.victim.told if u.label == 'done' and u.ended > up]
            self.served = min(ended, default=0.0)
        return bool(self.served)

    def _watch_until(self, end: float) -> None:
        while True:
            now = time.time()
            self._events()
            if now - self._looked >= self.live.interval:
                self._show(now)
            if now >= end:
                return
            time.sleep(max(0.0, min(0.1, end - now)))  # until the next look at the log

    def _caption(self, now: float) -> str:
        if self.thawed:
            return f'thawed {now - self.thawed:2.0f} s'
        return f'frozen {now - self.frozen:2.0f} s' if self.frozen else 'all is well'

    def _held(self, shard: str, metrics: dict[str, float] | None = None) -> int:
        metrics = self.router.metrics() if metrics is None else metrics
        return int(total(metrics, 'bulkhead_held_statements', shard=shard))

    def _show(self, now: float) -> None:
        metrics, rows = self.router.metrics(), []
        since, self._looked = now - self._looked, now
        for writers in self.writers:
            done, waiting, p99 = writers.look()
            held, counts = self._held(writers.shard, metrics), writers.counts
            if writers is self.victim:
                self.most_held = max(self.most_held, held)
            rows.append(
                [
                    writers.tenant,
                    writers.backend,
                    self.log.state(writers.backend),
                    round(done / since),
                    milliseconds(p99),
                    max(waiting, held),
                    held,
                    counts['not executed'],
                    counts['rolled back'],
                    counts['unknown'],
                ]
            )
        self.live.show(rows, self._caption(now))
        self._explain()

    def _events(self) -> None:
        """The router's own words, when it changes its mind about a server."""
        lines = self.log.lines(self._mark)
        self._mark += len(lines)
        since = len(self.log.lines()) - len(lines)
        why = {
            'suspect': f'new work for {self.victim.tenant} is held from now on, nothing running is touched',
            'down': 'the verdict: two independent signals; after 10 s of silence what was sent is given up',
            'recovering': 'it answers; what was abandoned is ended and seen gone, then a few test commits',
            'up': 'what is held is released, a few at a time',
        }
        for change in self.log.changes(None, since) if lines else []:
            after = change.at - self.frozen
            mine = self.frozen and change.backend == self.victim.backend
            if mine and change.new == 'suspect' and self.hold is None and not self.thawed:
                self.hold = after
            if mine and change.new == 'down' and self.verdict is None:
                self.verdict = after
            when = f'+{after:.2f} s  ' if self.frozen else ''
            self.live.say(f'{when}{change.backend} {change.old} -> {change.new}: {change.reasons}')
            if mine and change.new in why:
                self.live.say(why[change.new], indent=9)

    def _explain(self) -> None:
        """Once for each, when it is first seen."""
        counts = self.victim.counts
        seen = {
            'unknown': counts['unknown']
            and 'its outcome is unknown (9410): it was sent and never answered, '
            'so it may be there or not; it is never sent a second time',
            'rolled back': counts['rolled back']
            and 'it is rolled back (1213): its transaction was open and '
            'dies with the connection, so an application may run it again',
            'refused': counts[9403]
            and 'it was not executed (9403): held for 10 s, the longest time '
            'that is allowed; it never left the router',
            'not now': counts[9401]
            and 'it was not executed (9401): so long after the start of an outage nothing ' 'is held any more',
        }
        for key, text in seen.items():
            if text and key not in self._told:
                self._told.add(key)
                self.live.say(f'+{time.time() - self.frozen:.1f} s  {self.victim.tenant} is told of a write: {text}')


def total(metrics: dict[str, float], name: str, **labels) -> float:
    """The sum of a metric's samples that have these labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        value
        for sample, value in metrics.items()
        if sample.split('{')[0] == name and all(label in sample for label in wanted)
    )
