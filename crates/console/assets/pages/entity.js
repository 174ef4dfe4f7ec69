// Everything about one user, host, role, image, address …: its alerts, and what it did.

import { html, useMemo } from '../lib/ui.js';
import { first } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Chip, Loaded, SEVERITIES, Severity, Status, Time, eqlText, page } from '../lib/parts.js';
import { Safe } from '../lib/safe.js';
import { Bars, barsOf } from '../lib/chart.js';
import { number, t } from '../lib/text.js';

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
  const state = useGet('/api/v1/alerts', { entity, total: true, limit: 200 });
  const histogram = useGet('/api/v1/alerts/histogram', { entity, by: 'severity' });
  useKeys([{ key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() }]);
  const alerts = state.value?.alerts || [];
  const peers = useMemo(() => peersOf(alerts, field, value), [alerts]);
  const risk = alerts.filter((alert) => alert.verdict !== 'false_positive' && alert.verdict !== 'benign').reduce((most, alert) => Math.max(most, alert.risk_score), 0);
  const bars = barsOf(histogram.value);
  return html`<article class="entity-page"><header><p class="line"><code>${field}</code></p><h1><${Safe} text=${value} most=${2000} /></h1></header>
    <${Loaded} state=${state}>${({ total }) => html`
      <dl class="facts"><div><dt>${t('alerts')}</dt><dd><a href=${page('alerts', { entity })}>${number(total)}</a></dd></div><div><dt>${t('risk')}</dt><dd>${risk}</dd></div>
        <div><dt>${t('entity.first')}</dt><dd><${Time} at=${alerts.at(-1)?.time} /></dd></div><div><dt>${t('entity.last')}</dt><dd><${Time} at=${alerts[0]?.time} /></dd></div></dl>
      <${Bars} bars=${bars} parts=${[...SEVERITIES].reverse()} label=${t('alerts')} onRange=${() => {}} />
      <p><a href=${page('hunt', { language: 'eql', query: `any where ${field} == ${eqlText(value)}`, from: '7d' })}>${t('chip.hunt')}</a></p>
      <div class="two"><section><h2>${t('alerts')}</h2><ol class="timeline">${alerts.slice(0, 100).map((alert) => html`<li><${Time} at=${alert.time} /> <${Severity} of=${alert.severity} /> <${Status} of=${alert} /> <a href=${page(`alert/${alert.id}`)}><${Safe} text=${alert.reason} /></a></li>`)}</ol></section>
      <section><h2>${t('entity.peers')}</h2><table><tbody>${peers.map((peer) => html`<tr><th scope="row">${peer.field}</th><td><${Chip} field=${peer.field} value=${peer.value} /></td><td class="n">${number(peer.count)}</td></tr>`)}</tbody></table></section></div>`}<//></article>`;
}
