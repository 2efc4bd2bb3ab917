// The page: theme, jumps from tables to samples, keys.

const TYPING = /^(INPUT|SELECT|TEXTAREA)$/;
const remembered = {
  get: () => { try { return localStorage.getItem('evalsuite-theme'); } catch { return null; } },
  set: (theme) => { try { localStorage.setItem('evalsuite-theme', theme); } catch { /* a private window */ } },
};

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  remembered.set(root.dataset.theme);
}

function keys(browser, detail) {
  const { list } = browser, query = byId('query'), help = byId('help');
  const anywhere = {
    j: () => browser.move(1),
    k: () => browser.move(-1),
    '/': () => { query.focus(); query.select(); query.scrollIntoView({ block: 'nearest' }); },
    w: () => { detail.visible = !detail.visible; detail.again(); },
    s: () => { detail.unfolded = !detail.unfolded; detail.again(); },
    t: toggleTheme,
    '?': () => help.showModal(),
  };
  const inList = {
    ArrowDown: () => browser.move(1),
    ArrowUp: () => browser.move(-1),
    PageDown: () => browser.move(10),
    PageUp: () => browser.move(-10),
    Home: () => browser.move(-Infinity),
    End: () => browser.move(Infinity),
    Enter: () => byId('detail').focus(),
  };
  const inQuery = {
    Enter: () => { browser.filter(); list.focus(); },
    ArrowDown: () => list.focus(),
    Escape: () => list.focus(),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const { target } = event;
    const action = target === query ? inQuery[event.key]
      : TYPING.test(target.tagName) && target.type !== 'checkbox' ? undefined
        : (target === list && inList[event.key]) || anywhere[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function jumps(browser) {
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-task]');
    if (!button) return;
    browser.set(button.dataset);
    byId('samples').scrollIntoView();
    browser.list.focus({ preventScroll: true });
  });
  byId('clear').addEventListener('click', () => browser.set({}));
  byId('keys').addEventListener('click', () => byId('help').showModal());
  byId('filters').addEventListener('submit', (event) => event.preventDefault());
}

async function start() {
  const theme = remembered.get();
  if (theme) document.documentElement.dataset.theme = theme;
  byId('theme').addEventListener('click', toggleTheme);
  if (typeof DecompressionStream === 'undefined') {
    byId('found').textContent = 'The sample browser needs a newer web browser (DecompressionStream).';
    return;
  }
  const samples = await unpack();
  const detail = new Detail(samples, byId('detail'));
  const browser = new Browser(samples, detail);
  keys(browser, detail);
  jumps(browser);
  document.documentElement.dataset.ready = 'yes';
}

start();
