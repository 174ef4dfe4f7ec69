// One rule: its text, what it means, what it found, what it would find, what it costs, whether its tests pass, when it ran, and how it is tuned.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { get, post } from '../lib/api.js';
import { withDocument, writeOverlay } from '../lib/overlays.js';
import { first, go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Chip, Diagnostics, Diff, Loaded, SEVERITIES, Severity, Technique, Time, page } from '../lib/parts.js';
import { Safe, plain, safeLink } from '../lib/safe.js';
import { Markdown } from '../lib/markdown.js';
import { Editor } from '../lib/editor.js';
import { Bars, barsOf } from '../lib/chart.js';
import { openDialog, say, sayProblem } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { millis, stamp } from '../lib/time.js';
import { RangeSelect, chooseSpan } from '../lib/filters.js';
import { Cases, EditRule } from '../lib/newrule.js';
import { SwitchForm, undoSwitch } from '../lib/switches.js';
import { Upkeep, bytes } from './rules.js';

const idHere = () => decodeURIComponent(here.value.path.split('/')[3] || '');
const isEngineer = (me) => ['engineer', 'admin'].includes(me.role);
/** Fields by which it is told what makes noise. */
const NOISE = ['host.name', 'user.name', 'user.id', 'source.ip', 'process.name', 'container.name', 'cloud.account.id'];
/** Without another choice a week is looked at. */
const WITHOUT = '7d';
const span = () => ({ from: first('from') || WITHOUT, ...(first('to') ? { to: first('to') } : {}) });

/** What the rule would have told of the stored events, the values that make most of it, and exceptions that lose nothing true. */
function Preview({ id, me }) {
  const [state, setState] = useState({});
  const run = async () => {
    setState({ running: true });
    try {
      setState({ value: await post(`/api/v1/rules/${encodeURIComponent(id)}/preview`, span()) });
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
        <td>${one.is_safe && isEngineer(me) && html`<button type="button" onClick=${() => take(one)}>${t('except.write')}</button>`}</td></tr>`)}</tbody></table>`}`}</section>`;
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
  const check = useMemo(() => async (text) => {
    const answer = await post(`${path}/proposal`, { text });
    setProposal(answer);
    return answer.diagnostics;
  }, [path]);
  const write = () => writeOverlay(name, state).then(({ hash } = {}) => { setState({ ...state, base: hash ?? state.base }); say(t('except.done', { file: name })); }, sayProblem);
  return html`<section><h2>${t('overlay')}</h2><label>${t('except.file')} <input value=${name} pattern="[a-z0-9][a-z0-9\\-]{0,63}" onChange=${(event) => setName(event.currentTarget.value)} /></label>
    <${Editor} text=${state.text} onText=${(text) => setState({ ...state, text })} check=${check} label=${t('overlay')} rows=${8} />
    ${proposal?.diff && html`<h3>${t('except.difference')}</h3><${Diff} text=${proposal.diff} />`}
    ${isEngineer(me) && html`<p><button type="button" class="main" disabled=${!proposal?.valid || !proposal.diff} onClick=${write}>${t('except.write')}</button></p>`}</section>`;
}

/** When it ran, as a strip over time, and what it did not see. */
function Execution({ id }) {
  const state = useGet(`/api/v1/rules/${encodeURIComponent(id)}/execution`, { since: span().from });
  return html`<section><h2>${t('execution')}</h2><${Loaded} state=${state}>${(ran) => {
    const begin = millis(ran.since);
    const whole = Math.max(1, millis(ran.now) - begin);
    const place = (time) => Math.max(0, Math.min(1, (millis(time) - begin) / whole)) * 1000;
    const text = (one) => `${t(`state.${one.state}`)} ${stamp(one.from)} – ${stamp(one.to)}: ${t('execution.records', { count: one.records })}${one.why ? `; ${one.why}` : ''}`;
    return html`<p>${ran.last ? html`${t('execution.last')} <${Time} at=${ran.last} /> · ${t('execution.records', { count: ran.records })}` : t('execution.never')}</p>
      <svg class="strip" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label=${t('execution.strip', { count: ran.spans.length, gaps: ran.gaps.length })}><rect class="unseen" x="0" y="6" width="1000" height="12" />
        ${ran.spans.map((one) => html`<rect class=${`ran ${one.state}`} x=${place(one.from)} y="6" width=${Math.max(1, place(one.to) - place(one.from))} height="12"><title>${plain(text(one))}</title></rect>`)}
        ${ran.gaps.map((gap) => html`<rect class=${`gap ${gap.closed_by.length ? 'closed' : ''}`} x=${place(gap.from)} y="2" width=${Math.max(2, place(gap.to) - place(gap.from))} height="20"><title>${plain(`${t(`gap.${gap.kind}`)} ${stamp(gap.from)} – ${stamp(gap.to)} ${gap.why}`)}</title></rect>`)}</svg>
      <p class="legend"><span><i class="ran-active"></i> ${t('state.active')}</span><span><i class="ran-degraded"></i> ${t('state.degraded')}</span><span><i class="ran-gap"></i> ${t('gap')}</span><span><i></i> ${t('execution.nothing')}</span></p>
      ${ran.gaps.length ? html`<ul class="gaps">${ran.gaps.slice(-20).map((gap) => html`<li class=${gap.open ? 'open' : ''}><strong>${t(`gap.${gap.kind}`)}</strong> <${Time} at=${gap.from} /> – ${gap.open ? t('gap.open') : html`<${Time} at=${gap.to} />`} <${Safe} text=${gap.why} /></li>`)}</ul>` : html`<p>${t('execution.whole')}</p>`}`;
  }}<//></section>`;
}

/** Its tests, run here. */
function Tests({ rule, me, again }) {
  const [state, setState] = useState({});
  const run = async () => {
    setState({ running: true });
    try {
      setState({ ran: await post(`/api/v1/rules/${encodeURIComponent(rule.id)}/tests`) });
      again();
    } catch (error) {
      setState({ problem: error.message });
    }
  };
  const may = isEngineer(me) && rule.tests;
  useKeys([{ key: 'T', text: t('tests.run'), when: () => Boolean(may), run }]);
  const { ran } = state;
  return html`<section id="tests"><h2>${t('rules.tests')}</h2><p>${rule.tests ? t('tests.count', rule.tests) : t('tests.none')}${rule.tested && !ran ? html` · <span class=${rule.tested.failed ? 'problem' : 'holds'}>${t('tests.ran', rule.tested)}</span> <${Time} at=${rule.tested.at} />` : ''}</p>
    ${may && html`<p><button type="button" onClick=${run} disabled=${state.running}>${state.running ? t('loading') : t('tests.run')} <kbd>T</kbd></button></p>`}
    ${state.problem && html`<p class="problem" role="alert">${state.problem}</p>`}
    ${ran && html`<div aria-live="polite"><p class=${ran.failed ? 'problem' : 'holds'}><strong>${t('tests.ran', ran)}</strong>${ran.skipped ? ` ${t('tests.skipped', { count: ran.skipped })}` : ''}</p>${ran.problems.map((text) => html`<p class="problem"><${Safe} text=${text} /></p>`)}<${Cases} cases=${ran.cases} /><p class="file">${ran.files.map((file) => html`<code><${Safe} text=${file} /></code> `)}</p></div>`}</section>`;
}

/** What became of it: by overlays, and by a change of its file. */
function Changes({ id }) {
  const state = useGet(`/api/v1/rules/${encodeURIComponent(id)}/changes`);
  return html`<section><h2>${t('changes')}</h2><${Loaded} state=${state}>${({ overlays, file }) => html`${overlays ? html`<h3>${t('changes.overlays')}</h3><${Diff} text=${overlays} />` : html`<p>${t('changes.none')}</p>`}
    ${file && html`<h3>${t('changes.file')} <${Time} at=${file.at} /></h3><${Diff} text=${file.diff} />`}`}<//></section>`;
}

/** Its alerts over time, and whom they are about most. */
function Noise({ id }) {
  const filter = { rule: id, ...span() };
  const histogram = useGet('/api/v1/alerts/histogram', { ...filter, by: 'severity' });
  const state = useGet('/api/v1/alerts/facets', { ...filter, facet: NOISE, values: 5 });
  return html`<section><h2>${t('noise')}</h2><${Bars} bars=${barsOf(histogram.value)} parts=${[...SEVERITIES].reverse()} label=${t('alerts')} onRange=${chooseSpan} />
    <${Loaded} state=${state}>${({ facets }) => { const shown = NOISE.filter((field) => facets[field]?.length); return shown.length ? html`<table class="noise"><tbody>${shown.map((field) => html`<tr><th scope="row">${field}</th><td>${facets[field].map(({ value, count }) => html`<span class="counted"><${Chip} field=${field} value=${value} /> <a href=${page('alerts', { ...filter, entity: `${field}:${value}` })}>${number(count)}</a></span> `)}</td></tr>`)}</tbody></table>` : html`<p>${t('chart.none')}</p>`; }}<//></section>`;
}

/** The name of a file that was written here; empty for others. */
const ownFile = (file, own) => (own && file.startsWith(`${own.folder}/`) && own.names.includes(file.slice(own.folder.length + 1)) ? file.slice(own.folder.length + 1) : '');

export default function Rule({ me }) {
  const id = idHere();
  const state = useGet(`/api/v1/rules/${encodeURIComponent(id)}`);
  const own = useGet('/api/v1/rule-files');
  const rule = state.value;
  const file = rule ? ownFile(rule.file, own.value) : '';
  const edit = () => openDialog(() => html`<${EditRule} file=${file} />`);
  const turn = () => openDialog(() => html`<${SwitchForm} rules=${[rule]} enabled=${rule.enabled === false} me=${me} onDone=${() => setTimeout(state.again, 2500)} />`);
  const may = () => isEngineer(me) && Boolean(rule);
  useKeys([
    { key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() },
    { key: 'F', text: t('filter.rule'), run: () => go(page('alerts', { rule: id })) },
    { key: 't', text: t('range'), run: () => document.getElementById('range').focus() },
    { key: 'i', text: t('rule.edit'), when: () => may() && Boolean(file), run: edit },
    { key: 'd', text: t('switch.off'), when: () => may() && rule.enabled !== false, run: turn },
    { key: 'e', text: t('switch.on'), when: () => may() && rule.enabled === false, run: turn },
    { key: 'u', text: t('undo'), when: () => Boolean(undoSwitch.value), run: () => undoSwitch.value() },
  ]);
  return html`<${Loaded} state=${state}>${() => html`<article class="rule-page"><header>
      <p class="line"><span class=${`state ${rule.state}`}>${t(`state.${rule.state}`)}</span> ${rule.severity && html`<${Severity} of=${rule.severity} />`} ${rule.language} ${rule.techniques.map((one) => html`<${Technique} id=${one} /> `)}
        <a href=${page('alerts', { rule: id, from: '7d' })}>${t('alerts.count', { count: rule.alerts })}</a> <span>${t('precision')} ${rule.verdicts.precision === null ? '–' : `${Math.round(rule.verdicts.precision * 100)} %`} (${rule.verdicts.true_positive}/${rule.verdicts.benign}/${rule.verdicts.false_positive})</span>
        ${rule.cost && html`<span title=${rule.cost.reasons.join('\n')}>${t('rule.cost', { micros: rule.cost.micros.toFixed(3), bytes: bytes(rule.cost.state_bytes) })}</span>`}</p>
      <h1><${Safe} text=${rule.name || rule.id} /></h1><p class="file"><code><${Safe} text=${rule.file} /></code></p>
      ${rule.reasons.map((reason) => html`<p class="problem"><${Safe} text=${reason} /></p>`)}${rule.cost?.reasons.map((reason) => html`<p class="warn"><${Safe} text=${reason} /></p>`)}
      <p class="actions"><${RangeSelect} without=${WITHOUT} all=${false} />${isEngineer(me) && html`<button type="button" onClick=${turn}>${t(rule.enabled === false ? 'switch.on' : 'switch.off')} <kbd>${rule.enabled === false ? 'e' : 'd'}</kbd></button>${file && html`<button type="button" onClick=${edit}>${t('rule.edit')} <kbd>i</kbd></button>`}`}
        ${rule.query && ['eql', 'kuery', 'lucene'].includes(rule.language) && html`<a class="button" href=${page('hunt', { language: rule.language === 'kuery' ? 'kql' : rule.language, query: rule.query.trim(), from: WITHOUT })}>${t('rule.hunt')}</a>`}</p></header>
    <div class="two"><div>
      <section><h2>${t('rule.source')}</h2><pre class="source" tabindex="0" role="region" aria-label=${t('rule.source')}><${Safe} text=${rule.source || rule.query || ''} most=${30000} /></pre><${Diagnostics} list=${rule.diagnostics} text=${rule.source || ''} /></section>
      <section><h2>${t('rule.plan')}</h2><ul>${(rule.plan || []).map((line) => html`<li><code><${Safe} text=${line} most=${2000} /></code></li>`)}</ul></section>
      <${Changes} id=${id} /><${Overlay} rule=${rule} me=${me} />
    </div><div>
      ${rule.description && html`<section><h2>${t('rule')}</h2><${Markdown} text=${rule.description} /></section>`}
      <${Tests} rule=${rule} me=${me} again=${state.again} /><${Noise} id=${id} /><${Preview} id=${id} me=${me} /><${Execution} id=${id} />
      <${Upkeep} rule=${id} />
      <section><h2>${t('fields')}</h2><table><tbody>${(rule.fields || []).map((field) => html`<tr class=${field.sources.length ? '' : 'none'}><th scope="row">${field.name}</th><td title=${field.sources.join(', ')}>${field.sources.length ? t('fields.sources', { count: field.sources.length }) : t('fields.unfilled')}</td></tr>`)}</tbody></table></section>
      ${rule.note && html`<section><h2>${t('guide')}</h2><${Markdown} text=${rule.note} /></section>`}
      ${rule.false_positives?.length > 0 && html`<section><h2>${t('false_positives')}</h2><ul>${rule.false_positives.map((text) => html`<li><${Safe} text=${text} most=${2000} /></li>`)}</ul></section>`}
      ${rule.references?.length > 0 && html`<section><h2>${t('references')}</h2><ul>${rule.references.map((url) => html`<li>${safeLink(url) ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${plain(url)}</a>` : plain(url)}</li>`)}</ul></section>`}
    </div></div></article>`}<//>`;
}
