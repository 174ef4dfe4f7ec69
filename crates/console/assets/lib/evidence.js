// Why an alert was raised: its events step by step, and for each the tree of conditions with the values that met them.

import { html, useState } from './ui.js';
import { Chip, Time } from './parts.js';
import { Safe, Short } from './safe.js';
import { t } from './text.js';

/** A tree of conditions. What did not hold is folded, since it is long and rarely asked for. */
export function Why({ node, depth = 0 }) {
  const parts = node.all || node.any || (node.not ? [node.not] : null);
  const mark = html`<span class=${node.holds ? 'holds' : 'fails'} aria-label=${t(node.holds ? 'why.holds' : 'why.fails')}>${node.holds ? '✓' : '✗'}</span>`;
  if (!parts) {
    return html`<div class="why-leaf">${mark} <code><${Safe} text=${node.test ?? node.query ?? ''} most=${600} /></code>
      ${(node.values || []).map((value) => html`<div class="why-value"><span class="field"><${Short} text=${value.field} most=${120} /></span> ${value.value === null || value.value === undefined ? html`<em>${t('why.absent')}</em>` : html`<${Chip} field=${value.field} value=${value.value} />`}
      ${value.met !== undefined && String(value.met) !== String(value.value) ? html` <span class="met">${t('why.met')} <code><${Safe} text=${value.met} most=${200} /></code></span>` : ''}</div>`)}</div>`;
  }
  const word = node.all ? 'why.all' : node.any ? 'why.any' : 'why.not';
  return html`<details class="why" open=${node.holds && depth < 12}><summary>${mark} ${t(word)}</summary>${parts.map((part) => html`<${Why} node=${part} depth=${depth + 1} />`)}</details>`;
}

/** Levels of a document that become names of fields; what lies deeper is shown as JSON. */
const DEEPEST = 40;

/** The fields of a document, as one row each. */
export function flat(document, prefix = '', into = [], depth = 0) {
  for (const [key, value] of Object.entries(document || {})) {
    const name = prefix ? `${prefix}.${key}` : key;
    if (value && typeof value === 'object' && !Array.isArray(value) && depth < DEEPEST) flat(value, name, into, depth + 1);
    else for (const one of [].concat(value)) into.push([name, one !== null && typeof one === 'object' ? JSON.stringify(one) : one]);
  }
  return into;
}

/** A document as a table of fields; `matched` are marked. */
export function Fields({ document, matched = {} }) {
  const [wanted, setWanted] = useState('');
  const [most, setMost] = useState(400);
  const rows = flat(document).filter(([field, value]) => !wanted || `${field} ${value}`.toLowerCase().includes(wanted.toLowerCase()));
  return html`<div class="fields-table"><input type="search" placeholder=${t('fields.search')} aria-label=${t('fields.search')} onInput=${(event) => setWanted(event.currentTarget.value)} />
    <table><tbody>${rows.slice(0, most).map(([field, value]) => html`<tr class=${matched[field] ? 'matched' : ''}><th scope="row"><${Short} text=${field} most=${200} /></th><td><${Chip} field=${field} value=${value} /></td></tr>`)}</tbody></table>
    ${rows.length > most && html`<button type="button" onClick=${() => setMost(most + 1000)}>${t('safe.more', { count: rows.length - most, size: rows.length - most })}</button>`}</div>`;
}

/** One event of a step. */
export function Event({ event, open }) {
  return html`<article class="event" tabindex="-1"><header><${Time} at=${event.time} /> <span class="origin"><${Safe} text=${event.origin ? `${event.origin.source}:${event.origin.line ?? ''}` : ''} /></span></header>
    <dl class="matched">${Object.entries(event.matched_fields || {}).slice(0, 200).map(([field, values]) => html`<dt><${Short} text=${field} most=${120} /></dt><dd>${[].concat(values).slice(0, 100).map((value) => html`<${Chip} field=${field} value=${value} />`)}</dd>`)}</dl>
    ${event.why && html`<details open=${open}><summary>${t('why')}</summary><${Why} node=${event.why} /></details>`}
    ${event.document && html`<details><summary>${t('fields')}</summary><${Fields} document=${event.document} matched=${event.matched_fields} /></details>`}
    ${event.document?.event?.original && html`<details><summary>${t('original')}</summary><pre tabindex="0" role="region" aria-label=${t('original')}><${Safe} text=${event.document.event.original} most=${4000} /></pre></details>`}
  </article>`;
}
