// Small plots of the last fifteen minutes: one line each, drawn as SVG, said in words for those who
// do not see them.

import {svg} from './dom.js';
import {millis, number} from './words.js';

const LEAST = 36;  // samples: three minutes, while a router is young
const MOST = 180;
const WIDTH = 180;
const HEIGHT = 40;

const KINDS = {
  per_second: {title: 'statements a second', words: number},
  failed_per_second: {title: 'failed a second', words: number},
  p99_ms: {title: 'p99', words: millis},
  held: {title: 'held', words: number},
};

// How many samples the axis spans.
const spanOf = (length) => Math.max(LEAST, Math.min(MOST, length));

function path(values, top) {
  const samples = spanOf(values.length);
  const offset = samples - values.length;
  let d = '';
  values.forEach((value, i) => {
    const x = ((offset + i + 0.5) * WIDTH) / samples;
    const y = HEIGHT - 2 - ((HEIGHT - 6) * Math.min(value || 0, top)) / top;
    d += `${d ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return d;
}

// Draws into `figure` (made by plotFigure).
export function draw(figure, history) {
  const kind = figure.dataset.kind;
  const values = history ? history.series[kind] : [];
  const peak = Math.max(...values, 0);
  const top = peak > 0 ? peak : 1;
  const d = path(values, top);
  const [area, line, over] = figure.querySelectorAll('path');
  line.setAttribute('d', d);
  const samples = spanOf(values.length);
  const minutes = Math.round((samples * (history ? history.stepMs : 5000)) / 60000);
  const start = ((samples - values.length + 0.5) * WIDTH) / samples;
  area.setAttribute('d', d ? `${d}L${WIDTH - 0.5} ${HEIGHT}L${start.toFixed(1)} ${HEIGHT}Z` : '');
  // What failed, on the same scale, below the line of all.
  const failed = kind === 'per_second' && history ? history.series.failed_per_second : [];
  const anyFailed = failed.some((v) => v > 0);
  over.setAttribute('d', anyFailed ? `${path(failed, top)}L${WIDTH - 0.5} ${HEIGHT}L${start.toFixed(1)} ${HEIGHT}Z` : '');
  const {title, words} = KINDS[kind];
  const text = values.length === 0
    ? `${title}: nothing known yet`
    : `${title}, last ${minutes} minutes: now ${words(values.at(-1))}, at most ${words(peak)}` +
      (anyFailed ? `, failed at most ${words(Math.max(...failed))}` : '');
  figure.querySelector('svg').setAttribute('aria-label', text);
  figure.querySelector('.peak').textContent = values.length === 0 ? '' : `max ${words(peak)} in ${minutes} min`;
}

export function plotFigure(kind) {
  const figure = document.createElement('figure');
  figure.className = 'plot';
  figure.dataset.kind = kind;
  figure.append(
      svg('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img'},
          svg('path', {class: 'area', d: ''}),
          svg('path', {class: 'line', d: ''}), svg('path', {class: 'failed', d: ''})));
  const caption = document.createElement('figcaption');
  const name = document.createElement('span');
  name.textContent = KINDS[kind].title;
  const peak = document.createElement('span');
  peak.className = 'peak';
  caption.append(name, peak);
  figure.append(caption);
  return figure;
}

// Several shards as one: their numbers added up, the longest p99.
export function together(histories) {
  const known = histories.filter(Boolean);
  if (known.length < 2) return known[0];
  const length = Math.max(...known.map((h) => h.series.held.length));
  const series = {};
  for (const kind of Object.keys(KINDS)) {
    series[kind] = Array.from({length}, (_, i) => {
      const values = known.map((h) => h.series[kind][i - length + h.series[kind].length] || 0);
      return kind === 'p99_ms' ? Math.max(...values) : values.reduce((a, b) => a + b, 0);
    });
  }
  return {series, stepMs: known[0].stepMs};
}
