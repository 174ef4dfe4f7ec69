// One alert: what happened, why it counts as an alert, what was around it, and what was done about it.

import { html, useEffect } from '../lib/ui.js';
import * as store from '../lib/alerts.js';
import { go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Chip, Loaded, Severity, Status, Technique, Time, copy, page } from '../lib/parts.js';
import { Safe, plain, safeLink } from '../lib/safe.js';
import { Event } from '../lib/evidence.js';
import { ProcessTree } from '../lib/processes.js';
import { Markdown } from '../lib/markdown.js';
import { span } from '../lib/time.js';
import { number, t } from '../lib/text.js';
import { triageKeys } from './alerts.js';

const idHere = () => decodeURIComponent(here.value.path.split('/')[3] || '');

/** How often each thing that the alert is about was seen in alerts: rare is worth a look. */
function Prevalence({ whole }) {
  const entities = whole.entities.slice(0, 12);
  return html`<section><h2>${t('about')}</h2><table class="prevalence"><thead><tr><th>${t('field')}</th><th>${t('value')}</th><th class="n">${t('prevalence.alerts')}</th></tr></thead><tbody>
    ${entities.map((entity) => html`<${PrevalenceRow} key=${`${entity.field}${entity.value}`} entity=${entity} />`)}</tbody></table></section>`;
}

function PrevalenceRow({ entity }) {
  const name = `${entity.field}:${entity.value}`;
  const state = useGet('/api/v1/alerts', { entity: name, total: true, limit: 1 });
  return html`<tr><th scope="row">${entity.field}</th><td><${Chip} field=${entity.field} value=${entity.value} /></td>
    <td class="n">${state.value ? html`<a href=${page('alerts', { entity: name })}>${number(state.value.total)}</a>` : '…'}</td></tr>`;
}

function Timeline({ state, mine }) {
  return html`<section><h2>${t('timeline')}</h2><${Loaded} state=${state}>${({ results, total, complete }) => html`
    <p class="summary">${t('timeline.count', { count: total })}${complete ? '' : ` ${t('hunt.partial')}`}</p>
    <ol class="timeline">${results.flatMap((result) => result.events).map((event) => html`<li class=${mine.has(event.id) ? 'mine' : ''}>
      <${Time} at=${event.document?.['@timestamp']} /> <span class="action"><${Safe} text=${[].concat(event.document?.event?.action ?? event.document?.event?.dataset ?? '').join(', ')} most=${80} /></span>
      <span class="what"><${Safe} text=${sentence(event.document)} most=${300} /></span></li>`)}</ol>`}<//></section>`;
}

/** What an event says, in the words that it has. */
function sentence(document) {
  const process = document?.process;
  return process?.command_line || (Array.isArray(process?.args) && process.args.join(' ')) || document?.message || document?.url?.original || document?.file?.path
    || [document?.user?.name, document?.source?.ip, document?.destination?.ip, document?.cloud?.instance?.id].filter(Boolean).join(' ') || '';
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

/** What could be seen of the events, and what not: what the rule reads and the evidence lacks. */
function Completeness({ alert }) {
  const lacking = alert?.completeness?.missing_fields || alert?.missing_fields || [];
  return lacking.length ? html`<p class="hint">${t('evidence.missing')} ${lacking.map((field) => html`<code>${field}</code> `)}</p>` : null;
}

export default function Alert({ me }) {
  const id = idHere();
  const path = `/api/v1/alerts/${encodeURIComponent(id)}`;
  const state = useGet(path);
  const around = useGet(`${path}/timeline`, { minutes: 30, limit: 200 });
  // The list knows of changes that the stream or this page made.
  const listed = store.rows.value.find((alert) => alert.id === id);
  const shown = state.value && { ...state.value, ...(listed && listed.updated >= state.value.updated ? listed : {}) };
  useEffect(() => { store.load(); }, []);
  const step = (by) => {
    const place = store.rows.value.findIndex((alert) => alert.id === id);
    const next = store.rows.value[place < 0 ? store.cursor.value : place + by];
    if (next) { store.cursor.value = store.rows.value.indexOf(next); go(page(`alert/${next.id}`), { replace: true }); }
  };
  const after = (action) => ({ ...action, run: async (event) => { await action.run(event); setTimeout(state.again, 400); } });
  useKeys([
    ...triageKeys({ me, alert: () => shown }).map(after),
    { key: [']', 'j'], text: t('alert.next'), run: () => step(1) },
    { key: ['[', 'k'], text: t('alert.previous'), run: () => step(-1) },
    { key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() },
    { key: 'y', text: t('alert.copy'), run: () => copy(JSON.stringify(shown?.document, null, 2)) },
    { key: 'p', text: t('alert.report'), run: () => open(`${path}/report`, '_blank', 'noopener') },
    { key: 'r', text: t('alert.rule'), run: () => go(page(`rule/${encodeURIComponent(shown.rule_id)}`)) },
  ]);
  return html`<${Loaded} state=${{ ...state, value: shown }}>${(whole) => {
    const alert = whole.document?.neph?.alert || {};
    const rule = whole.document?.rule || {};
    const steps = alert.steps || [];
    const mine = new Set(steps.flatMap((one) => (one.events || []).map((event) => event.id)));
    const documents = [...steps.flatMap((one) => (one.events || []).map((event) => ({ document: event.document, mine: true }))),
      ...(around.value?.results || []).flatMap((result) => result.events).map((event) => ({ document: event.document, mine: mine.has(event.id) }))];
    const note = whole.document?.['kibana.alert.rule.note'];
    return html`<article class="alert"><header>
      <p class="line"><${Severity} of=${whole.severity} /> <span title=${t('risk')}>${whole.risk_score}</span> <${Status} of=${whole} /> <${Time} at=${whole.time} />
        ${whole.first && whole.last && whole.first !== whole.last && html` <span>${t('lasted', { span: span((new Date(whole.last) - new Date(whole.first)) / 1000) })}</span>`}
        ${whole.count > 1 && html` <span>×${number(whole.count)}</span>`} ${whole.assignee && html`<span class="who"><${Safe} text=${whole.assignee} most=${60} /></span>`}
        ${whole.labels.map((label) => html`<span class="label"><${Safe} text=${label} most=${60} /></span>`)}</p>
      <h1><${Safe} text=${whole.reason} most=${2000} /></h1>
      <p class="line"><a href=${page(`rule/${encodeURIComponent(whole.rule_id)}`)}><${Safe} text=${whole.rule_name} /></a> ${whole.rule_version && html`<span>${t('version')} ${whole.rule_version}</span>`}
        ${whole.techniques.map((technique) => html`<${Technique} id=${technique} /> `)} ${whole.tactics.map((tactic) => html`<span class="tactic"><${Safe} text=${tactic} most=${60} /></span> `)}</p>
      <p class="actions">${[['a', 'acknowledge'], ['c', 'close'], ['n', 'note'], ['A', 'assign'], ['e', 'except'], ['s', 'snooze']].map(([key, name]) => html`<button type="button" onClick=${() => after(triageKeys({ me, alert: () => shown }).find((one) => one.key === key)).run()}>${t(`do.${name}`)} <kbd>${key}</kbd></button>`)}
        <a class="button" href=${`${path}/report`} target="_blank" rel="noopener">${t('alert.report')} <kbd>p</kbd></a></p>
    </header>
    <div class="two"><div>
      <section><h2>${t('evidence')}</h2><${Completeness} alert=${alert} />
        ${(alert.join_keys || []).filter((key) => key.value !== null && key.value !== undefined).map((key) => html`<p>${t('joined')} <code>${[].concat(key.fields).join(', ')}</code> <${Chip} field=${[].concat(key.fields)[0]} value=${key.value} /></p>`)}
        ${steps.map((one, index) => html`<div class="step"><h3>${steps.length > 1 ? t('step', { number: one.step ?? index + 1 }) : ''} <code><${Safe} text=${one.query || ''} most=${400} /></code></h3>
          ${(one.events || []).slice(0, 50).map((event) => html`<${Event} key=${event.id} event=${event} open=${steps.length === 1} />`)}
          ${(one.events || []).length > 50 && html`<p>${t('evidence.more', { count: one.events.length - 50 })}</p>`}</div>`)}</section>
      <${ProcessTree} documents=${documents} />
      <${Timeline} state=${around} mine=${mine} />
    </div><div>
      <${Prevalence} whole=${whole} />
      <${History} id=${id} stamp=${whole.updated} />
      ${rule.description && html`<section><h2>${t('rule')}</h2><${Markdown} text=${rule.description} /></section>`}
      ${note && html`<section><h2>${t('guide')}</h2><${Markdown} text=${note} /></section>`}
      ${(rule.reference || []).length > 0 && html`<section><h2>${t('references')}</h2><ul>${[].concat(rule.reference).map((url) => html`<li>${safeLink(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${plain(url)}</a>` : plain(url)}</li>`)}</ul></section>`}
    </div></div></article>`;
  }}<//>`;
}
