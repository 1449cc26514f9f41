// The verdict, the numbers, what is wrong, the compartments and the servers.

import {$, chip, el, icon, setAttribute, setText} from './dom.js';
import {milestones} from './incidents.js';
import {draw, plotFigure, together} from './plots.js';
import {ago, backendState, byName, bytes, clock, count, list, millis, number, shardState} from './words.js';

const MOST_CARDS = 12;
const MOST_SERVERS = 12;

export class FleetView {
  constructor(model, openDetail) {
    this.model = model;
    this.openDetail = openDetail;
    this.cells = new Map();  // of the hull, by shard
    this.cards = new Map();  // of what is wrong, by server or shard
    this.visible = new Set();
    this.allServers = false;
    this.wanted = new Set();  // shards whose history is to be asked for
    this.observer = new IntersectionObserver((entries) => this.onSeen(entries), {rootMargin: '200px'});
    $('servers-all').addEventListener('click', () => {
      this.allServers = !this.allServers;
      this.renderServers();
    });
  }

  onSeen(entries) {
    for (const entry of entries) {
      const name = entry.target.dataset.shard;
      if (!entry.isIntersecting) {
        this.visible.delete(name);
        continue;
      }
      this.visible.add(name);
      if (!this.model.histories.has(name)) this.wanted.add(name);
    }
  }

  render() {
    if (!this.model.head) return;
    this.renderRouter();
    this.renderVerdict();
    this.renderNumbers();
    this.renderCards();
    this.renderHull();
    this.renderServers();
  }

  renderRouter() {
    const {router} = this.model.head;
    setText($('router'), `${router.id.slice(0, 8)} · ${router.version}`);
    $('router').title = `router ${router.id}, started ${clock(router.started_ms, this.model.now)} UTC`;
  }

  // --- in one sentence

  renderVerdict() {
    const {totals, router} = this.model.head;
    const troubled = this.model.troubledShards();
    const servers = [...this.model.backends.values()].filter((b) => b.state !== 'up');
    let mood = 'calm';
    let words = totals.shards === 1 ? 'The shard is served.' : `All ${number(totals.shards)} shards are served.`;
    let more = `${count(totals.backends, 'server')} up, nothing is held.`;
    if (totals.shards === 0) {
      words = 'There are no shards yet.';
      more = 'CREATE BACKEND, then CREATE SHARD, on the admin listener.';
    } else if (troubled.length > 0) {
      mood = troubled.some((s) => shardState(s.state).mood === 'alarm') ? 'alarm' : 'warn';
      words = troubledWords(troubled, totals);
      more = consequences(troubled, totals);
    } else if (servers.length > 0) {
      mood = servers.some((b) => backendState(b.state).mood === 'alarm') ? 'warn' : 'calm';
      words = `All ${number(totals.shards)} shards are served.`;
      more = `${list(servers.map((b) => `${b.name} is ${backendState(b.state).word}`))}, and no shard needs it now.`;
      if (servers.length !== 1) more = more.replace('needs it', 'needs them');
    }
    if (!router.ready) more = `This router is ${router.not_ready_because}. ${more}`;
    if (!totals.store_writable) {
      mood = mood === 'calm' ? 'warn' : mood;
      more += ' The topology store can\'t be written: changes would be lost at a restart.';
    }
    setAttribute($('verdict'), 'data-mood', mood);
    setText($('verdict-words'), words);
    setText($('verdict-more'), more);
    document.title = troubled.length === 0 ? 'Bulkhead: served'
        : `(${troubled.length}) ${troubled[0].name} ${shardState(troubled[0].state).word} · Bulkhead`;
  }

  renderNumbers() {
    const {totals} = this.model.head;
    const rows = [
      ['tenants affected', number(totals.tenants_affected), `of ${number(totals.tenants)}`, totals.tenants_affected > 0],
      ['held now', number(totals.held), 'statements', totals.held > 0],
      ['outcome unknown', number(totals.unknown), 'since the start', totals.unknown > 0 && totals.serving < totals.shards],
      ['statements', number(totals.per_second), 'a second', false],
      ['failed', number(totals.failed_per_second), 'a second', totals.failed_per_second > 0],
      ['sessions', number(totals.sessions), 'clients', false],
    ];
    const box = $('numbers');
    if (box.children.length !== rows.length)
      box.replaceChildren(...rows.map(() => el('div', {}, el('dt'), el('dd', {}, el('b'), el('span')))));
    rows.forEach(([name, value, unit, notable], i) => {
      const row = box.children[i];
      setText(row.querySelector('dt'), name);
      setText(row.querySelector('b'), value);
      setText(row.querySelector('span'), ` ${unit}`);
      row.classList.toggle('notable', notable);
    });
  }

  // --- what is wrong, the worst first: a server in trouble with all its shards, or a shard alone

  groups() {
    const groups = new Map();
    for (const shard of this.model.troubledShards()) {
      const backend = this.model.backends.get(shard.primary);
      const key = backend && backend.state !== 'up' ? `server ${shard.primary}` : `shard ${shard.name}`;
      if (!groups.has(key)) groups.set(key, {key, backend, shards: []});
      groups.get(key).shards.push(shard);
    }
    return [...groups.values()];
  }

  renderCards() {
    const groups = this.groups();
    $('wrong').hidden = groups.length === 0;
    const shown = groups.slice(0, MOST_CARDS);
    const keys = new Set(shown.map((group) => group.key));
    for (const [key, card] of this.cards) {
      if (keys.has(key)) continue;
      card.remove();
      this.cards.delete(key);
    }
    shown.forEach((group, i) => {
      let card = this.cards.get(group.key);
      if (!card) {
        card = this.makeCard();
        this.cards.set(group.key, card);
      }
      if ($('cards').children[i] !== card) $('cards').insertBefore(card, $('cards').children[i] || null);
      this.fillCard(card, group);
    });
    setText($('cards-rest'), groups.length > shown.length
      ? `${groups.length - shown.length} more are first among the compartments below.` : '');
  }

  makeCard() {
    return el('article', {class: 'card'},
        el('header', {}, el('h3'), el('span', {class: 'state'}), el('span', {class: 'since'})),
        el('p', {class: 'why'}),
        el('ul', {class: 'evidence'}),
        el('dl', {class: 'facts'}),
        el('div', {class: 'plots'}, plotFigure('per_second'), plotFigure('p99_ms'), plotFigure('held')),
        el('div', {class: 'milestones'}),
        el('p', {class: 'more'}));
  }

  fillCard(card, {shards, backend}) {
    const [worst] = shards;
    const alone = shards.length === 1;
    const state = shardState(worst.state);
    const at = (selector) => card.querySelector(selector);
    const title = alone ? worst.name : `${shards.length} shards of ${backend.name}`;
    setAttribute(card, 'data-mood', state.mood);
    setAttribute(card, 'aria-label', alone ? `shard ${title}` : title);
    setText(at('h3'), title);
    if (at('.state').dataset.state !== worst.state) {
      at('.state').dataset.state = worst.state;
      at('.state').replaceChildren(chip(state));
    }
    const start = Math.min(...shards.map((s) => (s.outage_seconds > 0 ? this.model.now - s.outage_seconds * 1000 : s.since_ms)));
    setText(at('.since'), `for ${ago(start, this.model.clock()).replace(' ago', '')}, since ${clock(start, this.model.now)}`);
    setText(at('.why'), alone ? worst.why : '');
    this.fillEvidence(at('.evidence'), worst, backend);
    const sum = (key) => shards.reduce((all, s) => all + s[key], 0);
    facts(at('.facts'), [
      ['tenants', sum('tenants') > 0 ? number(sum('tenants')) : sum('slots') > 0 ? `in ${number(sum('slots'))} slots` : '0'],
      ['held', alone ? `${number(worst.held)} of ${number(worst.limit_statements)}` : number(sum('held'))],
      ['held bytes', alone ? `${bytes(worst.held_bytes)} of ${bytes(worst.limit_bytes)}` : bytes(sum('held_bytes'))],
      ['refused', number(sum('refused'))],
      ['unknown', number(sum('unknown'))],
    ]);
    for (const shard of shards.slice(0, 100))
      if (!this.model.histories.has(shard.name)) this.wanted.add(shard.name);
    const history = together(shards.map((s) => this.model.histories.get(s.name)));
    for (const figure of card.querySelectorAll('.plot')) draw(figure, history);
    const incident = this.model.head.incidents.find((one) => one.id === worst.incident);
    milestones(at('.milestones'), incident, this.model);
    this.fillLinks(at('.more'), shards);
  }

  fillEvidence(box, shard, backend) {
    const lines = evidenceOf(shard, backend, this.model);
    while (box.children.length > lines.length) box.lastChild.remove();
    lines.forEach((line, i) => setText(box.children[i] || box.appendChild(el('li')), line));
  }

  fillLinks(box, shards) {
    const names = shards.map((s) => s.name);
    if (box.dataset.names === names.join()) return;
    box.dataset.names = names.join();
    box.replaceChildren(
        ...names.slice(0, 12).map((name) => el('button', {type: 'button', onclick: () => this.openDetail(name)},
            names.length === 1 ? `All about ${name}` : name)),
        names.length > 12 ? el('span', {}, ` and ${names.length - 12} more`) : '');
  }

  // --- all of them

  renderHull() {
    const hull = $('hull');
    const shards = this.model.sortedShards();
    setAttribute(hull, 'data-density', shards.length <= 12 ? 'roomy' : shards.length <= 60 ? 'medium' : 'dense');
    for (const [name, cell] of this.cells) {
      if (this.model.shards.has(name)) continue;
      this.observer.unobserve(cell);
      cell.remove();
      this.cells.delete(name);
    }
    shards.forEach((shard, i) => {
      let cell = this.cells.get(shard.name);
      if (!cell) {
        cell = this.makeCell(shard.name);
        this.cells.set(shard.name, cell);
        this.observer.observe(cell);
      }
      if (hull.children[i] !== cell) hull.insertBefore(cell, hull.children[i] || null);
      this.fillCell(cell, shard);
    });
  }

  makeCell(name) {
    return el('div', {class: 'cell', role: 'listitem', 'data-shard': name},
        el('button', {type: 'button', onclick: () => this.openDetail(name)},
           el('span', {class: 'water', 'aria-hidden': 'true'}),
           el('span', {class: 'name'}, name), el('span', {class: 'sign'}), el('span', {class: 'word'}),
           el('span', {class: 'rate'}), plotFigure('per_second')));
  }

  fillCell(cell, shard) {
    const state = shardState(shard.state);
    setAttribute(cell, 'data-mood', state.mood);
    const sign = cell.querySelector('.sign');
    if (sign.dataset.state !== shard.state) {
      sign.dataset.state = shard.state;
      sign.replaceChildren(icon(state.icon));
    }
    setText(cell.querySelector('.word'), shard.held > 0 ? `${state.word} · ${number(shard.held)}` : state.word);
    setText(cell.querySelector('.rate'), `${number(shard.per_second)}/s · ${millis(shard.p99_ms)}`);
    cell.querySelector('button').title =
        `${shard.name}: ${state.word}${shard.why ? `, ${shard.why}` : ''}; ${count(shard.tenants, 'tenant')}`;
    const level = shard.held === 0 || !shard.limit_statements ? 0
        : Math.max(6, Math.min(100, (100 * shard.held) / shard.limit_statements));
    cell.querySelector('.water').style.height = `${level}%`;
    if (this.visible.has(shard.name) && cell.offsetWidth > 120)
      draw(cell.querySelector('.plot'), this.model.histories.get(shard.name));
  }

  // --- servers

  renderServers() {
    const backends = this.model.sortedBackends();
    const button = $('servers-all');
    const troubled = backends.filter((b) => b.state !== 'up').length;
    const most = this.allServers ? backends.length : Math.max(MOST_SERVERS, troubled);
    button.hidden = backends.length <= MOST_SERVERS;
    setAttribute(button, 'aria-expanded', String(this.allServers));
    setText(button, this.allServers ? 'Show fewer' : `Show all ${backends.length}`);
    const body = $('servers').tBodies[0];
    const shown = backends.slice(0, most);
    while (body.rows.length > shown.length) body.deleteRow(-1);
    shown.forEach((backend, i) => {
      const row = body.rows[i] || body.appendChild(el('tr', {}, el('th', {scope: 'row'}, el('b'), el('small')),
          el('td', {class: 'state'}), el('td', {class: 'since'}), el('td', {class: 'carries'}),
          el('td', {class: 'number'}), el('td', {class: 'evidence'}, el('span'))));
      this.fillServer(row, backend);
    });
  }

  fillServer(row, backend) {
    const state = backendState(backend.state);
    setText(row.querySelector('b'), backend.name);
    setText(row.querySelector('small'), backend.address);
    setAttribute(row, 'data-mood', state.mood);
    const cell = row.querySelector('.state');
    if (cell.dataset.state !== backend.state) {
      cell.dataset.state = backend.state;
      cell.replaceChildren(chip(state));
    }
    setText(row.querySelector('.since'), backend.since_ms ? ago(backend.since_ms, this.model.clock()).replace(' ago', '') : '');
    const carries = [];
    if (backend.primary_of.length) carries.push(`primary of ${list(backend.primary_of.sort(byName), 4)}`);
    if (backend.replica_of.length) carries.push(`replica of ${list(backend.replica_of.sort(byName), 4)}`);
    setText(row.querySelector('.carries'), carries.join('; ') || 'nothing');
    setText(row.querySelector('td.number'), `${number(backend.connections)} of ${number(backend.connection_limit)}`);
    let evidence = backend.why;
    if (backend.last_heard_ms)
      evidence += `${evidence ? '; ' : ''}last heard ${clock(backend.last_heard_ms, this.model.now)}`;
    if (backend.state === 'up' && backend.primary_of.length && !backend.commits_probed)
      evidence = 'commits are not probed: see the log';
    const words = row.querySelector('.evidence span');
    setText(words, evidence);
    words.title = evidence;
  }
}

export function facts(box, rows) {
  if (box.children.length !== rows.length)
    box.replaceChildren(...rows.map(() => el('div', {}, el('dt'), el('dd'))));
  rows.forEach(([name, value], i) => {
    setText(box.children[i].querySelector('dt'), name);
    setText(box.children[i].querySelector('dd'), value);
  });
}

function troubledWords(troubled, totals) {
  const by = new Map();
  for (const shard of troubled) {
    const {word} = shardState(shard.state);
    by.set(word, [...(by.get(word) || []), shard.name]);
  }
  const parts = [...by].map(([word, names]) => `${list(names)} ${names.length === 1 ? 'is' : 'are'} ${word}`);
  return `${troubled.length} of ${count(totals.shards, 'shard')}: ${parts.join('; ')}.`;
}

function consequences(troubled, totals) {
  const others = totals.shards - troubled.length;
  const rest = others === 0 ? '' : others === 1 ? ' The other shard is served as usual.'
      : ` The other ${number(others)} are served as usual.`;
  const slots = troubled.some((s) => s.slots > 0 && s.tenants === 0);
  const tenants = totals.tenants_affected === 0 && slots ? 'Tenants without an entry of their own are affected.'
      : `${count(totals.tenants_affected, 'tenant')} of ${number(totals.tenants)} ${totals.tenants_affected === 1 ? 'is' : 'are'} affected.`;
  return tenants + rest;
}

// The evidence of a server's state, a line each.
function evidenceOf(shard, backend, model) {
  if (!backend || backend.state === 'up') return [`Its server ${shard.primary} is up.`];
  const lines = backend.why ? backend.why.split('; ') : [];
  if (backend.last_heard_ms)
    lines.unshift(`last sign of life ${clock(backend.last_heard_ms, model.now)}, ${ago(backend.last_heard_ms, model.clock())}`);
  return [`Its server ${backend.name} (${backend.address}) is ${backendState(backend.state).word}:`, ...lines];
}
