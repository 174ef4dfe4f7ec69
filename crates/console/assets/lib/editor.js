// A text with its mistakes under it: a plain text field, since the service says what is wrong.

import { html, useEffect, useRef, useState } from './ui.js';
import { post } from './api.js';
import { Diagnostics } from './parts.js';


/** `check` gives diagnostics of a text; they are asked for when typing stops. `onRun` is Ctrl-Enter. */
export function Editor({ text, onText, check, onRun, label, rows = 6 }) {
  const [found, setFound] = useState([]);
  const field = useRef(null);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => { if (text.trim()) check(text, abort.signal).then(setFound, () => {}); else setFound([]); }, 350);
    return () => { clearTimeout(timer); abort.abort(); };
  }, [text, check]);
  const key = (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); onRun?.(); }
  };
  const lines = new Set(found.map((one) => one.span?.from?.line).filter(Boolean));
  return html`<div class="editor"><div class="lines" aria-hidden="true">${text.split('\n').map((_, index) => html`<span class=${lines.has(index + 1) ? 'bad' : ''}>${index + 1}</span>`)}</div>
    <textarea ref=${field} rows=${Math.min(30, Math.max(rows, text.split('\n').length))} spellcheck="false" aria-label=${label} aria-invalid=${found.some((one) => one.severity === 'error')} value=${text}
      onInput=${(event) => onText(event.currentTarget.value)} onKeyDown=${key}></textarea></div>
    <div aria-live="polite"><${Diagnostics} list=${found} text=${text} onFix=${(fixed) => { onText(fixed); field.current.focus(); }} /></div>`;
}

/** What is wrong with a query. */
export const checkQuery = (language) => (query, abort) => post('/api/v1/hunt/check', { language, query }, abort).then((answer) => answer.diagnostics, (error) => error.diagnostics || []);

