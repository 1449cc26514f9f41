// "Where is tenant X, and is it affected?"

import {$, chip, el, getJson} from './dom.js';
import {shardState} from './words.js';

export class SearchView {
  constructor(openDetail) {
    this.openDetail = openDetail;
    this.asked = 0;
    this.last = '';
    $('search').addEventListener('submit', (event) => {
      event.preventDefault();
      this.ask($('tenant').value.trim());
    });
    $('tenant').addEventListener('input', () => {
      clearTimeout(this.timer);
      const name = $('tenant').value.trim();
      if (name === '') this.show();
      else this.timer = setTimeout(() => this.ask(name), 300);
    });
    // A state may have changed since it was asked.
    setInterval(() => { if (!$('answer').hidden && this.last) this.ask(this.last); }, 5000);
  }

  async ask(name) {
    if (name === '') return;
    const number = ++this.asked;
    try {
      const answer = await getJson(`/api/v1/tenant?name=${encodeURIComponent(name)}`);
      const near = answer.known && answer.origin === 'directory' ? {tenants: []}
          : await getJson(`/api/v1/tenants?limit=8&part=${encodeURIComponent(name)}`);
      if (number === this.asked) this.show(name, answer, near.tenants.filter((one) => one !== name));
    } catch (error) {
      if (number === this.asked) this.show(name, {sentence: 'The router does not answer.'}, []);
    }
  }

  show(name, answer, near) {
    const box = $('answer');
    this.last = name || '';
    box.hidden = !name;
    if (!name) return;
    const signature = JSON.stringify([answer, near]);
    if (box.dataset.signature === signature) return;
    box.dataset.signature = signature;
    box.replaceChildren(el('p', {},
        answer.known ? chip(shardState(answer.state)) : null, ' ', answer.sentence, ' ',
        answer.why ? `(${answer.why}) ` : '',
        answer.known ? el('button', {type: 'button', class: 'quiet', onclick: () => this.openDetail(answer.shard)},
                          `shard ${answer.shard}`) : null));
    if (near.length) {
      box.append(el('p', {class: 'near'}, 'Did you mean ',
          ...near.map((one) => el('button', {type: 'button', class: 'quiet', onclick: () => {
            $('tenant').value = one;
            this.ask(one);
          }}, one))));
    }
  }
}
