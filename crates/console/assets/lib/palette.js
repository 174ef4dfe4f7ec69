// The command palette and the help: every action that there is, by name, with its keys.

import { html, useMemo, useState } from './ui.js';
import { actions } from './keys.js';
import { Dialog, closeDialog } from './dialog.js';
import { go } from './route.js';
import { page } from './parts.js';
import { t } from './text.js';

/** Whether the letters of what was typed stand in a text, in their order; lower is nearer. */
function distance(typed, text) {
  let at = 0;
  let gaps = 0;
  for (const letter of typed) {
    const found = text.indexOf(letter, at);
    if (found < 0) return Infinity;
    gaps += found - at;
    at = found + 1;
  }
  return gaps;
}

const keyText = (key) => [].concat(key)[0]?.replace('Ctrl-', 'Ctrl ') || '';

/** Everything that can be done here, by name. */
export function Palette() {
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  // The actions of the page below, not those of this dialog.
  const all = useMemo(() => actions().filter((action) => !action.when || action.when()), []);
  const found = useMemo(() => {
    const wanted = typed.trim().toLowerCase();
    const hits = all.map((action) => [distance(wanted, action.text.toLowerCase()), action]).filter(([far]) => far < Infinity);
    hits.sort((a, b) => a[0] - b[0]);
    const list = hits.map(([, action]) => action).slice(0, 30);
    if (wanted) list.push({ text: t('palette.search', { text: typed.trim() }), run: () => go(page('alerts', { q: typed.trim() })) });
    return list;
  }, [typed]);
  const run = (action) => { closeDialog(); setTimeout(() => action.run(), 0); };
  const key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    setAt((at + step + found.length) % Math.max(1, found.length));
  };
  return html`<${Dialog} title=${t('palette.open')} onSubmit=${() => found[at] && run(found[at])} submit=${t('palette.run')}>
    <input autofocus role="combobox" aria-expanded="true" aria-controls="palette" aria-activedescendant=${`palette-${at}`} aria-label=${t('palette.open')} value=${typed}
      onInput=${(event) => { setTyped(event.currentTarget.value); setAt(0); }} onKeyDown=${key} />
    <ul id="palette" role="listbox" class="palette">${found.map((action, index) => html`<li id=${`palette-${index}`} role="option" aria-selected=${index === at}
      class=${index === at ? 'cursor' : ''} onClick=${() => run(action)}><span>${action.text}</span><kbd>${keyText(action.key)}</kbd></li>`)}</ul>
  <//>`;
}

/** All keys. */
export function Help() {
  const all = useMemo(actions, []);
  return html`<${Dialog} title=${t('help')} wide><table class="keys"><tbody>${all.filter((action) => keyText(action.key)).map((action) => html`<tr>
    <td>${[].concat(action.key).map((key) => html`<kbd>${keyText(key)}</kbd> `)}</td><td>${action.text}</td></tr>`)}</tbody></table>
    <p>${t('help.api')} <a href="/api/openapi.json" target="_blank" rel="noopener">/api/openapi.json</a></p><//>`;
}
