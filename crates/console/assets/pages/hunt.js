// Searching the stored events with EQL, KQL, Lucene or a piece of Sigma.

import { html, useEffect, useMemo, useRef, useState } from '../lib/ui.js';
import { post } from '../lib/api.js';
import { address, first, go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { Editor, checkQuery } from '../lib/editor.js';
import { Chip, Diagnostics, Time, copy } from '../lib/parts.js';
import { Safe } from '../lib/safe.js';
import { Fields } from '../lib/evidence.js';
import { Dialog, openDialog } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { RANGES } from '../lib/time.js';
import { ruleOf } from '../lib/newrule.js';

const LANGUAGES = ['eql', 'kql', 'lucene', 'sigma'];
/** Fields whose values are counted beside the results. */
const COUNTED = ['event.dataset', 'event.action', 'host.name', 'user.name', 'user.id', 'process.name', 'source.ip', 'destination.ip', 'cloud.account.id', 'container.image.name'];

/** What an event is, in a line. */
const summary = (document) => document?.process?.command_line || document?.message || document?.event?.original || JSON.stringify(document);

function RuleDialog({ language, query }) {
  const made = ruleOf(language, query);
  return html`<${Dialog} wide title=${t('hunt.rule')} onSubmit=${() => copy(made.text)} submit=${t('chip.copy')}><p>${t('hunt.rule.hint')} <code>neph rules check ${made.file}</code></p><pre class="source" tabindex="0"><${Safe} text=${made.text} most=${20000} /></pre><//>`;
}

export default function Hunt() {
  const language = first('language') || 'eql';
  const [query, setQuery] = useState(first('query'));
  const [state, setState] = useState({});
  const [open, setOpen] = useState(-1);
  const abort = useRef(null);
  const from = first('from') || '24h';
  const check = useMemo(() => checkQuery(language), [language]);
  const where = (changes) => address('/console/hunt', { language, from, query, ...changes });
  const run = async () => {
    if (!query.trim()) return;
    go(where({}), { replace: true });
    abort.current?.abort();
    abort.current = new AbortController();
    setState({ running: true });
    setOpen(-1);
    try {
      setState({ answer: await post('/api/v1/hunt', { language, query, from, ...(first('to') ? { to: first('to') } : {}), fields: COUNTED, limit: 500 }, abort.current.signal) });
    } catch (error) {
      setState(error.name === 'AbortError' ? { stopped: true } : { problem: error.message, diagnostics: error.diagnostics });
    }
  };
  // An address with a query is a link to its results.
  useEffect(() => { if (first('query')) run(); return () => abort.current?.abort(); }, []);
  useEffect(() => { if (first('query') && first('query') !== query) setQuery(first('query')); }, [here.value]);
  useKeys([
    { key: 'Ctrl-Enter', text: t('hunt.run'), run },
    { key: '/', text: t('hunt.query'), run: () => document.querySelector('.editor textarea').focus() },
    { key: 'Escape', text: t('hunt.stop'), when: () => state.running, run: () => abort.current?.abort() },
  ]);
  const answer = state.answer;
  const events = (answer?.results || []).flatMap((result, number) => result.events.map((event) => ({ ...event, number })));
  return html`<div class="hunt"><h1 class="hidden-title">${t('page.hunt')}</h1>
    <div class="line"><label>${t('hunt.language')} <select value=${language} onChange=${(event) => go(where({ language: event.currentTarget.value }), { replace: true })}>${LANGUAGES.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      <label>${t('range')} <select value=${from} onChange=${(event) => go(where({ from: event.currentTarget.value }), { replace: true })}>${RANGES.filter(Boolean).map((range) => html`<option value=${range}>${t(`range.${range}`)}</option>`)}<option value="2000-01-01">${t('range.all')}</option></select></label></div>
    <${Editor} text=${query} onText=${setQuery} check=${check} onRun=${run} label=${t('hunt.query')} />
    <p class="actions"><button type="button" class="main" onClick=${run} disabled=${state.running}>${t('hunt.run')} <kbd>Ctrl ⏎</kbd></button>
      ${state.running && html`<button type="button" onClick=${() => abort.current?.abort()}>${t('hunt.stop')}</button>`}
      <button type="button" disabled=${!query.trim()} onClick=${() => openDialog(() => html`<${RuleDialog} language=${language} query=${query} />`)}>${t('hunt.rule')}</button></p>
    ${state.problem && html`<p class="problem" role="alert">${state.problem}</p><${Diagnostics} list=${state.diagnostics} text=${query} onFix=${setQuery} />`}
    <p role="status" class="summary">${state.running ? t('hunt.running') : answer ? t('hunt.count', { count: answer.total, records: number(answer.records), millis: number(answer.millis) }) : state.stopped ? t('hunt.stopped') : t('hunt.hint')}
      ${answer && !answer.complete ? html` <strong>${t('hunt.partial')} ${answer.stopped || ''}</strong>` : ''}</p>
    ${answer && html`<div class="columns"><aside class="facets" aria-label=${t('fields')}>${Object.entries(answer.values || {}).filter(([, values]) => values.length).map(([field, values]) => html`<section><h3>${field}</h3><ul>${values.map(({ value, count }) => html`<li><span class="line"><${Chip} field=${field} value=${value} /><span class="count">${number(count)}</span></span></li>`)}</ul></section>`)}</aside>
      <section class="main"><table class="results"><thead><tr><th>${t('column.time')}</th><th>${t('column.action')}</th><th>${t('column.what')}</th></tr></thead><tbody>
      ${events.map((event, index) => html`<tr class=${`${event.number % 2 ? 'odd-result' : ''}`}><td><button type="button" class="quiet" aria-expanded=${open === index} onClick=${() => setOpen(open === index ? -1 : index)}><${Time} at=${event.document?.['@timestamp']} /></button></td>
        <td><${Safe} text=${[].concat(event.document?.event?.action ?? '').join(', ')} most=${60} /></td><td class="grow"><${Safe} text=${summary(event.document)} most=${240} /></td></tr>
        ${open === index && html`<tr><td colspan="3"><${Fields} document=${event.document} /></td></tr>`}`)}</tbody></table></section></div>`}
  </div>`;
}
