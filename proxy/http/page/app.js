// Starts the page: follows the fleet live, or asks every few seconds where that can't be had.

import {DetailView} from './detail.js';
import {$, el, getJson, setAttribute, setText} from './dom.js';
import {FleetView} from './fleet.js';
import {IncidentsView} from './incidents.js';
import {Model} from './model.js';
import {SearchView} from './search.js';
import {byName, clock, list, span} from './words.js';

const POLL_MS = 3000;
const TRY_STREAM_AGAIN_MS = 60000;
const STALE_MS = 4000;
const EVENTS_ASKED = 300;
const EVENTS_SHOWN = 40;
const RETRY_MS = 3000;

const model = new Model();
const detail = new DetailView(model, (name) => fleet.wanted.add(name));
const openDetail = (name) => detail.open(name);
const fleet = new FleetView(model, openDetail);
const incidents = new IncidentsView(model);
new SearchView(openDetail);

let stream = null;
let polling = null;
let eventsSeen = -1;
let frame = 0;

function render() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    fleet.render();
    incidents.render();
    detail.render();
    askForEvents();
    askForHistories();
  });
}

// --- live

function follow() {
  stream = new EventSource('/api/v1/stream');
  stream.addEventListener('fleet', (event) => {
    stopPolling();
    model.takeWhole(JSON.parse(event.data));
    // What was missed meanwhile is asked for again.
    for (const name of model.histories.keys()) fleet.wanted.add(name);
    render();
    detail.followHash();
  });
  stream.addEventListener('changes', (event) => {
    model.takeChanges(JSON.parse(event.data));
    render();
  });
  stream.addEventListener('error', () => {
    // A lost connection is tried again by the browser; a refusal (too many pages) is not.
    if (stream.readyState !== EventSource.CLOSED) return;
    stream = null;
    poll();
    setTimeout(follow, TRY_STREAM_AGAIN_MS);
  });
}

function poll() {
  if (polling) return;
  const ask = async () => {
    try {
      model.takeWhole(await getJson('/api/v1/fleet'));
      render();
    } catch (error) { /* said by showLive */ }
  };
  polling = setInterval(ask, POLL_MS);
  ask();
}

function stopPolling() {
  clearInterval(polling);
  polling = null;
}

function showLive() {
  const quiet = Date.now() - model.heardAt;
  const box = $('live');
  if (!model.heardAt) {
    setText(box, 'connecting');
  } else if (quiet > STALE_MS + (polling ? POLL_MS : 0)) {
    setAttribute(box, 'data-mood', 'alarm');
    setText(box, `no picture for ${span(Math.floor(quiet / 1000) * 1000)}: the last is of ${clock(model.now)}`);
    setAttribute(document.body, 'data-stale', 'yes');
  } else {
    setAttribute(box, 'data-mood', 'calm');
    setText(box, polling ? `asked every ${POLL_MS / 1000} s` : 'live');
    document.body.removeAttribute('data-stale');
  }
}

// --- what is asked for apart

async function askForEvents() {
  const {lastEvent} = model.head;
  if (lastEvent === eventsSeen) return;
  eventsSeen = lastEvent;
  let answer;
  try {
    answer = await getJson(`/api/v1/events?limit=${EVENTS_ASKED}`);
  } catch (error) {
    eventsSeen = -1;  // the next picture asks again
    return;
  }
  $('events').replaceChildren(...gathered(answer.events).slice(0, EVENTS_SHOWN).map((event) => el('li', {},
      el('time', {datetime: new Date(event.at_ms).toISOString()}, clock(event.at_ms, model.now)),
      el('b', {}, list(event.objects.sort(byName), 2)), el('span', {}, event.text))));
}

// The same of many shards in the same second is one line.
function gathered(events) {
  const rows = new Map();
  for (const event of events) {
    const word = event.kind === 'shard' ? event.text.split(':')[0] : event.id;
    const key = `${event.kind} ${Math.floor(event.at_ms / 1000)} ${word}`;
    const row = rows.get(key);
    if (row) {
      row.objects.push(event.object);
      row.text = word;
    } else {
      rows.set(key, {...event, objects: [event.object]});
    }
  }
  return [...rows.values()];
}

let asking = false;
async function askForHistories() {
  if (asking || fleet.wanted.size === 0) return;
  asking = true;
  const names = [...fleet.wanted].slice(0, 100);
  for (const name of names) fleet.wanted.delete(name);
  try {
    model.takeHistory(await getJson(`/api/v1/history?shards=${names.map(encodeURIComponent).join(',')}`));
  } catch (error) {
    for (const name of names) fleet.wanted.add(name);
    setTimeout(() => { asking = false; }, RETRY_MS);  // the next picture asks again
    return;
  }
  asking = false;
  render();
}

follow();
setInterval(showLive, 1000);
// Durations go on between two pictures.
setInterval(() => { if (model.head && !document.hidden) render(); }, 1000);
