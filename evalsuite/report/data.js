// The samples: unpacked once, then read by document number. One document has a row in each run, or none.

const STATUS = ['scored', 'failed', 'too long'];
const byId = (id) => document.getElementById(id);

async function unpack() {
  const packed = byId('payload').textContent;
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Samples(await new Response(stream).json());
}

class Samples {
  constructor(packed) {
    this.packed = packed;
    this.tasks = packed.tasks;
    this.runs = packed.runs;
    const sizes = this.tasks.map((task) => task.rows[0].length);
    this.count = sizes.reduce((sum, size) => sum + size, 0);
    this.task = new Uint16Array(this.count);
    this.place = new Uint32Array(this.count);  // within its task
    let at = 0;
    sizes.forEach((size, number) => {
      this.task.fill(number, at, at + size);
      for (let place = 0; place < size; place++) this.place[at++] = place;
    });
    this.verdicts = this.runs.map((_, run) => this._verdicts(run));
    this.changes = this.runs.map((_, run) => this._changes(run));
    this.texts = null;
  }

  // The columns and the row of a document in a run, or null.
  at(number, run) {
    const task = this.tasks[this.task[number]];
    const row = task.rows[run][this.place[number]];
    return row < 0 || !task.runs[run] ? null : { columns: task.runs[run], row };
  }

  // The first run that has the document, the wanted one before others.
  any(number, wanted) {
    const order = [wanted, ...this.runs.keys()];
    for (const run of order) if (this.at(number, run)) return { ...this.at(number, run), run };
    return null;
  }

  value(number, run) {
    const found = this.at(number, run);
    return found ? found.columns.values[found.row][0] ?? null : null;
  }

  // right, wrong, partly, scored (a loss), failed, too_long, absent
  _verdicts(run) {
    return Array.from({ length: this.count }, (_, number) => {
      const found = this.at(number, run);
      if (!found) return 'absent';
      const status = found.columns.status[found.row];
      if (status) return status === 1 ? 'failed' : 'too_long';
      const value = found.columns.values[found.row][0];
      if (value == null || this.tasks[this.task[number]].loss) return 'scored';
      return value >= 1 ? 'right' : value <= 0 ? 'wrong' : 'partly';
    });
  }

  // Against the first run: lost, gained, or nothing.
  _changes(run) {
    if (!run) return null;
    return Array.from({ length: this.count }, (_, number) => {
      const before = this.value(number, 0), after = this.value(number, run);
      if (before === null || after === null || before === after) return '';
      return (after > before) === this.tasks[this.task[number]].loss ? 'lost' : 'gained';
    });
  }

  string(id) {
    return this.packed.strings[id];
  }

  strings(id) {
    return this.packed.sets[id].map((one) => this.string(one));
  }

  // A prompt in two parts that join to the whole: what stands before the document's own paragraphs, and these.
  prompt(node, own) {
    const pieces = [];
    for (; node >= 0; node = this.packed.parents[node]) pieces.push(this.string(this.packed.paragraphs[node]));
    pieces.reverse();
    const cut = Math.max(pieces.length - own, 0);
    return { before: pieces.slice(0, cut).join(''), own: pieces.slice(cut).join('') };
  }

  nodes({ columns, row }) {
    return [columns.contexts[row]].flat();
  }

  own(number, wanted) {
    const found = this.any(number, wanted);
    return this.nodes(found).map((node) => this.prompt(node, found.columns.own[found.row]).own);
  }

  // Lower-case text that the search looks in, made at the first search: own part of the prompt and all answers.
  haystack(number) {
    this.texts ??= new Array(this.count);
    return (this.texts[number] ??= this._haystack(number));
  }

  _haystack(number) {
    const first = this.any(number, 0);
    const task = this.tasks[this.task[number]];
    const parts = [
      `#${first.columns.doc[first.row]} `, task.subtasks[first.columns.subtask[first.row]],
      first.columns.key[first.row], ...this.own(number, 0), ...this.strings(first.columns.continuations[first.row]),
    ];
    this.runs.forEach((_, run) => {
      const found = this.at(number, run);
      if (!found) return;
      const { columns, row } = found;
      parts.push(...this.strings(columns.texts[row]), this.string(columns.gold[row]), this.string(columns.reason[row]));
      if (columns.prediction[row] >= 0) parts.push(this.string(columns.prediction[row]));
    });
    return parts.join('\n').toLowerCase();
  }
}
