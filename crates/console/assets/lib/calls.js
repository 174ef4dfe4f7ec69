// Requests to clouds and clusters in the order in which a session or a principal made them, around an alert.

import { html } from './ui.js';
import { Chip, Time } from './parts.js';
import { Safe } from './safe.js';
import { RESOURCES, firstOf, isCall, namedOf, principalOf, sessionOf } from './fields.js';
import { span } from './time.js';
import { t } from './text.js';

const MOST = 200;

/** The requests of those whose requests the alert is of: `[{ who, session, calls: [{ document, mine }] }]`. */
export function callsOf(documents) {
  const keyOf = (document) => {
    const [who, session] = [principalOf(document), sessionOf(document)];
    return who || session ? JSON.stringify([who?.value, session?.value]) : null;
  };
  const groups = new Map();
  const seen = new Set();
  for (const { document, mine, id } of documents) {
    const key = isCall(document) ? keyOf(document) : null;
    // The alert's own events stand in what is around it, too.
    if (!key || (id && seen.has(id))) continue;
    if (id) seen.add(id);
    if (!groups.has(key)) groups.set(key, { key, who: principalOf(document), session: sessionOf(document), calls: [] });
    groups.get(key).calls.push({ document, mine, time: new Date(firstOf(document, '@timestamp')).getTime() });
  }
  const wanted = [...groups.values()].filter((group) => group.calls.some((call) => call.mine));
  for (const group of wanted) group.calls.sort((a, b) => a.time - b.time);
  return wanted;
}

function Call({ of: { document, mine, time }, before }) {
  const resource = namedOf(document, ...RESOURCES);
  const wrong = firstOf(document, 'aws.cloudtrail.error_code', 'error.code') ?? (firstOf(document, 'event.outcome') === 'failure' ? t('calls.failed') : undefined);
  return html`<li class=${mine ? 'mine' : ''}><${Time} at=${firstOf(document, '@timestamp')} /> <span class="delta">${before !== undefined ? `+${span((time - before) / 1000)}` : ''}</span>
    <strong><${Safe} text=${firstOf(document, 'event.action')} most=${120} /></strong> <span class="action"><${Safe} text=${firstOf(document, 'event.provider', 'cloud.service.name', 'event.dataset') ?? ''} most=${80} /></span>
    ${resource && html`<${Chip} field=${resource.field} value=${resource.value} />`} ${wrong !== undefined && html`<span class="problem"><${Safe} text=${wrong} most=${120} /></span>`}</li>`;
}

export function Calls({ documents }) {
  const groups = callsOf(documents);
  if (!groups.length) return null;
  return html`<section><h2>${t('calls')}</h2>${groups.slice(0, 8).map((group) => html`<h3>${group.who && html`<${Chip} field=${group.who.field} value=${group.who.value} />`} ${group.session && html`<${Chip} field=${group.session.field} value=${group.session.value} />`}</h3>
    <ol class="timeline">${group.calls.slice(0, MOST).map((call, index) => html`<${Call} of=${call} before=${group.calls[index - 1]?.time} />`)}</ol>
    ${group.calls.length > MOST && html`<p>${t('evidence.more', { count: group.calls.length - MOST })}</p>`}`)}</section>`;
}
