// One alert: what happened, why it counts as an alert, what was around it, and what was done about it.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import * as store from '../lib/alerts.js';
import { change, first, go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { openDialog } from '../lib/dialog.js';
import { Chip, Loaded, Severity, Status, Technique, Time, copy, eqlText, page } from '../lib/parts.js';
import { Safe, plain, safeLink } from '../lib/safe.js';
import { Event, Fields } from '../lib/evidence.js';
import { ProcessTree } from '../lib/processes.js';
import { Calls } from '../lib/calls.js';
import { Graph } from '../lib/drawing.js';
import { Completeness, CompletenessMark, Investigation } from '../lib/completeness.js';
import { Prevalence } from '../lib/prevalence.js';
import { MitigationState } from '../lib/mitigations.js';
import { CaseForm } from '../lib/case.js';
import { Members } from '../lib/members.js';
import { eventsOf, firstOf, valuesOf } from '../lib/fields.js';
import { Markdown } from '../lib/markdown.js';
import { span } from '../lib/time.js';
import { number, t } from '../lib/text.js';
import { triageKeys } from './alerts.js';

const idHere = () => decodeURIComponent(here.value.path.split('/')[3] || '');

function Timeline({ state, mine }) {
  return html`<section><h2>${t('timeline')}</h2><${Loaded} state=${state}>${({ results, total, complete }) => html`
    <p class="summary">${t('timeline.count', { count: total })}${complete ? '' : ` ${t('hunt.partial')}`}</p>
    <ol class="timeline">${results.flatMap((result) => result.events).filter(Boolean).map((event) => html`<${Around} key=${event.id} event=${event} mine=${mine.has(event.id)} />`)}</ol>`}<//></section>`;
}

/** One event of the time line; its fields are drawn when they are asked for. */
function Around({ event, mine }) {
  const [open, setOpen] = useState(false);
  return html`<li class=${mine ? 'mine' : ''}><button type="button" class="quiet" aria-expanded=${open} onClick=${() => setOpen(!open)}><${Time} at=${firstOf(event.document, '@timestamp')} /></button>
    <span class="action"><${Safe} text=${firstOf(event.document, 'event.action', 'event.dataset') ?? ''} most=${80} /></span> <span class="what"><${Safe} text=${sentence(event.document)} most=${300} /></span>
    ${open && html`<${Fields} document=${event.document} />`}</li>`;
}

/** What an event says, in the words that it has. */
function sentence(document) {
  const args = valuesOf(document, 'process.args').join(' ');
  const words = firstOf(document, 'process.command_line') ?? (args || (firstOf(document, 'message', 'url.original', 'file.path')
    ?? ['user.name', 'source.ip', 'destination.ip', 'cloud.instance.id', 'event.provider'].map((field) => firstOf(document, field)).filter((value) => value !== undefined).join(' ')));
  return String(words);
}

function History({ id, stamp }) {
  const state = useGet(`/api/v1/alerts/${encodeURIComponent(id)}/history`);
  useEffect(() => { if (stamp) state.again(); }, [stamp]);
  return html`<section><h2>${t('history')}</h2><${Loaded} state=${state}>${({ entries }) => (entries.length ? html`<ol class="history">${entries.map((entry) => html`<li class=${entry.undone ? 'undone' : ''}>
    <${Time} at=${entry.at} /> <strong><${Safe} text=${entry.who} most=${80} /></strong> ${t(`history.${entry.what}`)} <${Safe} text=${told(entry.details)} most=${1000} /></li>`)}</ol>` : html`<p>${t('history.none')}</p>`)}<//></section>`;
}

function told(details) {
  const action = details?.action ?? details;
  if (!action || typeof action !== 'object') return '';
  return [action.text, action.verdict && t(`verdict.${action.verdict}`), action.reason, action.assignee, Array.isArray(action.tags) ? action.tags.join(', ') : ''].filter(Boolean).join(' · ');
}

/** The values that a guide's searches ask for, and a way into the hunt for each search. */
function guideFill(whole) {
  const events = eventsOf(whole).map((event) => event.document);
  const value = (field) => { for (const document of events) { const found = firstOf(document, field); if (found !== undefined) return found; } return undefined; };
  return (code) => {
    if (!/\{\{[^}]+\}\}/.test(code)) return null;
    let known = true;
    const text = code.replace(/\{\{([^}]+)\}\}/g, (_, field) => { const found = value(field.trim()); known &&= found !== undefined; return found === undefined ? `{{${field}}}` : String(found); });
    const conditions = code.split(/ (and|or) /).map((part) => {
      const match = /^(\S+) (==|!=) (.*)$/.exec(part);
      if (!match) return part;
      const [, field, sign, wanted] = match;
      const named = /^\{\{(.+)\}\}$/.exec(wanted);
      return `${field} ${sign} ${eqlText(named ? value(named[1].trim()) ?? '' : wanted)}`;
    });
    return { text, link: known ? page('hunt', { language: 'eql', query: `any where ${conditions.join(' ')}`, from: '7d' }) : null };
  };
}

/** Goes from one event of the evidence to the next. */
function stepTo(by) {
  const events = [...document.querySelectorAll('article.event')];
  const next = events[Math.max(0, Math.min(events.length - 1, events.indexOf(document.activeElement?.closest('article.event')) + by))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

export default function Alert({ me }) {
  const id = idHere();
  const path = `/api/v1/alerts/${encodeURIComponent(id)}`;
  const state = useGet(path);
  const around = useGet(`${path}/timeline`, { minutes: 30, limit: 200 });
  const seen = useGet(`${path}/completeness`);
  // The list knows of changes that the stream or this page made.
  const listed = store.rows.value.find((alert) => alert.id === id);
  const shown = state.value && { ...state.value, ...(listed && listed.updated >= state.value.updated ? listed : {}) };
  // The list that led here stays as it is; without one, the next and the previous alert are those of all.
  useEffect(() => { if (!store.rows.value.length) store.load(); }, []);
  const step = (by) => {
    const place = store.rows.value.findIndex((alert) => alert.id === id);
    const next = store.rows.value[place < 0 ? store.cursor.value : place + by];
    if (next) { store.cursor.value = store.rows.value.indexOf(next); go(page(`alert/${next.id}`), { replace: true }); }
  };
  const after = (action) => ({ ...action, run: async (event) => { await action.run(event); setTimeout(state.again, 400); } });
  const keys = triageKeys({ me, alert: () => shown }).map(after);
  const case_ = () => openDialog(() => html`<${CaseForm} path=${path} me=${me} />`);
  useKeys([
    ...keys,
    { key: [']', 'j'], text: t('alert.next'), run: () => step(1) },
    { key: ['[', 'k'], text: t('alert.previous'), run: () => step(-1) },
    { key: 'ArrowRight', text: t('alert.step.next'), run: () => stepTo(1) },
    { key: 'ArrowLeft', text: t('alert.step.previous'), run: () => stepTo(-1) },
    { key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() },
    { key: 'y', text: t('alert.copy'), run: () => copy(JSON.stringify(shown?.document, null, 2)) },
    { key: 'T', text: t('alert.case'), run: case_ },
    { key: 'p', text: t('alert.report'), run: () => open(`${path}/report`, '_blank', 'noopener') },
    { key: 'i', text: t('incident.open'), run: () => go(page(`incident/${encodeURIComponent(id)}`)) },
    { key: 'r', text: t('alert.rule'), run: () => go(page(`rule/${encodeURIComponent(shown.rule_id)}`)) },
  ]);
  const steps = [].concat(state.value?.document?.neph?.alert?.steps || []);
  const mine = useMemo(() => new Set(steps.flatMap((one) => (one.events || []).map((event) => event.id))), [state.value]);
  const documents = useMemo(() => [...eventsOf(state.value).map((event) => ({ id: event.id, document: event.document, mine: true })),
    ...(around.value?.results || []).flatMap((result) => result.events).filter(Boolean).map((event) => ({ id: event.id, document: event.document, mine: mine.has(event.id) }))], [state.value, around.value]);
  const fill = useMemo(() => guideFill(state.value), [state.value]);
  return html`<${Loaded} state=${{ ...state, value: shown }}>${(whole) => {
    const alert = whole.document?.neph?.alert || {};
    const rule = whole.document?.rule || {};
    const run = alert.run || {};
    const note = whole.document?.['kibana.alert.rule.note'];
    return html`<article class="alert"><header>
      <p class="line"><${Severity} of=${whole.severity} /> <span title=${t('risk')}>${whole.risk_score}</span> <${Status} of=${whole} /> <${Time} at=${whole.time} />
        ${whole.first && whole.last && whole.first !== whole.last && html` <span>${t('lasted', { span: span((new Date(whole.last) - new Date(whole.first)) / 1000) })}</span>`}
        ${whole.count > 1 && html` <span>×${number(whole.count)}</span>`} ${whole.assignee && html`<span class="who"><${Safe} text=${whole.assignee} most=${60} /></span>`}
        ${whole.labels.map((label) => html`<span class="label"><${Safe} text=${label} most=${60} /></span>`)}</p>
      <h1><${Safe} text=${whole.reason} most=${2000} /></h1>
      <p class="line"><a href=${page(`rule/${encodeURIComponent(whole.rule_id)}`)}><${Safe} text=${whole.rule_name} most=${200} /></a> ${whole.rule_version && html`<span>${t('version')} <${Safe} text=${whole.rule_version} most=${40} /></span>`}
        ${whole.techniques.map((technique) => html`<${Technique} id=${technique} /> `)} ${whole.tactics.filter(Boolean).map((tactic) => html`<span class="tactic"><${Safe} text=${tactic} most=${60} /></span> `)}</p>
      <p class="line">${run.evaluated_from && html`<span>${t('complete.evaluated')} <${Time} at=${run.evaluated_from} /> – <${Time} at=${run.evaluated_to} short />${run.interval ? ` (${t('alert.every', { interval: plain(run.interval) })})` : ''}</span>`} <${CompletenessMark} state=${seen} /></p>
      <p class="actions">${[['a', 'acknowledge'], ['c', 'close'], ['n', 'note'], ['A', 'assign'], ['e', 'except'], ['s', 'snooze']].map(([key, name]) => html`<button type="button" onClick=${() => keys.find((one) => one.key === key).run()}>${t(`do.${name}`)} <kbd>${key}</kbd></button>`)}
        <button type="button" onClick=${case_}>${t('alert.case')} <kbd>T</kbd></button> <a class="button" href=${`${path}/report`} target="_blank" rel="noopener">${t('alert.report')} <kbd>p</kbd></a></p>
    </header>
    <div class="two"><div>
      <section><h2>${t('evidence')}</h2>
        ${[].concat(alert.join_keys || []).filter((key) => key.value !== null && key.value !== undefined).map((key) => html`<p>${t('joined')} <code>${[].concat(key.fields).join(', ')}</code> <${Chip} field=${String([].concat(key.fields)[0])} value=${key.value} /></p>`)}
        ${steps.map((one, index) => html`<div class="step"><h3>${steps.length > 1 ? t('step', { number: one.step ?? index + 1 }) : ''} <code><${Safe} text=${one.query || ''} most=${400} /></code></h3>
          ${one.missing && html`<p class="hint">${t('step.missing')}</p>`}
          ${(one.events || []).slice(0, 50).map((event) => html`<${Event} key=${event.id} event=${event} open=${steps.length === 1} />`)}
          ${(one.events || []).length > 50 && html`<p>${t('evidence.more', { count: one.events.length - 50 })}</p>`}</div>`)}
        ${steps.length === 0 && html`<p class="hint">${t('evidence.state')}</p><${Fields} document=${whole.document} />`}</section>
      <${ProcessTree} documents=${documents} />
      <${Calls} documents=${documents} />
      <${Graph} key=${id} events=${documents} />
      <${Timeline} state=${around} mine=${mine} />
    </div><div>
      <${Investigation} values=${alert.investigation} />
      <${Completeness} state=${seen} rule=${whole.rule_id} />
      <${Prevalence} path=${path} days=${first('days') || '30'} onDays=${(days) => change({ days }, { replace: true })} />
      <${Members} of=${id} />
      <${MitigationState} techniques=${whole.techniques} entities=${whole.entities} />
      <${History} id=${id} stamp=${whole.updated} />
      ${rule.description && html`<section><h2>${t('rule')}</h2><${Markdown} text=${rule.description} /></section>`}
      ${note && html`<section><h2>${t('guide')}</h2><${Markdown} text=${note} fill=${fill} /></section>`}
      ${(rule.reference || []).length > 0 && html`<section><h2>${t('references')}</h2><ul>${[].concat(rule.reference).map((url) => html`<li>${safeLink(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${plain(url)}</a>` : plain(url)}</li>`)}</ul></section>`}
    </div></div></article>`;
  }}<//>`;
}
