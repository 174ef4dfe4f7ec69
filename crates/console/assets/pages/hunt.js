// Searching stored events, or those of a file that is opened here, with EQL, KQL, Lucene or a piece of Sigma.

import { html, useEffect, useMemo, useRef, useState } from '../lib/ui.js';
import { post } from '../lib/api.js';
import { address, change, first, go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { Editor, checkQuery } from '../lib/editor.js';
import { Chip, Diagnostics, Time, refine } from '../lib/parts.js';
import { Safe, Short } from '../lib/safe.js';
import { Fields, flat } from '../lib/evidence.js';
import { Bars } from '../lib/chart.js';
import { openDialog, say } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { RangeSelect, chooseSpan } from '../lib/filters.js';
import { refined } from '../lib/refine.js';
import { NewRuleForm } from '../lib/newrule.js';
import { ViewsForm } from '../lib/views.js';

const LANGUAGES = ['eql', 'kql', 'lucene', 'sigma'];
/** Fields that are open before anyone chose one, where results have them. */
const USUAL = ['event.dataset', 'event.action', 'host.name', 'user.name', 'process.name', 'source.ip'];
/** Without another choice events of so long ago are searched. */
const WITHOUT = '24h';
/** All times: the API has no word for it. */
const EVER = '2000-01-01';
/** The service takes a mebibyte at once. */
const LARGEST = 900_000;

/** What an event is, in a line. */
const summary = (document) => document?.process?.command_line || document?.message || document?.event?.original || JSON.stringify(document);

/** The bars of all results by time; choosing a span searches in it. */
function Histogram({ answer }) {
  const bars = answer.histogram.map(({ from, count }) => {
    const at = new Date(from).getTime();
    return { from: at, to: at + answer.seconds * 1000, parts: { hit: count } };
  });
  return html`<${Bars} bars=${bars} parts=${['hit']} label=${t('hunt.results')} told=${(_, count) => t('hunt.results.count', { count })} onRange=${chooseSpan} />`;
}

/** The fields that results have, with their most frequent values. */
function FieldList({ answer, onValue }) {
  const [wanted, setWanted] = useState('');
  const [open, setOpen] = useState(null);
  const names = Object.keys(answer.fields).filter((name) => name.toLowerCase().includes(wanted.toLowerCase()));
  names.sort((a, b) => USUAL.includes(b) - USUAL.includes(a) || a.localeCompare(b));
  const isOpen = (name) => (open?.has(name) ?? USUAL.includes(name)) || (wanted && names.length <= 5);
  const turn = (name) => {
    const next = new Set(open ?? USUAL);
    if (!next.delete(name)) next.add(name);
    setOpen(next);
  };
  return html`<aside class="facets field-list" aria-label=${t('fields')}><input type="search" placeholder=${t('fields.search')} aria-label=${t('fields.search')} value=${wanted} onInput=${(event) => setWanted(event.currentTarget.value)} />
    ${names.slice(0, 300).map((name) => html`<section key=${name}><h3><button type="button" class="quiet" aria-expanded=${isOpen(name)} onClick=${() => turn(name)}><span>${name}</span><span class="count">${number(answer.fields[name])}</span></button></h3>
      ${isOpen(name) && html`<ul>${(answer.values[name] || []).map(({ value, count }) => html`<li class="line"><button type="button" title=${t('filter.shift')} onClick=${(event) => onValue(name, value, event.shiftKey)}><${Short} text=${value} most=${80} /><span class="count">${number(count)}</span></button>
        <button type="button" class="quiet" aria-label=${t('hunt.exclude', { value: value.slice(0, 60) })} title=${t('chip.exclude')} onClick=${() => onValue(name, value, true)}>≠</button></li>`)}</ul>`}</section>`)}
    ${!names.length && html`<p class="hint">${t('fields.none')}</p>`}</aside>`;
}

function Results({ events, open, setOpen, at, setAt }) {
  return html`<table class="results"><thead><tr><th>${t('column.time')}</th><th>${t('column.action')}</th><th>${t('column.what')}</th></tr></thead><tbody>
    ${events.map((event, index) => html`<tr key=${index} id=${`hit-${index}`} class=${`${event.number % 2 ? 'odd-result ' : ''}${index === at ? 'cursor' : ''}`} onMouseDown=${() => setAt(index)}><td><button type="button" class="quiet" aria-expanded=${open === index} onClick=${() => setOpen(open === index ? -1 : index)}><${Time} at=${event.document?.['@timestamp']} /></button></td>
      <td><${Safe} text=${[].concat(event.document?.event?.action ?? '').join(', ')} most=${60} /></td><td class="grow"><${Safe} text=${summary(event.document)} most=${240} /></td></tr>
      ${open === index && html`<tr class="opened"><td colspan="3"><${Fields} document=${event.document} /></td></tr>`}`)}</tbody></table>`;
}

/** A file that is searched instead of what is stored; it stays in the page. */
function FileChoice({ file, onFile }) {
  const input = useRef(null);
  const take = async (event) => {
    const chosen = event.currentTarget.files[0];
    event.currentTarget.value = '';
    if (!chosen) return;
    if (chosen.size > LARGEST) {
      say(t('hunt.file.large', { size: number(LARGEST) }), { kind: 'error' });
      return;
    }
    onFile({ name: chosen.name, text: await chosen.text() });
  };
  return html`${file ? html`<button type="button" class="filter" title=${t('filter.remove')} onClick=${() => onFile(null)}>${t('hunt.file')}: <${Short} text=${file.name} most=${60} /> ×</button>` : html`<button type="button" onClick=${() => input.current.click()}>${t('hunt.file.open')}</button>`}
    <input ref=${input} type="file" class="hidden-file" tabindex="-1" aria-hidden="true" onChange=${take} />`;
}

export default function Hunt({ me }) {
  const language = first('language') || 'eql';
  const [query, setQuery] = useState(first('query'));
  const [state, setState] = useState({});
  const [file, setFile] = useState(null);
  const [plan, setPlan] = useState([]);
  const [open, setOpen] = useState(-1);
  const [at, setAt] = useState(0);
  const abort = useRef(null);
  const from = first('from') || WITHOUT;
  const to = first('to');
  const check = useMemo(() => checkQuery(language, (answer) => setPlan(answer.plan || [])), [language]);
  const asked = JSON.stringify([language, first('query'), from, to, first('run')]);
  const search = async (text) => {
    abort.current?.abort();
    abort.current = new AbortController();
    const { signal } = abort.current;
    setState((before) => ({ ...before, running: true }));
    try {
      const answer = await post('/api/v1/hunt', { language, query: text, from: from || EVER, ...(to ? { to } : {}), fields: ['*'], limit: 500, ...(file ? { records: file.text } : {}) }, signal);
      setState({ answer });
      setOpen(-1);
      setAt(0);
    } catch (error) {
      if (!signal.aborted || error.name !== 'AbortError') setState({ problem: error.message, diagnostics: error.diagnostics });
      else if (abort.current?.signal === signal) setState({ stopped: true });
    }
  };
  const stop = () => abort.current?.abort();
  // The address says what is searched; the same again is searched anew.
  const runQuery = (text) => {
    if (!text.trim()) return;
    if (text === first('query')) search(text);
    else change({ query: text, language });
  };
  const run = () => runQuery(query);
  useEffect(() => {
    if (first('query')) {
      setQuery(first('query'));
      search(first('query'));
    }
    return stop;
  }, [asked, file]);
  const answer = state.answer;
  const events = useMemo(() => (answer?.results || []).flatMap((result, place) => result.events.filter(Boolean).map((event) => ({ ...event, number: place }))), [answer]);
  const onValue = (field, value, exclude) => {
    const known = typeof value === 'string' ? events.flatMap(({ document }) => flat(document)).find(([name, other]) => name === field && String(other) === value) : null;
    const next = refined(language, query, field, known ? known[1] : value, exclude);
    if (next === null) {
      say(t('hunt.refine.none'));
      return;
    }
    setQuery(next);
    runQuery(next);
  };
  const latest = useRef(onValue);
  latest.current = onValue;
  useEffect(() => {
    refine.value = (...values) => latest.current(...values);
    return () => { refine.value = null; };
  }, []);
  const move = (index) => {
    const next = Math.max(0, Math.min(events.length - 1, index));
    setAt(next);
    document.getElementById(`hit-${next}`)?.scrollIntoView({ block: 'nearest' });
  };
  const some = () => events.length > 0;
  const makeRule = () => {
    const result = answer?.results[events[at]?.number ?? 0];
    openDialog(() => html`<${NewRuleForm} language=${language} query=${query} events=${(result?.events || []).filter(Boolean).map((event) => event.document)} />`);
  };
  const mayWrite = ['engineer', 'admin'].includes(me.role);
  const showPlan = () => change({ plan: first('plan') ? '' : '1' }, { replace: true });
  useKeys([
    { key: 'Ctrl-Enter', text: t('hunt.run'), run },
    { key: '/', text: t('hunt.query'), run: () => document.querySelector('.editor textarea').focus() },
    { key: 'Escape', text: t('hunt.stop'), when: () => state.running, run: stop },
    { key: 'Escape', text: t('hunt.toResults'), when: () => document.activeElement?.matches('textarea, input'), run: () => document.activeElement.blur() },
    { key: ['j', 'ArrowDown'], text: t('key.down'), when: some, run: () => move(at + 1) },
    { key: ['k', 'ArrowUp'], text: t('key.up'), when: some, run: () => move(at - 1) },
    { key: 'Enter', text: t('key.open'), when: some, run: () => setOpen(open === at ? -1 : at) },
    { key: 'p', text: t('hunt.plan'), run: showPlan },
    { key: 't', text: t('range'), run: () => document.getElementById('range').focus() },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
    { key: 'R', text: t('hunt.rule'), when: () => mayWrite && Boolean(query.trim()), run: makeRule },
  ]);
  const status = state.running ? t('hunt.running') : answer ? t('hunt.count', { count: answer.total, records: number(answer.records), millis: number(answer.millis) }) : state.stopped ? t('hunt.stopped') : t('hunt.hint');
  return html`<div class="hunt"><h1 class="hidden-title">${t('page.hunt')}</h1>
    <div class="line"><label>${t('hunt.language')} <select value=${language} onChange=${(event) => go(address('/console/hunt', { ...here.value.query, language: event.currentTarget.value, query: '' }), { replace: true })}>${LANGUAGES.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      ${!file && html`<${RangeSelect} without=${WITHOUT} all=${false} />${from !== EVER && html`<button type="button" class="quiet" onClick=${() => change({ from: EVER, to: '' })}>${t('range.all')}</button>`}`}<${FileChoice} file=${file} onFile=${setFile} /><button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button></div>
    <${Editor} text=${query} onText=${setQuery} check=${check} onRun=${run} label=${t('hunt.query')} />
    <p class="actions"><button type="button" class="main" onClick=${run} disabled=${state.running}>${t('hunt.run')} <kbd>Ctrl ⏎</kbd></button>
      ${state.running && html`<button type="button" onClick=${stop}>${t('hunt.stop')}</button>`}
      <button type="button" aria-pressed=${Boolean(first('plan'))} onClick=${showPlan}>${t('hunt.plan')} <kbd>p</kbd></button>
      ${mayWrite && html`<button type="button" disabled=${!query.trim()} onClick=${makeRule}>${t('hunt.rule')} <kbd>R</kbd></button>`}</p>
    ${first('plan') && html`<ol class="plan" aria-label=${t('hunt.plan')}>${plan.map((line) => html`<li><code><${Safe} text=${line} most=${3000} /></code></li>`)}${!plan.length && html`<li class="hint">${t('hunt.plan.none')}</li>`}</ol>`}
    ${state.problem && html`<p class="problem" role="alert">${state.problem}</p><${Diagnostics} list=${state.diagnostics} text=${query} onFix=${setQuery} />`}
    <p role="status" class="summary">${status}${answer && !answer.complete ? html` <strong>${t('hunt.partial')} ${answer.stopped || ''}</strong>` : ''}${answer?.refused ? html` <strong class="warn">${t('hunt.refused', { count: answer.refused })}</strong>` : ''}</p>
    ${answer && (answer.total ? html`<${Histogram} answer=${answer} /><div class="columns"><${FieldList} answer=${answer} onValue=${onValue} /><section class="main" aria-label=${t('hunt.results')}>
      ${events.length < answer.total && html`<p class="hint">${t('hunt.newest', { count: answer.results.length })}</p>`}<${Results} events=${events} open=${open} setOpen=${setOpen} at=${at} setAt=${setAt} /></section></div>`
    : html`<p class="empty">${t(file ? 'hunt.none.file' : 'hunt.none')} ${!file && html`<button type="button" onClick=${() => change({ from: EVER, to: '' })}>${t('range.all')}</button>`}</p>`)}
  </div>`;
}
