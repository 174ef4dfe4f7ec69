// Keys: what they do is stated once, and the help, the palette and the buttons show it.

import { signal, useEffect, useRef } from './ui.js';

/** Layers of bindings: what was opened last is asked first. */
const layers = signal([]);
let prefix = '';
let prefixTimer = 0;

/** All actions that there are now, for the palette and the help: those of the page before those of the frame. */
export const actions = () => layers.value.flatMap((layer) => layer.current).filter((action) => action.text);

/**
 * Adds actions while a component is there: `{ key, text, run, when }`. A key is what the keyboard says (`j`, `Enter`, `Ctrl-k`), or two
 * in a row (`g a`). `modal` hides the actions of the layers below.
 */
export function useKeys(list, { modal = false } = {}) {
  const holder = useRef(null);
  holder.current ||= { current: list, modal };
  holder.current.current = list;
  useEffect(() => {
    const layer = holder.current;
    layers.value = [layer, ...layers.value];
    return () => { layers.value = layers.value.filter((other) => other !== layer); };
  }, []);
}

function named(event) {
  const key = event.key === ' ' ? 'Space' : event.key;
  return `${event.ctrlKey || event.metaKey ? 'Ctrl-' : ''}${event.altKey ? 'Alt-' : ''}${key}`;
}

function find(key) {
  for (const layer of layers.value) {
    const found = layer.current.find((action) => [].concat(action.key).includes(key) && (!action.when || action.when()));
    if (found) return found;
    if (layer.modal) return null;
  }
  return null;
}

const begins = (key) => layers.value.some((layer) => layer.current.some((action) => [].concat(action.key).some((one) => one?.startsWith(`${key} `))));

function isTyping(target) {
  return target.matches?.('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]');
}

addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const key = named(event);
  // Whoever types means the text; only what cannot be text acts.
  if (isTyping(event.target) && !key.startsWith('Ctrl-') && key !== 'Escape') return;
  if (event.target.closest?.('button, a[href], summary') && (key === 'Enter' || key === 'Space')) return;
  const whole = prefix ? `${prefix} ${key}` : key;
  clearTimeout(prefixTimer);
  const had = prefix;
  prefix = '';
  const action = find(whole) || (had ? find(key) : null);
  if (action) {
    event.preventDefault();
    action.run(event);
  } else if (begins(whole)) {
    event.preventDefault();
    prefix = whole;
    prefixTimer = setTimeout(() => { prefix = ''; }, 1200);
  }
});
