// What is known of the fleet: the last picture, and what the visible shards did lately.

import {backendState, byName, shardState} from './words.js';

export class Model {
  constructor() {
    this.shards = new Map();  // by name, in the topology's order
    this.backends = new Map();
    this.head = null;  // router, totals, incidents, last_event
    this.now = 0;      // the router's clock, at the last picture
    this.heardAt = 0;  // this machine's clock, at the last picture
    this.histories = new Map();
    this.stepSeconds = 5;
  }

  takeWhole(picture) {
    this.shards = new Map(picture.shards.map((s) => [s.name, s]));
    this.backends = new Map(picture.backends.map((b) => [b.name, b]));
    this.takeHead(picture);
  }

  // Returns the names of the shards that have changed.
  takeChanges(picture) {
    for (const shard of picture.shards) this.shards.set(shard.name, shard);
    for (const backend of picture.backends) this.backends.set(backend.name, backend);
    this.takeHead(picture);
    return picture.shards.map((s) => s.name);
  }

  takeHead(picture) {
    const {router, totals, incidents, last_event: lastEvent, topology} = picture;
    this.head = {router, totals, incidents, lastEvent, topology};
    this.now = picture.now_ms;
    this.heardAt = Date.now();
    for (const [name, history] of this.histories) {
      const shard = this.shards.get(name);
      if (!shard) this.histories.delete(name);
      else history.follow(shard, this.now);
    }
  }

  // The router's clock now.
  clock() {
    return this.now + (Date.now() - this.heardAt);
  }

  takeHistory(answer) {
    this.stepSeconds = answer.step_seconds;
    for (const [name, series] of Object.entries(answer.shards)) {
      this.histories.set(name, new History(series, answer.end_ms || this.now, answer.step_seconds * 1000));
    }
  }

  troubledShards() {
    return [...this.shards.values()]
        .filter((s) => s.state !== 'serving')
        .sort((a, b) => shardState(a.state).rank - shardState(b.state).rank || b.held - a.held ||
                        b.tenants - a.tenants || byName(a.name, b.name));
  }

  sortedShards() {
    return [...this.shards.values()].sort(
        (a, b) => shardState(a.state).rank - shardState(b.state).rank ||
                  byName(a.name, b.name));
  }

  sortedBackends() {
    return [...this.backends.values()].sort(
        (a, b) => backendState(a.state).rank - backendState(b.state).rank ||
                  byName(a.name, b.name));
  }
}

// Fifteen minutes of one shard: what the router kept, and what came since.
export class History {
  static MOST = 180;

  constructor(series, endMs, stepMs) {
    this.series = series;
    this.endMs = endMs;
    this.stepMs = stepMs;
    this.begin();
  }

  begin() {
    this.sum = {n: 0, per_second: 0, failed_per_second: 0, p99_ms: 0, held: 0};
  }

  follow(shard, now) {
    this.sum.n += 1;
    this.sum.per_second += shard.per_second;
    this.sum.failed_per_second += shard.failed_per_second;
    this.sum.p99_ms = Math.max(this.sum.p99_ms, shard.p99_ms);
    this.sum.held = Math.max(this.sum.held, shard.held);
    if (now - this.endMs < this.stepMs) return;
    const n = this.sum.n;
    this.push({per_second: this.sum.per_second / n, failed_per_second: this.sum.failed_per_second / n,
               p99_ms: this.sum.p99_ms, held: this.sum.held});
    // After a pause the axis must not be off for ever.
    this.endMs = now - this.endMs > 3 * this.stepMs ? now : this.endMs + this.stepMs;
    this.begin();
  }

  push(sample) {
    for (const [name, value] of Object.entries(sample)) {
      const values = this.series[name];
      values.push(value);
      if (values.length > History.MOST) values.shift();
    }
  }
}
