// What would prevent what an alert tells of, and how that stands here.

import { html } from './ui.js';
import { useGet } from './load.js';
import { Loaded, Technique, copy } from './parts.js';
import { t } from './text.js';

/** The mitigations of one technique. */
function Mitigations({ id }) {
  const state = useGet(`/api/v1/techniques/${encodeURIComponent(id)}`);
  return html`<h3><${Technique} id=${id} /> ${state.value?.name || ''}</h3><${Loaded} state=${state}>${({ mitigations }) => (mitigations.length ? html`<ul class="plain">${mitigations.map((one) => html`<li><strong>${one.id}</strong> ${one.name}
    ${one.checks.length > 0 && html`<details><summary>${t('mitigation.check', { count: one.checks.length })}</summary><ul>${one.checks.map((check) => html`<li>${check.what}: <button type="button" class="command" title=${t('chip.copy')} onClick=${() => copy(check.command)}><code>${check.command}</code></button></li>`)}</ul></details>`}</li>`)}</ul>`
    : html`<p>${t('mitigation.none')}</p>`)}<//>`;
}

/** A technique is left out where one of its own sub-techniques stands there, too. */
export function MitigationState({ techniques }) {
  const narrow = techniques.filter((id) => !techniques.some((other) => other.startsWith(`${id}.`))).slice(0, 4);
  if (!narrow.length) return null;
  return html`<section><h2>${t('mitigations')}</h2>${narrow.map((id) => html`<${Mitigations} key=${id} id=${id} />`)}</section>`;
}
