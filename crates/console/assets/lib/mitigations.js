// What would prevent what an alert tells of, and how that stands here.

import { html } from './ui.js';
import { useGet } from './load.js';
import { Loaded, Technique, Time, copy, page } from './parts.js';
import { Short } from './safe.js';
import { t } from './text.js';

/** How many failures are named at once. */
const MOST = 20;

/** A check, with how it stood when it was asked last; what concerns the alert itself comes first and is marked. */
function Check({ of, own }) {
  const concerns = (resource) => own.some((value) => resource.split(' ').includes(value));
  const failed = [...of.failed].sort((a, b) => concerns(b) - concerns(a));
  return html`<li>${of.asked && html`<strong class=${of.failures ? 'problem' : 'holds'}>${of.failures ? t('mitigation.fails', { count: of.failures }) : `✓ ${t('mitigation.holds')}`}</strong> `}${of.what}${of.asked && html` <span class="hint"><${Time} at=${of.asked} short /></span>`}
    ${failed.length > 0 && html`<ul class="plain">${failed.slice(0, MOST).map((resource) => html`<li class=${concerns(resource) ? 'mine' : ''}><code><${Short} text=${resource} most=${200} /></code>${concerns(resource) ? html` <strong>${t('mitigation.here')}</strong>` : ''}</li>`)}</ul>`}
    <button type="button" class="command" title=${t('chip.copy')} onClick=${() => copy(of.command)}><code>${of.command}</code></button></li>`;
}

/** The mitigations of one technique. */
function Mitigations({ id, own }) {
  const state = useGet(`/api/v1/techniques/${encodeURIComponent(id)}`);
  return html`<h3><${Technique} id=${id} /> ${state.value?.name || ''} <a href=${page('posture', { technique: id })}>${t('page.posture')}</a></h3><${Loaded} state=${state}>${({ mitigations, runs }) => {
    const checks = mitigations.flatMap((one) => one.checks);
    return html`${mitigations.length ? html`<ul class="plain">${mitigations.map((one) => { const failures = one.checks.reduce((sum, check) => sum + check.failures, 0); return html`<li><strong>${one.id}</strong> ${one.name} ${failures > 0 && html`<strong class="problem">${t('mitigation.fails', { count: failures })}</strong>`}
      ${one.checks.length > 0 && html`<details open=${failures > 0}><summary>${t('mitigation.check', { count: one.checks.length })}</summary><ul>${[...one.checks].sort((a, b) => b.failures - a.failures).map((check) => html`<${Check} of=${check} own=${own} />`)}</ul></details>`}</li>`; })}</ul>` : html`<p>${t('mitigation.none')}</p>`}
      ${checks.length > 0 && !checks.some((check) => check.asked) && html`<p class="hint">${t('mitigation.runs')} <button type="button" class="command" title=${t('chip.copy')} onClick=${() => copy(`neph audit run collected/ --history ${runs}`)}><code>neph audit run collected/ --history <${Short} text=${runs} most=${200} /></code></button></p>`}`;
  }}<//>`;
}

/** A technique is left out where one of its own sub-techniques stands there, too. */
export function MitigationState({ techniques, entities }) {
  const own = entities.map((entity) => entity.value);
  const narrow = techniques.filter((id) => !techniques.some((other) => other.startsWith(`${id}.`))).slice(0, 4);
  if (!narrow.length) return null;
  return html`<section><h2>${t('mitigations')}</h2>${narrow.map((id) => html`<${Mitigations} key=${id} id=${id} own=${own} />`)}</section>`;
}
