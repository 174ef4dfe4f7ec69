// One rule: its text, what it means, what it found, what it would find, and how it is tuned.

import { html, useEffect, useState } from '../lib/ui.js';
import { get, post } from '../lib/api.js';
import { withDocument, writeOverlay } from '../lib/overlays.js';
import { go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Chip, Diagnostics, Diff, Loaded, Severity, Technique, Time, page } from '../lib/parts.js';
import { Safe, plain, safeLink } from '../lib/safe.js';
import { Markdown } from '../lib/markdown.js';
import { Editor } from '../lib/editor.js';
import { say, sayProblem } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';

const idHere = () => decodeURIComponent(here.value.path.split('/')[3] || '');

/** What the rule would have told of the stored events, the values that make most of it, and exceptions that lose nothing true. */
function Preview({ id, me }) {
  const [state, setState] = useState({});
  const run = async () => {
    setState({ running: true });
    try {
      setState({ value: await post(`/api/v1/rules/${encodeURIComponent(id)}/preview`, { from: '7d' }) });
    } catch (error) {
      setState({ problem: error.message });
    }
  };
  useKeys([{ key: 'P', text: t('preview.run'), run }]);
  const found = state.value;
  const take = async (exception) => {
    try {
      await writeOverlay('console', await withDocument('console', exception.overlay.replace('owner: preview', `owner: ${JSON.stringify(me.name)}`)));
      say(t('except.done', { file: 'console' }));
      run();
    } catch (error) {
      sayProblem(error);
    }
  };
  return html`<section><h2>${t('preview')}</h2><p><button type="button" onClick=${run} disabled=${state.running}>${t('preview.run')} <kbd>P</kbd></button></p>
    ${state.problem && html`<p class="problem" role="alert">${state.problem}</p>`} ${state.running && html`<p class="loading">${t('hunt.running')}</p>`}
    ${found && html`<p><strong>${t('alerts.count', { count: found.alerts })}</strong> ${t('preview.of', { records: number(found.records) })}${found.is_cut ? ` ${t('hunt.partial')}` : ''}</p>
      <div class="days">${Object.entries(found.per_day).map(([day, count]) => html`<span>${day} <strong>${number(count)}</strong></span>`)}</div>
      ${found.noisy.length > 0 && html`<h3>${t('preview.noisy')}</h3><table><tbody>${found.noisy.slice(0, 6).map((field) => html`<tr><th scope="row">${field.field}</th><td>${field.values.slice(0, 5).map((one) => html`<${Chip} field=${field.field} value=${one.value} /> <small>${number(one.alerts)}</small> `)}</td></tr>`)}</tbody></table>`}
      ${found.exceptions.length > 0 && html`<h3>${t('preview.exceptions')}</h3><table><tbody>${found.exceptions.map((one) => html`<tr><td><${Safe} text=${one.name} /></td><td class="n">−${number(one.removes)}</td><td>${one.is_safe ? t('preview.safe', { tests: one.proof.tests, alerts: one.proof.true_alerts }) : html`<strong class="problem">${t('preview.unsafe')}</strong>`}</td>
        <td>${one.is_safe && ['engineer', 'admin'].includes(me.role) && html`<button type="button" onClick=${() => take(one)}>${t('except.write')}</button>`}</td></tr>`)}</tbody></table>`}`}</section>`;
}

/** The overlays that are written here, with the difference that a change makes. */
function Overlay({ rule, me }) {
  const [name, setName] = useState('console');
  const [state, setState] = useState({ text: '', base: null });
  const [proposal, setProposal] = useState(null);
  useEffect(() => {
    setProposal(null);
    get(`/api/v1/overlays/${encodeURIComponent(name)}`).then(({ text, hash }) => setState({ text, base: hash }), () => setState({ text: `name: \nowner: ${me.name}\nreason: \nselect:\n  ids: [${JSON.stringify(rule.id)}]\n`, base: null }));
  }, [name]);
  const path = `/api/v1/overlays/${encodeURIComponent(name)}`;
  const check = async (text) => {
    const answer = await post(`${path}/proposal`, { text });
    setProposal(answer);
    return answer.diagnostics;
  };
  const write = () => writeOverlay(name, state).then(({ hash } = {}) => { setState({ ...state, base: hash ?? state.base }); say(t('except.done', { file: name })); }, sayProblem);
  return html`<section><h2>${t('overlay')}</h2><label>${t('except.file')} <input value=${name} pattern="[a-z0-9][a-z0-9\\-]{0,63}" onChange=${(event) => setName(event.currentTarget.value)} /></label>
    <${Editor} text=${state.text} onText=${(text) => setState({ ...state, text })} check=${check} label=${t('overlay')} rows=${8} />
    ${proposal?.diff && html`<h3>${t('except.difference')}</h3><${Diff} text=${proposal.diff} />`}
    ${['engineer', 'admin'].includes(me.role) && html`<p><button type="button" class="main" disabled=${!proposal?.valid || !proposal.diff} onClick=${write}>${t('except.write')}</button></p>`}</section>`;
}

/** Intervals of which the rule did not see everything. */
function Execution({ id }) {
  const state = useGet('/api/v1/status', { since: '7d' });
  return html`<section><h2>${t('execution')}</h2><${Loaded} state=${state}>${({ gaps }) => {
    const mine = gaps.filter((gap) => !gap.rule || gap.rule === id);
    return mine.length ? html`<ul class="gaps">${mine.map((gap) => html`<li class=${gap.open ? 'open' : ''}><strong>${t(`gap.${gap.kind}`)}</strong> <${Time} at=${gap.from} /> – ${gap.open ? t('gap.open') : html`<${Time} at=${gap.to} />`} <${Safe} text=${gap.why} /></li>`)}</ul>` : html`<p>${t('execution.whole')}</p>`;
  }}<//></section>`;
}

export default function Rule({ me }) {
  const id = idHere();
  const state = useGet(`/api/v1/rules/${encodeURIComponent(id)}`);
  useKeys([
    { key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() },
    { key: 'F', text: t('filter.rule'), run: () => go(page('alerts', { rule: id })) },
  ]);
  return html`<${Loaded} state=${state}>${(rule) => html`<article class="rule-page"><header>
      <p class="line"><span class=${`state ${rule.state}`}>${t(`state.${rule.state}`)}</span> ${rule.severity && html`<${Severity} of=${rule.severity} />`} ${rule.language} ${rule.techniques.map((one) => html`<${Technique} id=${one} /> `)}
        <a href=${page('alerts', { rule: id })}>${t('alerts.count', { count: rule.alerts })}</a> <span>${t('precision')} ${rule.verdicts.precision === null ? '–' : `${Math.round(rule.verdicts.precision * 100)} %`} (${rule.verdicts.true_positive}/${rule.verdicts.benign}/${rule.verdicts.false_positive})</span>
        <span>${rule.tests ? t('tests.count', rule.tests) : t('tests.none')}</span></p>
      <h1><${Safe} text=${rule.name || rule.id} /></h1><p class="file"><code><${Safe} text=${rule.file} /></code></p>
      ${rule.reasons.map((reason) => html`<p class="problem"><${Safe} text=${reason} /></p>`)}</header>
    <div class="two"><div>
      <section><h2>${t('rule.source')}</h2><pre class="source" tabindex="0" role="region" aria-label=${t('rule.source')}><${Safe} text=${rule.source || rule.query || ''} most=${30000} /></pre><${Diagnostics} list=${rule.diagnostics} text=${rule.source || ''} /></section>
      <section><h2>${t('rule.plan')}</h2><ul>${rule.plan.map((line) => html`<li><code><${Safe} text=${line} most=${2000} /></code></li>`)}</ul></section>
      <${Overlay} rule=${rule} me=${me} />
    </div><div>
      ${rule.description && html`<section><h2>${t('rule')}</h2><${Markdown} text=${rule.description} /></section>`}
      <${Preview} id=${id} me=${me} />
      <${Execution} id=${id} />
      <section><h2>${t('fields')}</h2><table><tbody>${rule.fields.map((field) => html`<tr class=${field.sources.length ? '' : 'none'}><th scope="row">${field.name}</th><td title=${field.sources.join(', ')}>${field.sources.length ? t('fields.sources', { count: field.sources.length }) : t('fields.unfilled')}</td></tr>`)}</tbody></table></section>
      ${rule.note && html`<section><h2>${t('guide')}</h2><${Markdown} text=${rule.note} /></section>`}
      ${rule.false_positives.length > 0 && html`<section><h2>${t('false_positives')}</h2><ul>${rule.false_positives.map((text) => html`<li><${Safe} text=${text} most=${2000} /></li>`)}</ul></section>`}
      ${rule.overlays.length > 0 && html`<section><h2>${t('overlays')}</h2><ul>${rule.overlays.map((one) => html`<li><${Safe} text=${typeof one === 'string' ? one : `${one.name ?? ''} ${one.file ?? ''}`} /></li>`)}</ul></section>`}
      <section><h2>${t('references')}</h2><ul>${rule.references.map((url) => html`<li>${safeLink(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${plain(url)}</a>` : plain(url)}</li>`)}</ul></section>
    </div></div></article>`}<//>`;
}
