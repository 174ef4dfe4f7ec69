// The URL holds all state that a page has: its path, filters, time range, what is selected. So the address bar is the link to share.

import { signal } from './ui.js';

function read() {
  const query = {};
  for (const [key, value] of new URLSearchParams(location.search)) {
    (query[key] ||= []).push(value);
  }
  return { path: location.pathname, query };
}

/** Where the user is: `path`, and `query` with a list of values for each key. */
export const here = signal(read());

addEventListener('popstate', () => { here.value = read(); });

/** An address with a query: lists repeat their key, what is empty is left out. */
export function address(path, query) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query || {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      // Nobody is an assignee, too.
      if (one !== undefined && one !== null && (one !== '' || key === 'assignee')) search.append(key, one);
    }
  }
  const text = search.toString();
  return path + (text ? `?${text}` : '');
}

/** Goes to a page; `replace` leaves no trace in the history, for what changes with every key. */
export function go(target, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', target);
  here.value = read();
}

/** Changes keys of the query of this page; a key with an empty value goes. */
export function change(changes, options) {
  go(address(here.value.path, { ...here.value.query, ...changes }), options);
}

/** The first value of a key of the query. */
export const first = (key) => here.value.query[key]?.[0] ?? '';
/** All values of a key of the query. */
export const all = (key) => here.value.query[key] ?? [];

/** Adds a value to a key of the query, or takes it away if it is there. */
export function toggle(key, value) {
  const values = all(key);
  change({ [key]: values.includes(value) ? values.filter((other) => other !== value) : [...values, value] });
}

/** A click on a link within the console stays in the page; others (new tab, other sites) are the browser's. */
export function follow(event) {
  const link = event.target.closest?.('a[href]');
  if (!link || link.target || link.hasAttribute('download') || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname.startsWith('/api/')) return;
  event.preventDefault();
  go(url.pathname + url.search);
}
