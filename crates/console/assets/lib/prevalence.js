// How often the values of an alert occur in all that is stored: rare is worth a look.

import { html } from './ui.js';
import { useGet } from './load.js';
import { Chip, Loaded, Time, page } from './parts.js';
import { number, t } from './text.js';

/** Of fewer records nothing is rare. */
const ENOUGH = 1000;

const many = (count) => (count >= 10_000 ? `${number(count)}+` : number(count));

/** The table; leaving the page ends the search. */
export function Prevalence({ path, days, onDays }) {
  const state = useGet(`${path}/prevalence`, { days });
  return html`<section><h2>${t('prevalence')}</h2>
    <p class="summary"><label>${t('prevalence.days')} <select value=${days} onChange=${(event) => onDays(event.currentTarget.value)}>${[1, 7, 30, 90, 365].map((count) => html`<option value=${count}>${t('days', { count })}</option>`)}</select></label>
      ${state.value && !state.value.complete ? html` <strong>${t('prevalence.partial')}</strong> <${Time} at=${state.value.seen_from} />` : ''}</p>
    <${Loaded} state=${state.fresh || state.problem ? state : {}}>${({ values, records, millis }) => (values.length ? html`<table class="prevalence"><thead><tr><th>${t('value')}</th><th class="n">${t('prevalence.events')}</th><th class="n">${t('prevalence.hosts')}</th><th class="n">${t('prevalence.users')}</th><th>${t('prevalence.first')}</th><th>${t('prevalence.last')}</th></tr></thead><tbody>
      ${values.map((one) => html`<tr class=${one.events && one.events <= 3 && records >= ENOUGH ? 'rare' : ''}><th scope="row"><span class="field">${one.field}</span> <${Chip} field=${one.field} value=${one.value} /></th><td class="n"><a href=${page('alerts', { entity: `${one.field}:${one.value}` })} title=${t('prevalence.alerts')}>${number(one.events)}</a></td><td class="n">${many(one.hosts)}</td><td class="n">${many(one.users)}</td>
        <td><${Time} at=${one.first} short /></td><td><${Time} at=${one.last} short /></td></tr>`)}</tbody></table><p class="hint">${t('prevalence.records', { count: records, millis: number(millis) })}</p>` : html`<p>${t('prevalence.none')}</p>`)}<//></section>`;
}
