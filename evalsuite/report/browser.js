// The list of samples: filters over numbers, and only the visible rows as elements.

const SPARE = 8;  // rows beyond the visible ones, so that scrolling shows no gap

// `#17` is a document's number, all else a text.
function matches(text, words) {
  return /^#\d+$/.test(words) ? text.startsWith(`${words} `) : text.includes(words);
}

class Browser {
  constructor(samples, detail) {
    Object.assign(this, { samples, detail, found: [], chosen: -1, queued: 0 });
    this.list = byId('list');
    this.rows = byId('rows');
    this.fields = Object.fromEntries(['query', 'task', 'subtask', 'run', 'verdict'].map((id) => [id, byId(id)]));
    this._options();
    this.list.addEventListener('scroll', () => this._draw(), { passive: true });
    new ResizeObserver(() => this._draw()).observe(this.list);
    this.list.addEventListener('click', (event) => {
      const row = event.target.closest('[role=option]');
      if (row) this.choose(Number(row.dataset.at));
    });
    this.fields.query.addEventListener('input', () => {
      clearTimeout(this.queued);
      this.queued = setTimeout(() => this.filter(), 120);
    });
    for (const id of ['task', 'subtask', 'run', 'verdict']) {
      this.fields[id].addEventListener('change', () => { if (id === 'task') this._subtasks(); this.filter(); });
    }
    this.filter();
  }

  get run() {
    return Number(this.fields.run.value || 0);
  }

  _options() {
    const { samples, fields } = this;
    fields.task.replaceChildren(new Option('all tasks', ''), ...samples.tasks.map((task, at) => new Option(task.name, at)));
    fields.run.replaceChildren(...samples.runs.map((label, at) => new Option(label, at)));
    byId('run-label').hidden = samples.runs.length < 2;
    const seen = new Set(samples.verdicts.flat());
    const kinds = ['right', 'wrong', 'partly', 'scored', 'failed', 'too_long', 'absent'].filter((kind) => seen.has(kind));
    const changes = samples.runs.length > 1 ? ['changed', 'lost', 'gained'] : [];
    const words = { ...WORDS, changed: 'changed against the first run', lost: 'lost (worse)', gained: 'gained (better)' };
    fields.verdict.replaceChildren(new Option('all', ''), ...[...kinds, ...changes].map((kind) => new Option(words[kind], kind)));
    this._subtasks();
  }

  _subtasks() {
    const task = this.samples.tasks[this.fields.task.value];
    const names = task ? task.subtasks.filter((name) => name) : [];
    byId('subtask-label').hidden = names.length < 2;
    this.fields.subtask.replaceChildren(new Option('all', ''), ...names.map((name) => new Option(name, task.subtasks.indexOf(name))));
  }

  // Sets the fields that are given, all others to nothing.
  set(wanted) {
    const { samples, fields } = this;
    fields.query.value = '';
    fields.task.value = wanted.task ? samples.tasks.findIndex((task) => task.name === wanted.task) : '';
    this._subtasks();
    if (wanted.subtask) fields.subtask.value = samples.tasks[fields.task.value].subtasks.indexOf(wanted.subtask);
    fields.run.value = wanted.run ?? 0;
    fields.verdict.value = wanted.verdict ?? '';
    this.filter();
  }

  filter() {
    const { samples, fields, run } = this;
    const [task, subtask] = [fields.task.value, fields.subtask.value].map((value) => (value === '' ? -1 : Number(value)));
    const verdict = fields.verdict.value, words = fields.query.value.toLowerCase().trim();
    const changes = samples.changes[run || 1];  // the first run stands for the second's changes
    const of = { changed: (at) => changes[at], lost: (at) => changes[at] === 'lost', gained: (at) => changes[at] === 'gained' };
    const test = of[verdict] ?? ((at) => samples.verdicts[run][at] === verdict);
    const before = this.found[this.chosen];
    this.found = [];
    for (let at = 0; at < samples.count; at++) {
      if (task >= 0 && samples.task[at] !== task) continue;
      if (verdict && !test(at)) continue;
      if (subtask >= 0) {
        const { columns, row } = samples.any(at, run);
        if (columns.subtask[row] !== subtask) continue;
      }
      if (words && !matches(samples.haystack(at), words)) continue;
      this.found.push(at);
    }
    const all = samples.count.toLocaleString('en');
    byId('found').textContent = `${this.found.length.toLocaleString('en')} of ${all} samples`;
    this.rows.style.height = `${this.found.length * this._rowHeight()}px`;
    const kept = before === undefined ? -1 : this.found.indexOf(before);
    this.choose(this.found.length ? Math.max(kept, 0) : -1);
  }

  choose(at) {
    this.chosen = at;
    if (at < 0) {
      this.detail.empty('No sample matches; press Clear to see all.');
    } else {
      const height = this._rowHeight(), top = at * height, { list } = this;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
      this.detail.show(this.found[at], this.run);
    }
    this._draw();
  }

  move(by) {
    if (this.found.length) this.choose(Math.min(Math.max(this.chosen + by, 0), this.found.length - 1));
  }

  _rowHeight() {
    return parseFloat(getComputedStyle(this.list).getPropertyValue('--row')) || 44;
  }

  _draw() {
    const height = this._rowHeight(), { list, found } = this;
    const start = Math.max(Math.floor(list.scrollTop / height) - SPARE, 0);
    const end = Math.min(Math.ceil((list.scrollTop + list.clientHeight) / height) + SPARE, found.length);
    const rows = [];
    for (let at = start; at < end; at++) rows.push(this._row(at, height));
    this.rows.replaceChildren(...rows);
    const active = this.chosen >= start && this.chosen < end ? `sample-${this.chosen}` : '';
    if (active) list.setAttribute('aria-activedescendant', active);
    else list.removeAttribute('aria-activedescendant');
  }

  _row(at, height) {
    const { samples, run } = this, number = this.found[at];
    const { columns, row } = samples.any(number, run), task = samples.tasks[samples.task[number]];
    const verdict = samples.verdicts[run][number];
    const name = task.subtasks[columns.subtask[row]] || task.name;
    const text = samples.own(number, run)[0].replace(/\s+/g, ' ').trim().slice(0, 160);
    const option = make('div', {
      role: 'option', id: `sample-${at}`, className: verdict, 'data-at': at,
      'aria-selected': String(at === this.chosen), 'aria-setsize': this.found.length, 'aria-posinset': at + 1,
    },
    make('span', { className: 'sign', 'aria-label': WORDS[verdict], role: 'img', textContent: SIGNS[verdict] }),
    make('span', { className: 'what' }, make('span', { className: 'name', textContent: `${name} #${columns.doc[row]}` }),
      make('span', { className: 'start', textContent: text })));
    option.style.top = `${at * height}px`;
    return option;
  }
}
