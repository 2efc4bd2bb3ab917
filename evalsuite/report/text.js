// Elements from text alone, and text whose white space can be seen. Nothing here parses HTML.

function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Spaces, ends of lines, and signs that look like nothing or like a space; the text itself is kept for copying.
const SPACE = /( +|\n|\t|[\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\u0000-\u0008\u000b-\u001f\u007f-\u009f])/;

function spaced(text) {
  return text.split(SPACE).filter((part) => part).map((part) => {
    if (part[0] === ' ') return make('span', { className: 'space', textContent: part });
    if (part === '\n') return make('span', { className: 'line', textContent: part });
    if (part === '\t') return make('span', { className: 'tab', textContent: part });
    if (!SPACE.test(part)) return part;
    const code = 'U+' + part.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    return make('span', { className: 'code', 'data-code': code, title: code, textContent: part });
  });
}

function exact(text, visible, className = '') {
  const box = make('pre', { className: `exact ${className}` });
  if (!text) box.append(make('em', { textContent: 'empty' }));
  else if (visible) box.append(...spaced(text));
  else box.textContent = text;
  return box;
}
