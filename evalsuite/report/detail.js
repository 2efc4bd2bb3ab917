// One sample: prompt, choices or texts, verdict of each run.

const SIGNS = { right: '✓', wrong: '✗', partly: '◐', failed: '!', too_long: '…', scored: '·', absent: ' ' };
const WORDS = {
  right: 'right', wrong: 'wrong', partly: 'partly right', failed: 'failed', too_long: 'too long',
  scored: 'scored', absent: 'not in this run', lost: 'lost', gained: 'gained',
};
const FINISHES = { stop: 'stop string', eos: 'end token', length: 'token limit', window: 'end of the context window' };

const shown = (number, digits = 4) => (number === null || number === undefined ? '—' : number.toFixed(digits));

function badge(verdict) {
  return make('span', { className: `badge ${verdict}`, textContent: `${SIGNS[verdict] ?? ''} ${WORDS[verdict]}`.trim() });
}

function facts(pairs) {
  const list = make('dl', { className: 'facts' });
  for (const [name, text] of pairs) {
    if (text === '' || text === null || text === undefined) continue;
    list.append(make('div', {}, make('dt', { textContent: name }), make('dd', { textContent: text })));
  }
  return list;
}

function tokens(column, place = 0) {
  return Array.isArray(column) ? column[place] : column;
}

class Detail {
  constructor(samples, element) {
    this.samples = samples;
    this.element = element;
    this.visible = false;
    this.unfolded = false;
    this.shown = null;
  }

  show(number, run) {
    this.shown = { number, run };
    const { samples } = this;
    const first = samples.any(number, run);
    const task = samples.tasks[samples.task[number]];
    const { columns, row } = first;
    const subtask = task.subtasks[columns.subtask[row]];
    const title = make('h3', {}, `${subtask || task.name} `, make('span', { textContent: `#${columns.doc[row]}` }));
    const parts = [title, this._tools(), ...this._prompts(first)];
    samples.runs.forEach((label, at) => {
      const found = samples.at(number, at);
      if (samples.runs.length > 1) parts.push(this._heading(label, number, at));
      if (found) parts.push(...this._answers(found, task, samples.verdicts[at][number], samples.runs.length < 2));
      if (found && first.run !== at && !this._samePrompt(first, found)) {
        parts.push(make('p', { className: 'note', textContent: 'This run asked with another prompt:' }), ...this._prompts({ ...found, run: at }));
      }
    });
    parts.push(facts([
      ['Task', task.name], ['Member task', subtask], ['Position in the split', String(columns.doc[row])],
      ['Content key', columns.key[row] + '…'], ['Shots', String(columns.shots[row])],
    ]));
    this.element.replaceChildren(...parts);
    this.element.scrollTop = 0;
  }

  again() {
    if (!this.shown) return;
    const top = this.element.scrollTop;
    this.show(this.shown.number, this.shown.run);
    this.element.scrollTop = top;
  }

  empty(text) {
    this.shown = null;
    this.element.replaceChildren(make('p', { className: 'note', textContent: text }));
  }

  _tools() {
    const space = make('input', { type: 'checkbox', id: 'spaces', checked: this.visible });
    space.addEventListener('change', () => { this.visible = space.checked; this.again(); byId('spaces').focus(); });
    return make('p', { className: 'tools' }, make('label', {}, space, ' show white space'));
  }

  _heading(label, number, run) {
    const change = this.samples.changes[run]?.[number];
    const heading = make('h4', {}, `${label} `, badge(this.samples.verdicts[run][number]));
    if (change) heading.append(' ', make('span', { className: `badge ${change}`, textContent: WORDS[change] }));
    return heading;
  }

  _samePrompt(one, other) {
    return this.samples.nodes(one).join() === this.samples.nodes(other).join();
  }

  _prompts(found) {
    const { columns, row } = found;
    const nodes = this.samples.nodes(found);
    return nodes.map((node, at) => {
      const { before, own } = this.samples.prompt(node, columns.own[row]);
      const count = tokens(columns.contextTokens[row], at);
      const name = nodes.length > 1 ? `Prompt of choice ${at + 1}` : 'Prompt';
      const box = make('section', { className: 'prompt', 'aria-label': name },
        make('h4', {}, name, make('small', { textContent: count ? ` ${count} tokens` : '' })));
      if (before) box.append(this._shots(before, columns.shots[row]));
      box.append(exact(own, this.visible, 'own'));
      return box;
    });
  }

  _shots(text, shots) {
    const lead = shots ? `${shots} shots` : 'Before it';
    const fold = make('details', { className: 'shots', open: this.unfolded },
      make('summary', { textContent: `${lead}, ${text.length.toLocaleString('en')} characters` }));
    fold.append(exact(text, this.visible));
    fold.addEventListener('toggle', () => { this.unfolded = fold.open; });
    return fold;
  }

  _answers({ columns, row }, task, verdict, alone) {
    const parts = [];
    const gold = this.samples.string(columns.gold[row]);
    const prediction = columns.prediction[row] < 0 ? null : this.samples.string(columns.prediction[row]);
    const choices = this.samples.strings(columns.continuations[row]);
    if (alone) parts.push(make('p', { className: 'state' }, badge(verdict)));
    const reason = this.samples.string(columns.reason[row]);
    if (reason) parts.push(make('p', { className: 'note bad', textContent: reason }));
    if (choices.length) parts.push(this._choices(columns, row, choices, gold, prediction));
    const finishes = this.samples.strings(columns.finishes[row]);
    this.samples.strings(columns.texts[row]).forEach((text, at, all) => {
      const name = all.length > 1 ? `Text ${at + 1} of ${all.length}` : 'Generated text';
      const about = `${columns.written[row][at]} tokens, ended by ${FINISHES[finishes[at]] ?? finishes[at]}`;
      parts.push(make('section', { className: 'prompt', 'aria-label': name },
        make('h4', {}, name, make('small', { textContent: ` ${about}` })), exact(text, this.visible, 'text')));
    });
    const metrics = task.metrics.map((name, at) => [name, columns.values[row][at]]).filter(([, value]) => value !== null);
    parts.push(facts([
      ...(choices.length ? [] : [['Extracted answer', prediction ?? 'none'], ['Right answer', gold]]),
      ...metrics.map(([name, value]) => [name, String(value)]),
    ]));
    return parts;
  }

  _choices(columns, row, choices, gold, prediction) {
    const logs = columns.logs[row];
    const whole = logs.length === choices.length && logs.length > 1 && logs.every((one) => one !== null);
    const best = Math.max(...logs);
    const total = logs.reduce((sum, one) => sum + Math.exp(one - best), 0);
    const body = make('tbody');
    choices.forEach((text, at) => {
      const marks = [];
      if (String(at) === gold) marks.push(make('span', { className: 'badge right', textContent: '✓ right answer' }));
      if (String(at) === prediction) marks.push(make('span', { className: 'badge chosen', textContent: 'chosen' }));
      if (columns.greedy[row] >> at & 1) marks.push(make('span', { className: 'badge', textContent: 'greedy', title: 'every token is the most probable one' }));
      body.append(make('tr', { className: String(at) === gold ? 'gold' : '' },
        make('td', {}, exact(text, this.visible)),
        make('td', { className: 'n', textContent: shown(logs[at]) }),
        make('td', { className: 'n', textContent: whole ? `${(100 * Math.exp(logs[at] - best) / total).toFixed(1)} %` : '—' }),
        make('td', { className: 'n', textContent: tokens(columns.choiceTokens[row], at) ?? '—' }),
        make('td', {}, ...marks)));
    });
    const head = make('tr', {}, ...['Continuation', 'Log-prob.', 'Share', 'Tokens', ''].map((name, at) =>
      make('th', { scope: 'col', className: at > 0 && at < 4 ? 'n' : '', textContent: name })));
    return make('div', { className: 'wide' }, make('table', { className: 'choices' }, make('thead', {}, head), body));
  }
}
