// Filters of a page: what must hold and what must not, the span of time that all its charts share, and what is typed as `-field:value`.

import { html } from './ui.js';
import { all, change, first } from './route.js';
import { RANGES, stamp } from './time.js';
import { t } from './text.js';

/** Keys of the API's filter that take values; others name a field of entities. */
const KEYS = ['status', 'severity', 'verdict', 'rule', 'technique', 'tactic', 'tag', 'assignee'];

/** How `not` of the API says that a value of a key must not be: `entity` holds its field already. */
export const negated = (key, value) => (key === 'entity' ? value : `${key}:${value}`);

/** A value of `not` as key and value. */
export function ofNot(text) {
  const at = text.indexOf(':');
  const key = text.slice(0, at);
  return KEYS.includes(key) ? [key, text.slice(at + 1)] : ['entity', text];
}

const turned = (list, value) => (list.includes(value) ? list.filter((other) => other !== value) : [...list, value]);

/** Turns a filter on or off; one that excludes takes the place of one that asks for the same, and the other way round. */
export function turn(key, value, { exclude = false } = {}) {
  const not = negated(key, value);
  if (exclude) change({ [key]: all(key).filter((other) => other !== value), not: turned(all('not'), not) });
  else change({ [key]: turned(all(key), value), not: all('not').filter((other) => other !== not) });
}

/** The query of a list of alerts with one more filter. */
export function withFilter(query, field, value, exclude) {
  const key = exclude ? 'not' : 'entity';
  const text = `${field}:${value}`;
  return { ...query, [key]: [...(query[key] || []).filter((other) => other !== text), text] };
}

/**
 * What is typed into the search field: `field:value` and `-field:value` become filters, the rest stays text. A value in quotes may hold spaces.
 * `{ q, add: [[key, value, exclude]] }`.
 */
export function typed(text) {
  const add = [];
  const rest = text.replace(/(^|\s)(-?)([\w@.]+):("(?:[^"\\]|\\.)*"|\S+)/g, (whole, space, minus, field, written) => {
    if (!KEYS.includes(field) && !field.includes('.')) return whole;
    const value = written.startsWith('"') ? written.slice(1, -1).replace(/\\(.)/g, '$1') : written;
    add.push([...(KEYS.includes(field) ? [field, value] : ['entity', `${field}:${value}`]), minus === '-']);
    return space;
  });
  return { q: rest.trim().replace(/\s+/g, ' '), add };
}

/** Takes up what was typed: one change of the address for all of it. */
export function takeTyped(text) {
  const { q, add } = typed(text);
  const changes = { q };
  for (const [key, value, exclude] of add) {
    const [at, one] = exclude ? ['not', negated(key, value)] : [key, value];
    changes[at] = [...new Set([...(changes[at] || all(at)), one])];
  }
  change(changes);
}

/** Chooses a span of time for the page, as its charts do. */
export const chooseSpan = (from, to) => change({ from: new Date(from).toISOString(), to: new Date(to).toISOString() });

/** The span of time of the page. `without` is what counts where none is chosen. */
export function RangeSelect({ without = '', all: whole = true, onChange = () => {} }) {
  const from = first('from') || without;
  const own = first('to') || !RANGES.includes(from);
  return html`<label class="hidden-label"><span>${t('range')}</span><select id="range" value=${own ? 'own' : from} title=${own && first('from') ? `${stamp(first('from'))} – ${stamp(first('to') || Date.now())}` : undefined}
    onChange=${(event) => { change({ from: event.currentTarget.value, to: '' }); onChange(); }}>
    ${RANGES.filter((range) => range || whole).map((range) => html`<option value=${range}>${t(`range.${range || 'all'}`)}</option>`)}
    ${own && html`<option value="own">${t('range.own')}</option>`}</select></label>`;
}
