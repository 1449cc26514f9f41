// All about one shard, in a dialog. Its address is in the URL, so that it can be sent to somebody.

import {$, chip, el, getJson} from './dom.js';
import {facts} from './fleet.js';
import {draw, plotFigure} from './plots.js';
import {bytes, clock, list, millis, number, shardState} from './words.js';

export class DetailView {
  constructor(model, wanted) {
    this.model = model;
    this.wanted = wanted;  // asks for a shard's history
    this.name = null;
    const dialog = $('detail');
    dialog.addEventListener('close', () => {
      this.name = null;
      if (location.hash.startsWith('#shard=')) history.replaceState(null, '', location.pathname);
    });
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close();
    });
    window.addEventListener('hashchange', () => this.followHash());
  }

  followHash() {
    const found = /^#shard=(.+)$/.exec(location.hash);
    if (found) this.open(decodeURIComponent(found[1]));
  }

  open(name) {
    if (!this.model.shards.has(name)) return;
    this.name = name;
    this.wanted(name);
    history.replaceState(null, '', `#shard=${encodeURIComponent(name)}`);
    $('detail-body').replaceChildren(
        el('header', {}, el('h2', {id: 'detail-title'}, `Shard ${name}`), el('span', {class: 'state'}),
           el('button', {type: 'button', class: 'quiet', 'aria-label': 'Close', onclick: () => $('detail').close()}, 'Close')),
        el('p', {class: 'why'}),
        el('div', {class: 'plots big'}, plotFigure('per_second'), plotFigure('p99_ms'), plotFigure('held')),
        el('dl', {class: 'facts wide'}),
        el('h3', {}, 'Its tenants'),
        el('p', {class: 'tenants'}, 'Asking …'));
    this.render();
    if (!$('detail').open) $('detail').showModal();
    this.loadTenants(name);
  }

  async loadTenants(name) {
    const shard = this.model.shards.get(name);
    const answer = await getJson(`/api/v1/tenants?limit=100&shard=${encodeURIComponent(name)}`);
    if (this.name !== name) return;
    const parts = [];
    if (answer.tenants.length) parts.push(`${answer.tenants.join(', ')}${answer.more ? ', …' : '.'}`);
    if (shard.tenants > answer.tenants.length) parts.push(`${number(shard.tenants)} have an entry of their own.`);
    if (shard.slots) parts.push(`Tenants without an entry, in ${number(shard.slots)} of 4096 slots.`);
    $('detail-body').querySelector('.tenants').textContent = parts.join(' ') || 'None.';
  }

  render() {
    if (!this.name) return;
    const shard = this.model.shards.get(this.name);
    if (!shard) {
      $('detail').close();
      return;
    }
    const body = $('detail-body');
    const state = shardState(shard.state);
    const holder = body.querySelector('.state');
    if (holder.dataset.state !== shard.state) {
      holder.dataset.state = shard.state;
      holder.replaceChildren(chip(state));
    }
    body.querySelector('.why').textContent =
        shard.why || `Served since ${clock(shard.since_ms, this.model.now)}.`;
    for (const figure of body.querySelectorAll('.plot')) draw(figure, this.model.histories.get(this.name));
    const backend = this.model.backends.get(shard.primary);
    const rows = [
      ['primary', `${shard.primary} (${backend ? backend.address : '?'}), ${shard.primary_state}`],
      ['replicas', list(shard.replicas, 8) || 'none'],
      ['epoch', number(shard.epoch)],
      ['statements', `${number(shard.per_second)} a second, ${number(shard.failed_per_second)} failed`],
      ['p50, p99', `${millis(shard.p50_ms)}, ${millis(shard.p99_ms)}`],
      ['held', `${number(shard.held_reads)} reads, ${number(shard.held_writes)} writes, of ${number(shard.limit_statements)}`],
      ['held bytes', `${bytes(shard.held_bytes)} of ${bytes(shard.limit_bytes)}`],
      ['refused since the start', number(shard.refused)],
      ['outcomes unknown since the start', number(shard.unknown)],
    ];
    if (shard.failover) rows.push(['failover', failoverWords(shard.failover)]);
    facts(body.querySelector('.facts'), rows);
  }
}

function failoverWords(failover) {
  const parts = [];
  if (failover.ready !== undefined) parts.push(failover.ready ? 'ready' : 'not ready');
  if (failover.fence !== undefined) parts.push(failover.fence ? 'a fence is configured' : 'no fence is configured');
  if (failover.why) parts.push(failover.why);
  return parts.join('; ');
}
