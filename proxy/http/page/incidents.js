// Incidents: their milestones in a row, their whole timeline, and what a post-mortem takes along.

import {$, chip, el, getJson, setText} from './dom.js';
import {backendState, byName, clock, clockMillis, count, list, shardState, span} from './words.js';

const MILESTONES = [
  ['last_byte_ms', 'last byte'],
  ['began_ms', 'detected'],
  ['held_ms', 'held'],
  ['verdict_ms', 'verdict'],
  ['given_up_ms', 'given up'],
  ['answered_ms', 'answers'],
  ['released_ms', 'released'],
  ['over_ms', 'over'],
];

// The milestones of one incident, each with how long after the last byte it came.
export function milestones(box, incident, model) {
  if (!incident) {
    box.replaceChildren();
    return;
  }
  const known = MILESTONES.filter(([key]) => incident[key] > 0)
      .map(([key, word]) => ({word, at: incident[key]})).sort((a, b) => a.at - b.at);
  const signature = known.map((m) => m.word + m.at).join();
  if (box.dataset.signature === signature) return;
  box.dataset.signature = signature;
  const from = incident.last_byte_ms || incident.began_ms;
  box.replaceChildren(el('ol', {class: 'steps', 'aria-label': 'What happened when'},
      ...known.map(({word, at}) => el('li', {},
          el('span', {class: 'word'}, word),
          el('time', {datetime: new Date(at).toISOString()}, clockMillis(at, model.now)),
          el('span', {class: 'after'}, at === from ? '' : `+${span(at - from)}`)))));
}

export class IncidentsView {
  constructor(model) {
    this.model = model;
    this.known = new Map();  // by id: {box, moments}
  }

  render() {
    const box = $('incidents');
    const {incidents} = this.model.head;
    if (incidents.length === 0) {
      if (!box.querySelector('.none')) box.replaceChildren(el('p', {class: 'none'}, 'None that this router remembers.'));
      return;
    }
    box.querySelector('.none')?.remove();
    incidents.forEach((incident, i) => {
      let entry = this.known.get(incident.id);
      if (!entry) {
        entry = {box: this.make(incident.id), moments: -1};
        this.known.set(incident.id, entry);
      }
      if (box.children[i] !== entry.box) box.insertBefore(entry.box, box.children[i] || null);
      this.fill(entry, incident);
    });
    const ids = new Set(incidents.map((one) => one.id));
    for (const [id, entry] of this.known) {
      if (ids.has(id)) continue;
      entry.box.remove();
      this.known.delete(id);
    }
  }

  make(id) {
    const details = el('details', {class: 'incident', id: `incident-${id}`},
        el('summary', {}, el('span', {class: 'state'}), el('b'), el('span', {class: 'when'}), el('span', {class: 'cost'})),
        el('div', {class: 'milestones'}),
        el('p', {class: 'exports'},
           'For the post-mortem: ',
           el('a', {href: `/api/v1/incidents/${id}.md`, download: `incident-${id}.md`}, 'Markdown'), ' ',
           el('a', {href: `/api/v1/incidents/${id}`, download: `incident-${id}.json`}, 'JSON')),
        el('div', {class: 'scroll'}, el('table', {class: 'timeline'})));
    details.addEventListener('toggle', () => this.load(id));
    return details;
  }

  fill(entry, incident) {
    const state = entry.box.querySelector('.state');
    if (state.dataset.state !== incident.worst + incident.over_ms) {
      state.dataset.state = incident.worst + incident.over_ms;
      state.replaceChildren(chip(backendState(incident.worst)));
    }
    const from = incident.last_byte_ms || incident.began_ms;
    setText(entry.box.querySelector('b'), incident.backend);
    setText(entry.box.querySelector('.when'), incident.over_ms
      ? `${clock(from, this.model.now)}, took ${span(incident.over_ms - from)}`
      : `since ${clock(from, this.model.now)}, ${span(this.model.clock() - from)} so far`);
    const cost = [];
    if (incident.shards.length) cost.push(`${incident.shards.length === 1 ? 'shard' : 'shards'} ${list(incident.shards.sort(byName))}`);
    cost.push(`at most ${count(incident.most_held, 'statement')} held`);
    if (incident.refused) cost.push(`${count(incident.refused, 'refusal')}`);
    cost.push(incident.unknown ? `${count(incident.unknown, 'outcome')} unknown` : 'no outcome unknown');
    setText(entry.box.querySelector('.cost'), cost.join(', '));
    entry.box.classList.toggle('open-incident', !incident.over_ms);
    milestones(entry.box.querySelector('.milestones'), incident, this.model);
    if (entry.box.open && entry.moments !== incident.moments) this.load(incident.id);
  }

  async load(id) {
    const entry = this.known.get(id);
    const summary = this.model.head.incidents.find((one) => one.id === id);
    if (!entry || !entry.box.open || !summary || entry.moments === summary.moments) return;
    entry.moments = summary.moments;
    const incident = await getJson(`/api/v1/incidents/${id}`);
    entry.box.querySelector('table').replaceChildren(
        el('thead', {}, el('tr', {}, ...['time', 'after', 'about', 'what', 'in words']
            .map((name) => el('th', {scope: 'col'}, name)))),
        el('tbody', {}, ...incident.timeline.map((moment) => this.row(moment, incident))));
  }

  row(moment, incident) {
    const from = incident.last_byte_ms || incident.began_ms;
    const state = backendState(moment.what);
    const word = moment.object === incident.backend && state.word !== 'not known' ? state.word
        : moment.what in {held: 1, rejected: 1, releasing: 1, serving: 1, reads_only: 1, shedding: 1}
          ? shardState(moment.what).word : moment.what.replaceAll('_', ' ');
    return el('tr', {}, el('td', {class: 'time'}, clockMillis(moment.at_ms, this.model.now)),
              el('td', {class: 'time'}, moment.at_ms === from ? '' : `+${span(moment.at_ms - from)}`),
              el('td', {}, moment.object), el('td', {}, word), el('td', {}, moment.words));
  }
}
