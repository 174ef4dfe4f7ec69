// Everything about one user, host, role, image, address …: its risk over time, its alerts, whom and what it was seen with, and what it did.

import { html, useMemo } from '../lib/ui.js';
import { first, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Chip, Loaded, SEVERITIES, Severity, Status, Time, eqlText, page } from '../lib/parts.js';
import { Safe } from '../lib/safe.js';
import { Bars, barsOf } from '../lib/chart.js';
import { openDialog } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { RangeSelect, chooseSpan } from '../lib/filters.js';
import { ViewsForm } from '../lib/views.js';

/** Whom and what it was seen with: the entities of its alerts, most frequent first. */
function peersOf(alerts, field, value) {
  const counts = new Map();
  for (const alert of alerts) for (const entity of alert.entities) if (!(entity.field === field && entity.value === value) && !entity.field.endsWith('entity_id')) {
    const key = `${entity.field}\u0000${entity.value}`;
    counts.set(key, { ...entity, count: (counts.get(key)?.count || 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count).slice(0, 20);
}

export default function Entity() {
  const field = first('field');
  const value = first('value');
  const entity = `${field}:${value}`;
  const filter = { entity, ...(first('from') ? { from: first('from') } : {}), ...(first('to') ? { to: first('to') } : {}) };
  const state = useGet('/api/v1/alerts', { ...filter, total: true, limit: 200 });
  const earliest = useGet('/api/v1/alerts', { ...filter, ascending: true, limit: 1 });
  const histogram = useGet('/api/v1/alerts/histogram', { ...filter, by: 'severity' });
  const facets = useGet('/api/v1/alerts/facets', { ...filter, facet: ['rule', 'technique', 'status'], values: 6 });
  useKeys([
    { key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() },
    { key: 't', text: t('range'), run: () => document.getElementById('range').focus() },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
  ]);
  const alerts = state.value?.alerts || [];
  const peers = useMemo(() => peersOf(alerts, field, value), [alerts]);
  const names = new Map(alerts.map((alert) => [alert.rule_id, alert.rule_name]));
  const risk = alerts.filter((alert) => alert.verdict !== 'false_positive' && alert.verdict !== 'benign').reduce((most, alert) => Math.max(most, alert.risk_score), 0);
  const counted = (name, told = (one) => one) => html`<p class="line">${(facets.value?.facets[name] || []).map((one) => html`<a href=${page('alerts', { ...filter, [name]: one.value })}><${Safe} text=${told(one.value)} most=${90} /> <strong>${number(one.count)}</strong></a>`)}</p>`;
  return html`<article class="entity-page"><header><p class="line"><code>${field}</code><${RangeSelect} /><button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button></p><h1><${Safe} text=${value} most=${2000} /></h1></header>
    <${Loaded} state=${state}>${({ total }) => html`
      <dl class="facts"><div><dt>${t('alerts')}</dt><dd><a href=${page('alerts', filter)}>${number(total)}</a></dd></div><div><dt>${t('risk')}</dt><dd>${risk}</dd></div>
        <div><dt>${t('entity.first')}</dt><dd><${Time} at=${earliest.value?.alerts[0]?.time} /></dd></div><div><dt>${t('entity.last')}</dt><dd><${Time} at=${alerts[0]?.time} /></dd></div></dl>
      <${Bars} bars=${barsOf(histogram.value)} parts=${[...SEVERITIES].reverse()} label=${t('alerts')} onRange=${chooseSpan} />
      <p class="actions"><a class="button" href=${page('hunt', { language: 'eql', query: `any where ${field} == ${eqlText(value)}`, from: first('from') || '7d', to: first('to') })}>${t('chip.hunt')}</a><a class="button" href=${page('alerts', { not: entity, status: ['open', 'acknowledged'] })}>${t('chip.filter.out')}</a></p>
      ${total === 0 ? html`<p class="empty">${t('alerts.none')} ${here.value.query.from && html`<a href=${page('entity', { field, value })}>${t('range.all')}</a>`}</p>` : html`<section><h2>${t('page.rules')}</h2>${counted('rule', (id) => names.get(id) || id)}${counted('technique')}</section>
      <div class="two"><section><h2>${t('alerts')}</h2><ol class="timeline">${alerts.slice(0, 100).map((alert) => html`<li><${Time} at=${alert.time} /> <${Severity} of=${alert.severity} /> <${Status} of=${alert} /> <a href=${page(`alert/${alert.id}`)}><${Safe} text=${alert.reason} /></a></li>`)}</ol></section>
      <section><h2>${t('entity.peers')}</h2><table><tbody>${peers.map((peer) => html`<tr><th scope="row">${peer.field}</th><td><${Chip} field=${peer.field} value=${peer.value} /></td><td class="n">${number(peer.count)}</td></tr>`)}</tbody></table></section></div>`}`}<//></article>`;
}
