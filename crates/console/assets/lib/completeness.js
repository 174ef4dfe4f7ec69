// What of an alert's evidence is not there: a rule sees what its sources send, and says nothing of the rest.

import { html } from './ui.js';
import { Chip, Loaded, Time, page } from './parts.js';
import { Safe } from './safe.js';
import { number, t } from './text.js';

/** In a few words, for the head of the page. */
export function CompletenessMark({ state }) {
  const found = state.value;
  if (!found) return html`<span class="loading">${t('complete')} ${state.problem ? '?' : '…'}</span>`;
  if (found.complete) return html`<span class="complete whole">✓ ${t('complete.whole')}</span>`;
  const missing = found.absent.filter((field) => field.matters).length;
  const parts = [missing && t('complete.fields', { count: missing }), found.cut.length && t('complete.cut', { count: found.cut.length }), found.gaps.length && t('complete.gaps', { count: found.gaps.length })];
  return html`<a class="complete lacking" href="#completeness" target="_self">⚠ ${parts.filter(Boolean).join(', ')}</a>`;
}

/** All of it. */
export function Completeness({ state, rule }) {
  return html`<section id="completeness"><h2>${t('complete')}</h2><${Loaded} state=${state}>${(found) => html`
    <p class="summary">${t('complete.evaluated')} <${Time} at=${found.from} /> – <${Time} at=${found.to} />${found.streams.map((stream) => html` · <code><${Safe} text=${stream} most=${80} /></code>`)}</p>
    ${found.complete ? html`<p class="complete whole">✓ ${t('complete.all', { count: found.asked })}</p>` : ''}
    ${found.absent.some((field) => field.matters) && html`<table class="absent"><thead><tr><th>${t('complete.absent')}</th><th>${t('complete.by')}</th><th>${t('complete.sources')}</th></tr></thead><tbody>
      ${found.absent.filter((field) => field.matters).map((field) => html`<tr><th scope="row"><code>${field.field}</code></th><td>${field.asked_by.map((by) => t(`complete.by.${by}`)).join(', ')}</td><td>${field.sources.length ? html`<${Safe} text=${field.sources.slice(0, 4).join(', ')} />` : t('fields.unfilled')}</td></tr>`)}</tbody></table>`}
    ${found.absent.some((field) => !field.matters) && html`<details><summary>${t('complete.unneeded', { count: found.absent.filter((field) => !field.matters).length })}</summary><p>${found.absent.filter((field) => !field.matters).map((field) => html`<code>${field.field}</code> `)}</p></details>`}
    ${found.cut.length > 0 && html`<h3>${t('complete.cut', { count: found.cut.length })}</h3><ul>${found.cut.map((cut) => html`<li><code><${Safe} text=${cut.field} most=${120} /></code> <${Safe} text=${cut.why} most=${120} /></li>`)}</ul>`}
    ${found.gaps.length > 0 && html`<h3>${t('complete.gaps', { count: found.gaps.length })}</h3>${found.waits_for_absence && html`<p class="warn">${t('complete.absence')}</p>`}<ul class="plain">${found.gaps.slice(0, 20).map((gap) => html`<li><strong>${t(`gap.${gap.kind}`)}</strong> ${gap.stream && html`<code><${Safe} text=${gap.stream} most=${80} /></code>`} <${Time} at=${gap.from} /> – <${Time} at=${gap.to} /> <${Safe} text=${gap.why} most=${200} />${gap.records ? ` (${number(gap.records)})` : ''}</li>`)}</ul>
      <p><a href=${page('sources')}>${t('page.sources')}</a>${rule ? html` · <a href=${page(`rule/${encodeURIComponent(rule)}`)}>${t('execution')}</a>` : ''}</p>`}`}<//></section>`;
}

/** Fields that the rule's author wants looked at first, with their values to go on from. */
export function Investigation({ values }) {
  const entries = Object.entries(values || {}).filter(([, list]) => [].concat(list).length);
  if (!entries.length) return null;
  return html`<section><h2>${t('investigation')}</h2><dl class="matched">${entries.slice(0, 60).map(([field, list]) => html`<dt>${field}</dt><dd>${[].concat(list).slice(0, 20).map((value) => html`<${Chip} field=${field} value=${value !== null && typeof value === 'object' ? JSON.stringify(value) : value} /> `)}</dd>`)}</dl></section>`;
}
