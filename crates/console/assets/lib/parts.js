// Small parts that several pages draw.

import { html, signal, useState } from './ui.js';
import { Safe, Short, plain } from './safe.js';
import { address, go, here } from './route.js';
import { fullStamp, shortStamp, stamp } from './time.js';
import { say } from './dialog.js';
import { withFilter } from './filters.js';
import { t } from './text.js';

export const SEVERITIES = ['critical', 'high', 'medium', 'low'];
/** The address of a page of the console. */
export const page = (path, query) => address(`/console/${path}`, query);

/** A severity; its letter says it without the colour. */
export const Severity = ({ of }) => html`<span class=${`severity ${of}`} title=${t(`severity.${of}`)}>${t(`severity.${of}`)}</span>`;

/** A time. */
export const Time = ({ at, short }) => (at ? html`<time datetime=${at} title=${fullStamp(at)}>${short ? shortStamp(at) : stamp(at)}</time>` : '–');

/** A technique of ATT&CK. */
export const Technique = ({ id }) => html`<a class="technique" href=${page('coverage', { technique: id })}>${id}</a>`;

/** Status and verdict of an alert. */
export const Status = ({ of }) => html`<span class=${`status ${of.status}`}>${of.verdict ? t(`verdict.${of.verdict}`) : t(`status.${of.status}`)}${of.retracted ? html` <em>${t('retracted')}</em>` : ''}</span>`;

export function copy(text) {
  navigator.clipboard?.writeText(text).then(() => say(t('copied', { text: plain(text).slice(0, 80) })), () => say(t('copy.refused'), { kind: 'error' }));
}

/** A word for EQL: quoted, with what EQL escapes escaped. */
export const eqlText = (value) => `"${String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n').replace(/\r/g, '\\r').replace(/\t/g, '\\t')}"`;

const literal = (value) => (typeof value === 'number' || typeof value === 'boolean' ? String(value) : eqlText(value));

/** What a page does with a value in its own query: `(field, value, exclude) => void`; null on pages without one. */
export const refine = signal(null);

/**
 * A value with what can be done with it. The menu is a list of buttons, which the keyboard reaches as it does any other. `Shift` excludes the value
 * at once.
 */
export function Chip({ field, value, entity = true }) {
  const [open, setOpen] = useState(false);
  const whole = String(value);
  const act = (run) => () => { setOpen(false); run(); };
  const filter = (exclude) => go(page('alerts', withFilter(kept(), field, whole, exclude)));
  const own = refine.value;
  const click = (event) => {
    if (!event.shiftKey) setOpen(!open);
    else if (own) own(field, value, true);
    else filter(true);
  };
  return html`<span class="chip" onKeyDown=${(event) => { if (event.key === 'Escape' && open) { event.stopPropagation(); setOpen(false); } }}>
    <button type="button" aria-expanded=${open} aria-haspopup="true" title=${`${field}: ${plain(whole).slice(0, 300)}`} data-field=${field} onClick=${click}><${Short} text=${whole} most=${300} /></button>
    ${open && html`<span class="menu" role="group" aria-label=${field}>
      ${own && html`<button type="button" onClick=${act(() => own(field, value, false))}>${t('chip.include')}</button><button type="button" onClick=${act(() => own(field, value, true))}>${t('chip.exclude')}</button>`}
      <button type="button" onClick=${act(() => filter(false))}>${t('chip.filter')}</button>
      <button type="button" onClick=${act(() => filter(true))}>${t('chip.filter.out')}</button>
      <button type="button" onClick=${act(() => go(page('hunt', { language: 'eql', query: `any where ${field} == ${literal(value)}`, from: '7d' })))}>${t('chip.hunt')}</button>
      ${entity && html`<button type="button" onClick=${act(() => go(page('entity', { field, value: whole })))}>${t('chip.entity')}</button>`}
      <button type="button" onClick=${act(() => copy(whole))}>${t('chip.copy')}</button>
    </span>`}
  </span>`;
}

/** Filters of the list of alerts that go on holding when a value is added to them. */
const kept = () => (here.value.path === '/console/alerts' ? here.value.query : {});

/** A text with mistakes under the lines that they are in. */
export function Diagnostics({ list, text, onFix }) {
  if (!list?.length) return null;
  return html`<ul class="diagnostics">${list.map((found) => html`<li class=${found.severity}>
    <strong>${t(`diagnostic.${found.severity}`)}</strong> <span class="code">${found.code}</span> <${Safe} text=${found.message} />
    ${found.span?.from && html` <span class="where">${found.span.from.line}:${found.span.from.column}</span>`}
    ${(found.help || []).map((help) => html`<div class="help"><${Safe} text=${help} /></div>`)}
    ${found.fix && onFix && html`<button type="button" onClick=${() => onFix(applyFix(text, found.fix))}><${Safe} text=${found.fix.title} /></button>`}
  </li>`)}</ul>`;
}

/** The text with a fix made; offsets are bytes of UTF-8. */
export function applyFix(text, fix) {
  const encoder = new TextEncoder();
  let bytes = encoder.encode(text);
  for (const edit of [...fix.edits].sort((a, b) => b.span.start - a.span.start)) {
    const put = encoder.encode(edit.replacement);
    const changed = new Uint8Array(bytes.length - (edit.span.end - edit.span.start) + put.length);
    changed.set(bytes.subarray(0, edit.span.start));
    changed.set(put, edit.span.start);
    changed.set(bytes.subarray(edit.span.end), edit.span.start + put.length);
    bytes = changed;
  }
  return new TextDecoder().decode(bytes);
}

/** A difference of files, as `diff -u` writes it. */
export const Diff = ({ text }) => html`<pre class="diff">${text.split('\n').map((line) => html`<span class=${line.startsWith('+') ? 'plus' : line.startsWith('-') ? 'minus' : line.startsWith('@') ? 'hunk' : ''}>${plain(line)}${'\n'}</span>`)}</pre>`;

/** Something that is being loaded, could not be, or is there. */
export function Loaded({ state, children }) {
  if (state.problem) return html`<p class="problem" role="alert">${state.problem}</p>`;
  if (!state.value) return html`<p class="loading">${t('loading')}</p>`;
  return children(state.value);
}
