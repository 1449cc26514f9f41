// Words, numbers and times for people. All times are UTC, as in the log and in error messages.

export const SHARD_STATES = {
  serving: {word: 'served', icon: 'i-ok', mood: 'calm', rank: 5},
  held: {word: 'held', icon: 'i-held', mood: 'alarm', rank: 1},
  rejected: {word: 'refusing', icon: 'i-no', mood: 'alarm', rank: 0},
  reads_only: {word: 'reads only', icon: 'i-half', mood: 'alarm', rank: 2},
  shedding: {word: 'shedding load', icon: 'i-less', mood: 'warn', rank: 3},
  releasing: {word: 'releasing', icon: 'i-out', mood: 'warn', rank: 4},
};

export const BACKEND_STATES = {
  up: {word: 'up', icon: 'i-ok', mood: 'calm', rank: 8},
  unknown: {word: 'not known yet', icon: 'i-ask', mood: 'warn', rank: 7},
  suspect: {word: 'suspect', icon: 'i-ask', mood: 'warn', rank: 3},
  down: {word: 'down', icon: 'i-no', mood: 'alarm', rank: 0},
  recovering: {word: 'recovering', icon: 'i-out', mood: 'warn', rank: 4},
  fenced: {word: 'fenced', icon: 'i-lock', mood: 'alarm', rank: 1},
  read_only: {word: 'read only', icon: 'i-half', mood: 'warn', rank: 5},
  write_stalled: {word: 'writes stall', icon: 'i-half', mood: 'alarm', rank: 2},
  saturated: {word: 'saturated', icon: 'i-less', mood: 'warn', rank: 6},
};

const UNKNOWN_STATE = {word: 'not known', icon: 'i-ask', mood: 'warn', rank: 2};
export const shardState = (name) => SHARD_STATES[name] || UNKNOWN_STATE;
export const backendState = (name) => BACKEND_STATES[name] || UNKNOWN_STATE;

const two = (n) => String(n).padStart(2, '0');

// "06:49:12", with the day in front if it is not today's.
export function clock(ms, now = Date.now()) {
  if (!ms) return '';
  const d = new Date(ms);
  const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  const sameDay = new Date(now).toISOString().slice(0, 10) === d.toISOString().slice(0, 10);
  return sameDay ? time : `${d.toISOString().slice(0, 10)} ${time}`;
}

// "06:49:12.345"
export function clockMillis(ms, now) {
  return ms ? `${clock(ms, now)}.${String(ms % 1000).padStart(3, '0')}` : '';
}

// "350 ms", "12.4 s", "4 min 10 s", "3 h 12 min", "2 days"
export function span(ms) {
  if (ms < 0) return '0 s';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 100e3) return `${(ms / 1000).toFixed(ms < 10e3 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60e3);
  if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1000) % 60} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

export const ago = (ms, now) => (ms ? `${span(Math.max(0, now - ms))} ago` : '');

export function number(n) {
  if (n === null || n === undefined) return '–';
  if (n >= 1e6) return `${(n / 1e6).toFixed(n >= 1e7 ? 0 : 1)} M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(n >= 1e5 ? 0 : 1)} k`;
  if (n > 0 && n < 10 && n % 1) return n.toFixed(1);
  return String(Math.round(n));
}

export function millis(ms) {
  if (!ms) return '–';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 ** 2) return `${(n / 1024).toFixed(1)} KiB`;
  if (n < 1024 ** 3) return `${(n / 1024 ** 2).toFixed(n < 10 * 1024 ** 2 ? 1 : 0)} MiB`;
  return `${(n / 1024 ** 3).toFixed(1)} GiB`;
}

export const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

// s2 before s10.
export const byName = (a, b) => a.localeCompare(b, undefined, {numeric: true});

export function list(names, most = 3) {
  if (names.length <= most) {
    return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  }
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}
