// The alerts of an incident: what belongs together with an alert, in the order of time.

import { html } from './ui.js';
import { useGet } from './load.js';
import { Chip, Loaded, Severity, Status, Time, page } from './parts.js';
import { Safe } from './safe.js';
import { t } from './text.js';

const MOST = 30;

/** An alert of an incident in a line. */
export const Member = ({ of, here }) => html`<li class=${here ? 'mine' : ''} aria-current=${here ? 'true' : undefined}><${Time} at=${of.time} short /> <${Severity} of=${of.severity} /> <a href=${page(`alert/${of.id}`)}><${Safe} text=${of.reason} most=${200} /></a> <${Status} of=${of} /></li>`;

/** The incident that an alert belongs to, where there is more of it than the alert. */
export function Members({ of }) {
  const state = useGet(`/api/v1/incidents/${encodeURIComponent(of)}`);
  if (state.value?.alerts === 1) return html`<section><h2>${t('incident')}</h2><p class="hint">${t('incident.alone')}</p></section>`;
  return html`<section><h2>${t('incident')}</h2><${Loaded} state=${state}>${(incident) => {
    const at = incident.members.findIndex((member) => member.id === of);
    const from = Math.max(0, Math.min(at - MOST / 2, incident.members.length - MOST));
    return html`<p class="line"><a href=${page(`incident/${encodeURIComponent(of)}`)}>${t('incident.open')} <kbd>i</kbd></a> ${t('alerts.count', { count: incident.alerts })} ${incident.about.slice(0, 4).map((one) => html`<${Chip} field=${one.field} value=${one.value} />`)}</p>
      <ol class="timeline">${incident.members.slice(from, from + MOST).map((member) => html`<${Member} key=${member.id} of=${member} here=${member.id === of} />`)}</ol>
      ${incident.alerts > MOST && html`<p class="hint">${t('incident.more', { count: incident.alerts - Math.min(MOST, incident.members.length) })}</p>`}`;
  }}<//></section>`;
}
