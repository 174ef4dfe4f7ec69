// The matrix of ATT&CK: for each technique whether its data comes in, a rule runs, the rule is tested, and it has fired; and a layer of Navigator over it.

import { html, useMemo, useRef, useState } from '../lib/ui.js';
import { all, change, first, toggle } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Loaded, page } from '../lib/parts.js';
import { Safe, Short } from '../lib/safe.js';
import { openDialog, say } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { fromAddress, layerOf, readLayer, toAddress } from '../lib/navigator.js';
import { ViewsForm } from '../lib/views.js';

/** Tactics in the order of ATT&CK's matrix for enterprises. */
const TACTICS = ['reconnaissance', 'resource-development', 'initial-access', 'execution', 'persistence', 'privilege-escalation', 'defense-evasion', 'credential-access', 'discovery', 'lateral-movement', 'collection', 'command-and-control', 'exfiltration', 'impact'];
const PLATFORMS = ['IaaS', 'Containers', 'Identity Provider', 'SaaS', 'Office Suite', 'Linux', 'Windows', 'macOS', 'Network Devices'];
const MARKS = ['source', 'rule', 'tested', 'fired'];

const parentOf = (id) => id.split('.')[0];

/** Which of the four marks a technique has; `live` are the sources whose records came in the last week. */
function marksOf(technique, fired, live) {
  const rules = technique.rules.filter((rule) => rule.state !== 'rejected');
  return {
    source: technique.sources.some((source) => live.has(source)),
    rule: rules.length > 0,
    tested: rules.some((rule) => rule.tests?.[0] > 0),
    fired: (fired?.[technique.id] || 0) > 0,
  };
}

function Cell({ technique, marks, subs, chosen, score, open }) {
  const count = MARKS.filter((mark) => marks[mark]).length;
  const label = `${technique.id} ${technique.name}: ${MARKS.map((mark) => `${t(`coverage.${mark}`)} ${marks[mark] ? '✓' : '✗'}`).join(', ')}${score === undefined ? '' : `, ${t('layer.score.of', { score })}`}`;
  return html`<li><div class="cell-line"><button type="button" class=${`cell marks-${count}${chosen ? ' here' : ''}${score === undefined ? '' : ' laid'}`} aria-pressed=${chosen} onClick=${() => change({ technique: chosen ? '' : technique.id })} aria-label=${label}>
    <span class="id">${technique.id}</span>${score !== undefined && html`<span class="score">${number(score)}</span>`} <span class="name">${technique.name}</span><span class="marks" aria-hidden="true">${MARKS.map((mark) => html`<i class=${marks[mark] ? `on ${mark}` : ''}></i>`)}</span></button>
    ${subs.length > 0 && html`<button type="button" class="quiet subs" aria-expanded=${open} aria-label=${t('coverage.subs', { id: technique.id, count: subs.length })} onClick=${() => toggle('open', technique.id)}>${open ? '▾' : '▸'}<small>${subs.length}</small></button>`}</div>
    ${open && subs.length > 0 && html`<ul>${subs.map((sub) => html`<${Cell} ...${sub} subs=${[]} />`)}</ul>`}</li>`;
}

function Detail({ technique, fired, score }) {
  if (!technique) return html`<aside class="detail"><p>${t('coverage.choose')}</p></aside>`;
  return html`<aside class="detail" aria-live="polite"><h2>${technique.id} ${technique.name}</h2>
    <p><a href=${`https://attack.mitre.org/techniques/${technique.id.replace('.', '/')}/`} target="_blank" rel="noopener noreferrer">attack.mitre.org</a>
      · <a href=${page('alerts', { technique: technique.id, from: '7d' })}>${t('alerts.count', { count: fired?.[technique.id] || 0 })}</a>${score === undefined ? '' : ` · ${t('layer.score.of', { score })}`}</p>
    ${technique.gap && html`<p class="problem">${t(`coverage.gap.${technique.gap}`)}</p>`}
    <h3>${t('page.rules')}</h3>${technique.rules.length ? html`<ul>${technique.rules.map((rule) => html`<li><a href=${page(`rule/${encodeURIComponent(rule.id)}`)}><${Safe} text=${rule.name} /></a> <span class=${`state ${rule.state}`}>${t(`state.${rule.state}`)}</span>
      <div class="help">${rule.tests ? html`<a href=${page(`rule/${encodeURIComponent(rule.id)}`)}>${t('tests.count', { attacks: rule.tests[0], benign: rule.tests[1] })}</a>` : t('tests.none')}</div>
      ${rule.reasons.map((reason) => html`<div class="help"><${Safe} text=${reason} /></div>`)}</li>`)}</ul>` : html`<p>${t('coverage.gap.no-rule')}</p>`}
    ${technique.mitigations.length > 0 && html`<h3>${t('mitigations')}</h3><ul>${technique.mitigations.map(([id, name]) => html`<li><a href=${`https://attack.mitre.org/mitigations/${id}/`} target="_blank" rel="noopener noreferrer">${id}</a> ${name}</li>`)}</ul>`}
    ${technique.sources.length > 0 && html`<h3>${t('page.sources')}</h3><p>${technique.sources.join(', ')}</p>`}
    <h3>${t('platform')}</h3><p>${technique.platforms.join(', ')}</p>
    ${technique.strategies.length > 0 && html`<h3>${t('coverage.strategies')}</h3><p>${technique.strategies.join(', ')}</p>`}</aside>`;
}

function download(name, value) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** What is missing, and why, one technique a line. */
const Gaps = ({ rows }) => html`<section class="gap-list"><h2>${t('coverage.gaps', { count: rows.length })}</h2>${rows.length ? html`<table><thead><tr><th>ATT&CK</th><th>${t('facet.tactic')}</th><th>${t('why')}</th><th>${t('page.rules')}</th></tr></thead><tbody>${rows.map((technique) => html`<tr><th scope="row"><button type="button" class="quiet" onClick=${() => change({ technique: technique.id })}>${technique.id} ${technique.name}</button></th><td>${technique.tactics.map((tactic) => t(`tactic.${tactic}`)).join(', ')}</td>
  <td>${t(`coverage.gap.${technique.gap}`)}${[...new Set(technique.rules.flatMap((rule) => rule.reasons))].slice(0, 3).map((reason) => html`<div class="help"><${Safe} text=${reason} most=${200} /></div>`)}</td><td>${technique.rules.slice(0, 3).map((rule) => html`<div><a href=${page(`rule/${encodeURIComponent(rule.id)}`)}><${Short} text=${rule.name} most=${80} /></a></div>`)}</td></tr>`)}</tbody></table>` : html`<p>${t('coverage.whole')}</p>`}</section>`;

/** The layer that is laid over the matrix: one of the address, or one too large for it. */
function useLayer() {
  const [large, setLarge] = useState(null);
  const [problems, setProblems] = useState([]);
  const input = useRef(null);
  const text = first('layer');
  const layer = useMemo(() => (text ? fromAddress(text) : large), [text, large]);
  const take = async (event) => {
    const file = event.currentTarget.files[0];
    event.currentTarget.value = '';
    if (!file) return;
    const read = readLayer(await file.text());
    setProblems(read.problems.map((problem) => `${file.name}: ${problem}`));
    if (!read.scores.size) return;
    const named = { ...read, name: read.name || file.name };
    const short = toAddress(named);
    setLarge(short ? null : named);
    if (short === null) say(t('layer.page'));
    change({ layer: short || '' });
  };
  const drop = () => { setLarge(null); setProblems([]); change({ layer: '' }); };
  const controls = html`${layer ? html`<button type="button" class="filter" title=${t('filter.remove')} onClick=${drop}>${t('layer')}: <${Short} text=${layer.name} most=${60} /> (${number(layer.scores.size)}) ×</button>` : html`<button type="button" onClick=${() => input.current.click()}>${t('layer.open')}</button>`}
    <input ref=${input} type="file" accept=".json,application/json" class="hidden-file layer-file" tabindex="-1" aria-hidden="true" onChange=${take} />`;
  const told = problems.length > 0 && html`<ul class="problem layer-problems" role="alert">${problems.map((problem) => html`<li><${Safe} text=${problem} most=${300} /></li>`)}</ul>`;
  return { layer, controls, told, open: () => input.current.click() };
}

function Matrix({ matrix, fired, tags }) {
  const status = useGet('/api/v1/status', { since: '7d' });
  // A dataset is of the source that its name begins with, `aws.cloudtrail`; an index names its dataset: `logs-aws.cloudtrail-default`.
  const live = useMemo(() => new Set((status.value?.names || []).map((name) => name.dataset || /^(?:logs|metrics|traces)-(.+)-[^-]+$/.exec(name.index || '')?.[1]).filter(Boolean).flatMap((dataset) => [dataset, dataset.split('.')[0]])), [status.value]);
  const chosen = first('technique');
  const show = first('show');
  const gapsOnly = show === 'gaps';
  const wanted = first('q').toLowerCase();
  const open = all('open');
  const tag = first('tag');
  const laid = useLayer();
  // Of a tag the matrix is as if there were no other rules.
  const techniques = useMemo(() => (tag ? matrix.techniques.map((technique) => {
    const rules = technique.rules.filter((rule) => tags.get(rule.id)?.includes(tag));
    return { ...technique, rules, gap: rules.length ? technique.gap : 'no-rule', sources: [...new Set(rules.flatMap((rule) => rule.sources))] };
  }) : matrix.techniques), [matrix, tag, tags]);
  const marks = (technique) => marksOf(technique, fired, live);
  const columns = useMemo(() => TACTICS.map((tactic) => {
    const inside = techniques.filter((technique) => technique.tactics.includes(tactic) && (!gapsOnly || technique.gap)
      && (!wanted || `${technique.id} ${technique.name}`.toLowerCase().includes(wanted)));
    const of = (technique) => ({ technique, marks: marks(technique), chosen: technique.id === chosen, score: laid.layer?.scores.get(technique.id) });
    const parents = inside.filter((technique) => !technique.id.includes('.'));
    const known = new Set(parents.map((technique) => technique.id));
    const cells = parents.map((technique) => {
      const subs = inside.filter((sub) => sub.id.includes('.') && parentOf(sub.id) === technique.id).map(of);
      // What is chosen or searched for is in sight.
      return { ...of(technique), subs, open: open.includes(technique.id) !== (open.includes('all') || subs.some((sub) => sub.chosen) || (Boolean(wanted) && subs.length > 0)) };
    });
    cells.push(...inside.filter((sub) => sub.id.includes('.') && !known.has(parentOf(sub.id))).map((sub) => ({ ...of(sub), subs: [] })));
    return { tactic, cells };
  }).filter((column) => column.cells.length), [techniques, fired, live, gapsOnly, wanted, chosen, laid.layer, open.join()]);
  const exported = () => download('nephoscope-layer.json', layerOf({ ...matrix, techniques }, fired, marks));
  useKeys([
    { key: '/', text: t('search'), run: () => document.getElementById('search').focus() },
    { key: 'E', text: t('coverage.export'), run: exported },
    { key: 'L', text: t('layer.open'), run: laid.open },
    { key: 'o', text: t('coverage.open'), run: () => change({ open: open.includes('all') ? '' : 'all' }) },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
  ]);
  const gaps = techniques.filter((technique) => technique.gap);
  const names = useMemo(() => [...new Set([...tags.values()].flat())].sort((a, b) => a.localeCompare(b)), [tags]);
  const found = techniques.find((technique) => technique.id === chosen);
  return html`<div class="filters"><input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')} onInput=${(event) => change({ q: event.currentTarget.value }, { replace: true })} />
      <label class="hidden-label"><span>${t('facet.tag')}</span><select value=${tag} onChange=${(event) => change({ tag: event.currentTarget.value })}><option value="">${t('facet.tag')}</option>${names.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      <button type="button" class="filter" aria-pressed=${gapsOnly} onClick=${() => change({ show: gapsOnly ? '' : 'gaps' })}>${t('coverage.gaps', { count: gaps.length })}</button>
      <button type="button" class="filter" aria-pressed=${show === 'list'} onClick=${() => change({ show: show === 'list' ? '' : 'list' })}>${t('coverage.list')}</button>
      <button type="button" class="filter" aria-pressed=${open.includes('all')} onClick=${() => change({ open: open.includes('all') ? '' : 'all' })}>${t('coverage.open')} <kbd>o</kbd></button>
      <button type="button" onClick=${exported}>${t('coverage.export')} <kbd>E</kbd></button>${laid.controls}<button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button>
      <span class="legend">${MARKS.map((mark) => html`<span><i class=${`on ${mark}`}></i> ${t(`coverage.${mark}`)}</span>`)}</span></div>
    <p class="summary" role="status">${t('coverage.summary', { covered: number(techniques.filter((technique) => technique.rules.some((rule) => rule.state !== 'rejected')).length), all: number(techniques.length), version: matrix.attack })}</p>${laid.told}
    <div class="matrix-box">${show === 'list' ? html`<${Gaps} rows=${gaps.filter((technique) => !wanted || `${technique.id} ${technique.name}`.toLowerCase().includes(wanted))} />` : html`<div class="matrix" role="group" aria-label=${t('page.coverage')}>${columns.map(({ tactic, cells }) => html`<section><h3>${t(`tactic.${tactic}`)}</h3><ul>${cells.map((cell) => html`<${Cell} ...${cell} />`)}</ul></section>`)}${!columns.length && html`<p class="empty">${t('coverage.none')}</p>`}</div>`}
    <${Detail} technique=${found} fired=${fired} score=${found && laid.layer?.scores.get(found.id)} /></div>`;
}

export default function Coverage() {
  const platform = all('platform');
  const state = useGet('/api/v1/coverage', platform.length ? { platform } : {});
  const rules = useGet('/api/v1/rules');
  const tags = useMemo(() => new Map((rules.value?.rules || []).map((rule) => [rule.id, rule.tags])), [rules.value]);
  return html`<div class="coverage"><h1 class="hidden-title">${t('page.coverage')}</h1><div class="line" role="group" aria-label=${t('platform')}><button type="button" class="filter" aria-pressed=${!platform.length} onClick=${() => change({ platform: '' })}>${t('platform.usual')}</button>
    ${PLATFORMS.map((name) => html`<button type="button" class="filter" aria-pressed=${platform.includes(name)} onClick=${() => toggle('platform', name)}>${name}</button>`)}</div>
    <${Loaded} state=${state}>${(value) => html`<${Matrix} matrix=${value.matrix} fired=${value.fired} tags=${tags} />`}<//></div>`;
}
