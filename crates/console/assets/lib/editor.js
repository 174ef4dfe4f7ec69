// A text with its mistakes in it and under it: a plain text field over a copy of the text that carries the marks. The service says what is wrong.

import { html, useEffect, useRef, useState } from './ui.js';
import { post } from './api.js';
import { Diagnostics } from './parts.js';

/** Offsets in bytes of UTF-8, which the service counts in, as offsets of the text. */
function places(text) {
  const bytes = [];
  let at = 0;
  for (const letter of text) {
    const size = letter.codePointAt(0) < 0x80 ? 1 : letter.codePointAt(0) < 0x800 ? 2 : letter.codePointAt(0) < 0x10000 ? 3 : 4;
    for (let count = 0; count < size; count += 1) bytes.push(at);
    at += letter.length;
  }
  bytes.push(at);
  return bytes;
}

/** The text in pieces, those marked that a diagnostic speaks of. An empty span marks the letter before it, so that it is seen. */
function marked(text, found) {
  const spans = found.filter((one) => one.span?.start !== undefined);
  if (!spans.length) return [text];
  const bytes = places(text);
  const place = (offset) => bytes[Math.min(offset, bytes.length - 1)];
  const marks = new Array(text.length + 1).fill('');
  for (const { span, severity } of [...spans].reverse()) {
    const [start, end] = [place(span.start), place(span.end)];
    const from = end > start ? start : Math.max(0, Math.min(start, text.length) - 1);
    for (let at = from; at < Math.max(end, from + 1); at += 1) marks[at] = severity;
  }
  const pieces = [];
  for (let at = 0; at < text.length;) {
    let end = at + 1;
    while (end < text.length && marks[end] === marks[at]) end += 1;
    pieces.push(marks[at] ? html`<span class=${`squiggle ${marks[at]}`}>${text.slice(at, end)}</span>` : text.slice(at, end));
    at = end;
  }
  return pieces;
}

/** `check` gives diagnostics of a text; they are asked for when typing stops. `onRun` is Ctrl-Enter. */
export function Editor({ text, onText, check, onRun, label, rows = 6 }) {
  const [state, setState] = useState({ of: '', found: [] });
  const field = useRef(null);
  const under = useRef(null);
  useEffect(() => {
    const abort = new AbortController();
    const take = (found) => { if (!abort.signal.aborted) setState({ of: text, found }); };
    const timer = setTimeout(() => { if (text.trim()) check(text, abort.signal).then(take, () => {}); else take([]); }, 300);
    return () => { clearTimeout(timer); abort.abort(); };
  }, [text, check]);
  const key = (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); onRun?.(); }
  };
  const { found } = state;
  // Marks of an older text would stand in the wrong places.
  const marks = state.of === text ? found : [];
  const lines = new Set(marks.map((one) => one.span?.from?.line).filter(Boolean));
  return html`<div class="editor"><div class="lines" aria-hidden="true">${text.split('\n').map((_, index) => html`<span class=${lines.has(index + 1) ? 'bad' : ''}>${index + 1}</span>`)}</div>
    <div class="code"><pre class="under" ref=${under} aria-hidden="true">${marked(text, marks)}${'\n'}</pre>
    <textarea ref=${field} rows=${Math.min(30, Math.max(rows, text.split('\n').length))} spellcheck="false" autocapitalize="off" aria-label=${label} aria-invalid=${found.some((one) => one.severity === 'error')} value=${text}
      onInput=${(event) => onText(event.currentTarget.value)} onKeyDown=${key} onScroll=${(event) => { under.current.scrollLeft = event.currentTarget.scrollLeft; under.current.scrollTop = event.currentTarget.scrollTop; }}></textarea></div></div>
    <div aria-live="polite"><${Diagnostics} list=${found} text=${text} onFix=${(fixed) => { onText(fixed); field.current.focus(); }} /></div>`;
}

/** What is wrong with a query. */
export const checkQuery = (language, onAnswer) => (query, abort) => post('/api/v1/hunt/check', { language, query }, abort).then((answer) => { onAnswer?.(answer); return answer.diagnostics; }, (error) => error.diagnostics || []);
