// The matrix of ATT&CK: for each technique whether its data comes in, a rule runs, the rule is tested, and it has fired.

import { html, useMemo } from '../lib/ui.js';
import { change, first } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Loaded, page } from '../lib/parts.js';
import { Safe } from '../lib/safe.js';
import { number, t } from '../lib/text.js';

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

function Cell({ technique, marks, subs, chosen }) {
  const count = MARKS.filter((mark) => marks[mark]).length;
  return html`<li><button type="button" class=${`cell marks-${count}${chosen ? ' here' : ''}`} aria-pressed=${chosen} onClick=${() => change({ technique: chosen ? '' : technique.id })}
    aria-label=${`${technique.id} ${technique.name}: ${MARKS.map((mark) => `${t(`coverage.${mark}`)} ${marks[mark] ? '✓' : '✗'}`).join(', ')}`}>
    <span class="id">${technique.id}</span> <span class="name">${technique.name}</span><span class="marks" aria-hidden="true">${MARKS.map((mark) => html`<i class=${marks[mark] ? `on ${mark}` : ''}></i>`)}</span></button>
    ${subs.length > 0 && html`<ul>${subs.map((sub) => html`<${Cell} ...${sub} subs=${[]} />`)}</ul>`}</li>`;
}

function Detail({ technique, fired }) {
  if (!technique) return html`<aside class="detail"><p>${t('coverage.choose')}</p></aside>`;
  return html`<aside class="detail" aria-live="polite"><h2>${technique.id} ${technique.name}</h2>
    <p><a href=${`https://attack.mitre.org/techniques/${technique.id.replace('.', '/')}/`} target="_blank" rel="noopener noreferrer">attack.mitre.org</a>
      · <a href=${page('alerts', { technique: technique.id })}>${t('alerts.count', { count: fired?.[technique.id] || 0 })}</a></p>
    ${technique.gap && html`<p class="problem">${t(`coverage.gap.${technique.gap}`)}</p>`}
    <h3>${t('page.rules')}</h3>${technique.rules.length ? html`<ul>${technique.rules.map((rule) => html`<li><a href=${page(`rule/${encodeURIComponent(rule.id)}`)}><${Safe} text=${rule.name} /></a> <span class=${`state ${rule.state}`}>${t(`state.${rule.state}`)}</span>
      ${rule.reasons.map((reason) => html`<div class="help"><${Safe} text=${reason} /></div>`)}</li>`)}</ul>` : html`<p>${t('coverage.gap.no-rule')}</p>`}
    ${technique.sources.length > 0 && html`<h3>${t('page.sources')}</h3><p>${technique.sources.join(', ')}</p>`}
    ${technique.strategies.length > 0 && html`<h3>${t('coverage.strategies')}</h3><p>${technique.strategies.join(', ')}</p>`}</aside>`;
}

/** The layer for ATT&CK Navigator (format 4.5). */
function layer(matrix, fired) {
  return { name: 'Nephoscope', versions: { layer: '4.5', attack: matrix.attack.split('.')[0], navigator: '5.1.0' }, domain: 'enterprise-attack',
    techniques: matrix.techniques.filter((technique) => technique.rules.length).map((technique) => ({ techniqueID: technique.id, score: technique.rules.length, comment: `${technique.rules.map((rule) => rule.name).join('; ')}${fired?.[technique.id] ? `; ${fired[technique.id]} alerts` : ''}` })),
    gradient: { colors: ['#d6eaff', '#1f6fb2'], minValue: 1, maxValue: 5 } };
}

function download(name, value) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function Matrix({ matrix, fired }) {
  const status = useGet('/api/v1/status', { since: '7d' });
  // A dataset is of the source that its name begins with: `aws.cloudtrail`.
  const live = useMemo(() => new Set((status.value?.names || []).filter((name) => name.dataset).flatMap((name) => [name.dataset, name.dataset.split('.')[0]])), [status.value]);
  const chosen = first('technique');
  const gapsOnly = first('show') === 'gaps';
  const wanted = first('q').toLowerCase();
  const columns = useMemo(() => TACTICS.map((tactic) => {
    const inside = matrix.techniques.filter((technique) => technique.tactics.includes(tactic) && (!gapsOnly || technique.gap)
      && (!wanted || `${technique.id} ${technique.name}`.toLowerCase().includes(wanted)));
    const of = (technique) => ({ technique, marks: marksOf(technique, fired, live), chosen: technique.id === chosen });
    const parents = inside.filter((technique) => !technique.id.includes('.'));
    const known = new Set(parents.map((technique) => technique.id));
    const cells = parents.map((technique) => ({ ...of(technique), subs: inside.filter((sub) => sub.id.includes('.') && parentOf(sub.id) === technique.id).map(of) }));
    cells.push(...inside.filter((sub) => sub.id.includes('.') && !known.has(parentOf(sub.id))).map((sub) => ({ ...of(sub), subs: [] })));
    return { tactic, cells };
  }).filter((column) => column.cells.length), [matrix, fired, live, gapsOnly, wanted, chosen]);
  useKeys([{ key: '/', text: t('search'), run: () => document.getElementById('search').focus() }, { key: 'E', text: t('coverage.export'), run: () => download('nephoscope-layer.json', layer(matrix, fired)) }]);
  const gaps = matrix.techniques.filter((technique) => technique.gap);
  return html`<div class="filters"><input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')} onInput=${(event) => change({ q: event.currentTarget.value }, { replace: true })} />
      <button type="button" class="filter" aria-pressed=${gapsOnly} onClick=${() => change({ show: gapsOnly ? '' : 'gaps' })}>${t('coverage.gaps', { count: gaps.length })}</button>
      <button type="button" onClick=${() => download('nephoscope-layer.json', layer(matrix, fired))}>${t('coverage.export')}</button>
      <span class="legend">${MARKS.map((mark) => html`<span><i class=${`on ${mark}`}></i> ${t(`coverage.${mark}`)}</span>`)}</span></div>
    <p class="summary">${t('coverage.summary', { covered: number(matrix.techniques.length - gaps.length), all: number(matrix.techniques.length), version: matrix.attack })}</p>
    <div class="matrix-box"><div class="matrix">${columns.map(({ tactic, cells }) => html`<section><h3>${t(`tactic.${tactic}`)}</h3><ul>${cells.map((cell) => html`<${Cell} ...${cell} />`)}</ul></section>`)}</div>
    <${Detail} technique=${matrix.techniques.find((technique) => technique.id === chosen)} fired=${fired} /></div>`;
}

export default function Coverage() {
  const platform = first('platform');
  const state = useGet('/api/v1/coverage', platform ? { platform } : {});
  return html`<div class="coverage"><h1 class="hidden-title">${t('page.coverage')}</h1><label>${t('platform')} <select value=${platform} onChange=${(event) => change({ platform: event.currentTarget.value })}><option value="">${t('platform.usual')}</option>
    ${PLATFORMS.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
    <${Loaded} state=${state}>${(value) => html`<${Matrix} matrix=${value.matrix} fired=${value.fired} />`}<//></div>`;
}
