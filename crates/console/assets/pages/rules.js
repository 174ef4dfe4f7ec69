// All rules: whether they run, what they cost and found, how often that was right, and whether their tests pass. Many are tested and switched at once.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { post } from '../lib/api.js';
import { change, first, go } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { List, listKeys } from '../lib/list.js';
import { useGet } from '../lib/load.js';
import { Loaded, SEVERITIES, Severity, Time, page } from '../lib/parts.js';
import { Safe, Short } from '../lib/safe.js';
import { openDialog, say, sayProblem } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { shortStamp, stamp } from '../lib/time.js';
import { SwitchForm, undoSwitch } from '../lib/switches.js';
import { ViewsForm } from '../lib/views.js';

const at = (time) => (time ? new Date(time).getTime() : 0);
const failures = (rule) => rule.tested?.failed ?? -1;
/** How two rules stand to each other; the first of a column is what one looks for. */
const SORTS = {
  state: (a, b) => b.state.localeCompare(a.state),
  severity: (a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity),
  name: (a, b) => (a.name || a.file).localeCompare(b.name || b.file),
  language: (a, b) => (a.language || '').localeCompare(b.language || ''),
  technique: (a, b) => (a.techniques.at(-1) || '~').localeCompare(b.techniques.at(-1) || '~'),
  alerts: (a, b) => b.alerts - a.alerts,
  precision: (a, b) => (a.verdicts.precision ?? 2) - (b.verdicts.precision ?? 2),
  tests: (a, b) => failures(b) - failures(a) || (a.tests ? 1 : 0) - (b.tests ? 1 : 0),
  cost: (a, b) => (b.cost?.micros ?? -1) - (a.cost?.micros ?? -1),
  memory: (a, b) => (b.cost?.state_bytes ?? -1) - (a.cost?.state_bytes ?? -1),
  evaluated: (a, b) => at(a.last_evaluated) - at(b.last_evaluated),
  missing: (a, b) => b.fields_missing.length - a.fields_missing.length,
};
/** The columns: the class of their cells, and what they sort by. */
const COLUMNS = [['mark'], ['state', 'state'], ['sev', 'severity'], ['grow', 'name'], ['lang', 'language'], ['tech', 'technique'], ['n', 'alerts'], ['precision', 'precision'], ['tests', 'tests'], ['cost', 'cost'], ['memory', 'memory'], ['last', 'evaluated'], ['missing', 'missing']];
const precision = (verdicts) => (verdicts.precision === null || verdicts.precision === undefined ? '–' : `${Math.round(verdicts.precision * 100)} %`);
const micros = (cost) => (cost ? `${cost.micros < 0.01 ? '<0.01' : cost.micros.toFixed(cost.micros < 10 ? 2 : 0)} µs` : '–');
export const bytes = (count) => (count < 1024 ? `${count} B` : count < 1 << 20 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / (1 << 20)).toFixed(1)} MiB`);

function Tests({ rule }) {
  if (!rule.tests) return '–';
  const { tested } = rule;
  const counts = `${rule.tests.attacks}/${rule.tests.benign}`;
  if (!tested) return html`<span title=${t('tests.count', rule.tests)}>${counts}</span>`;
  return html`<span class=${tested.failed ? 'problem' : 'holds'} title=${`${t('tests.ran', tested)} · ${stamp(tested.at)}`}>${tested.failed ? '✗' : '✓'} ${counts}</span>`;
}

function Row({ rule, marked, onMark }) {
  return html`<span role="gridcell" class="mark"><input type="checkbox" tabindex="-1" checked=${marked} aria-label=${t('mark')} onClick=${(event) => { event.stopPropagation(); onMark(); }} /></span>
    <span role="gridcell" class=${`state ${rule.state}`} title=${rule.reasons.join('\n')}>${t(`state.${rule.state}`)}</span><span role="gridcell" class="sev">${rule.severity && html`<${Severity} of=${rule.severity} />`}</span>
    <span role="gridcell" class="grow"><a tabindex="-1" href=${page(`rule/${encodeURIComponent(rule.id || '')}`)}><${Short} text=${rule.name || rule.file} most=${160} /></a></span><span role="gridcell" class="lang">${rule.language || ''}</span>
    <span role="gridcell" class="tech">${rule.techniques.at(-1) || ''}</span><span role="gridcell" class="n"><a tabindex="-1" href=${page('alerts', { rule: rule.id, from: '7d' })}>${number(rule.alerts)}</a></span><span role="gridcell" class="precision">${precision(rule.verdicts)}</span>
    <span role="gridcell" class="tests"><${Tests} rule=${rule} /></span><span role="gridcell" class="cost" title=${rule.cost?.reasons.join('\n')}>${micros(rule.cost)}</span><span role="gridcell" class="memory">${rule.cost ? bytes(rule.cost.state_bytes) : '–'}</span>
    <span role="gridcell" class="last" title=${rule.last_evaluated ? stamp(rule.last_evaluated) : undefined}>${rule.last_evaluated ? shortStamp(rule.last_evaluated).slice(0, -3) : '–'}</span><span role="gridcell" class="missing" title=${rule.fields_missing.join('\n')}>${rule.fields_missing.length || ''}</span>`;
}

/** A choice of one value that rules have, kept in the address. */
function Choice({ name, values }) {
  return html`<label class="hidden-label"><span>${t(`rules.filter.${name}`)}</span><select value=${first(name)} onChange=${(event) => change({ [name]: event.currentTarget.value })}><option value="">${t(`rules.filter.${name}`)}</option>
    ${values.map(([value, count]) => html`<option value=${value}>${value} (${number(count)})</option>`)}</select></label>`;
}

const counted = (rules, of) => {
  const counts = new Map();
  for (const rule of rules) for (const value of [].concat(of(rule) ?? [])) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((a, b) => a[0].localeCompare(b[0]));
};

/** Runs tests one rule after another, and says how far it is. */
function useTests(again) {
  const [done, setDone] = useState(null);
  const run = async (rules) => {
    const wanted = rules.filter((rule) => rule.tests);
    if (!wanted.length) {
      say(t('tests.none'));
      return;
    }
    let [passed, failed] = [0, 0];
    try {
      for (const [place, rule] of wanted.entries()) {
        setDone({ done: place, all: wanted.length });
        const ran = await post(`/api/v1/rules/${encodeURIComponent(rule.id)}/tests`);
        passed += ran.passed;
        failed += ran.failed;
      }
      say(t('tests.ran', { passed, failed }), { kind: failed ? 'error' : 'info' });
    } catch (error) {
      sayProblem(error);
    }
    setDone(null);
    again();
  };
  return [done, run];
}

function Table({ rules, again, me }) {
  const [cursor, setCursor] = useState(0);
  const [marked, setMarked] = useState(new Set());
  const [measuring, setMeasuring] = useState(false);
  const [testing, runTests] = useTests(again);
  const mayWrite = ['engineer', 'admin'].includes(me.role);
  const wanted = first('q').toLowerCase();
  const sort = first('sort') || 'alerts';
  const turned = first('turned') === 'true';
  const chosen = Object.fromEntries(['state', 'language', 'source', 'tag', 'tested'].map((name) => [name, first(name)]));
  const shown = useMemo(() => {
    const found = rules.filter((rule) => (!chosen.state || (chosen.state === 'off' ? rule.enabled === false : rule.state === chosen.state))
      && (!chosen.language || rule.language === chosen.language) && (!chosen.source || rule.sources.includes(chosen.source)) && (!chosen.tag || rule.tags.includes(chosen.tag))
      && (!chosen.tested || { failed: failures(rule) > 0, passed: failures(rule) === 0, none: !rule.tests, untested: rule.tests && !rule.tested }[chosen.tested])
      && (!wanted || [rule.name, rule.id, rule.file, rule.language, ...rule.techniques, ...rule.tags, ...rule.sources].join(' ').toLowerCase().includes(wanted))).sort(SORTS[sort] || SORTS.alerts);
    return turned ? found.reverse() : found;
  }, [rules, wanted, sort, turned, ...Object.values(chosen)]);
  useEffect(() => { setCursor(0); }, [wanted, sort, turned, ...Object.values(chosen)]);
  useEffect(() => { document.getElementById('list')?.focus({ preventScroll: true }); }, []);
  const key = (rule) => rule.id || rule.file;
  const mark = (rule) => {
    const next = new Set(marked);
    if (!next.delete(key(rule))) next.add(key(rule));
    setMarked(next);
  };
  const selected = () => (marked.size ? shown.filter((rule) => marked.has(key(rule))) : [shown[cursor]].filter(Boolean)).filter((rule) => rule.id);
  // The rules are read again about a second behind the file.
  const later = () => { setMarked(new Set()); setTimeout(again, 2500); };
  const turn = (enabled) => {
    const list = selected();
    if (list.length) openDialog(() => html`<${SwitchForm} rules=${list} enabled=${enabled} me=${me} onDone=${later} />`);
  };
  const measure = async () => {
    setMeasuring(true);
    try {
      const costs = await post('/api/v1/costs', {});
      say(t('costs.done', { count: costs.events, events: costs.events }));
      again();
    } catch (error) {
      sayProblem(error);
    }
    setMeasuring(false);
  };
  const open = (index) => shown[index]?.id && go(page(`rule/${encodeURIComponent(shown[index].id)}`));
  const some = () => mayWrite && shown.length > 0;
  useKeys([
    ...listKeys({ t, count: () => shown.length, cursor: () => cursor, onCursor: setCursor, onOpen: open }),
    { key: '/', text: t('search'), run: () => document.getElementById('search').focus() },
    { key: 'x', text: t('mark'), when: () => shown.length > 0, run: () => mark(shown[cursor]) },
    { key: 'X', text: t('mark.all'), run: () => setMarked(marked.size === shown.length ? new Set() : new Set(shown.map(key))) },
    { key: 'Escape', text: t('mark.none'), run: () => setMarked(new Set()) },
    { key: 'd', text: t('switch.off'), when: some, run: () => turn(false) },
    { key: 'e', text: t('switch.on'), when: some, run: () => turn(true) },
    { key: 'T', text: t('tests.run'), when: some, run: () => runTests(selected()) },
    { key: 'C', text: t('costs.measure'), when: () => mayWrite && !measuring, run: measure },
    { key: 'u', text: t('undo'), when: () => Boolean(undoSwitch.value), run: () => undoSwitch.value() },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
  ]);
  const count = (name) => rules.filter((rule) => (name === 'off' ? rule.enabled === false : rule.state === name)).length;
  const sortBy = (name) => change(sort === name ? { turned: turned ? '' : 'true' } : { sort: name, turned: '' });
  return html`<div class="filters"><input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')} onInput=${(event) => change({ q: event.currentTarget.value }, { replace: true })}
      onKeyDown=${(event) => { if (event.key === 'Enter' || event.key === 'Escape') document.getElementById('list').focus(); }} />
    ${['active', 'degraded', 'rejected', 'off'].map((name) => html`<button type="button" class="filter" aria-pressed=${chosen.state === name} onClick=${() => change({ state: chosen.state === name ? '' : name })}>${t(`state.${name}`)} ${number(count(name))}</button>`)}
    <${Choice} name="language" values=${counted(rules, (rule) => rule.language)} /><${Choice} name="source" values=${counted(rules, (rule) => rule.sources)} /><${Choice} name="tag" values=${counted(rules, (rule) => rule.tags)} />
    <label class="hidden-label"><span>${t('rules.tests')}</span><select value=${chosen.tested} onChange=${(event) => change({ tested: event.currentTarget.value })}><option value="">${t('rules.tests')}</option>${['failed', 'passed', 'untested', 'none'].map((name) => html`<option value=${name}>${t(`tests.are.${name}`)}</option>`)}</select></label>
    <button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button></div>
  <div class="line"><p class="summary" role="status">${testing ? t('tests.running', testing) : measuring ? t('costs.measuring') : t('rules.count', { count: shown.length })}${marked.size ? html` · <strong>${t('mark.count', { count: marked.size })}</strong>` : ''}</p>
    ${mayWrite && html`<button type="button" disabled=${!shown.length} onClick=${() => turn(false)}>${t('switch.off')} <kbd>d</kbd></button><button type="button" disabled=${!shown.length} onClick=${() => turn(true)}>${t('switch.on')} <kbd>e</kbd></button>
      <button type="button" disabled=${Boolean(testing)} onClick=${() => runTests(selected())}>${t('tests.run')} <kbd>T</kbd></button><button type="button" disabled=${measuring} onClick=${measure}>${t('costs.measure')} <kbd>C</kbd></button>`}<a href=${page('rules', { show: 'overlays' })}>${t('overlays.lists')}</a></div>
  <${List} count=${shown.length} cursor=${cursor} onCursor=${setCursor} onOpen=${open} label=${t('page.rules')} empty=${html`${t('rules.none')} <a href=${page('rules')}>${t('filter.none')}</a>`}
    header=${COLUMNS.map(([name, by]) => html`<span role="columnheader" class=${name} aria-sort=${sort === by ? (turned ? 'descending' : 'ascending') : undefined}>${by ? html`<button type="button" class="quiet" onClick=${() => sortBy(by)} title=${t(`rules.${name}`)}>${t(`rules.${name}`)}${sort === by ? (turned ? ' ▴' : ' ▾') : ''}</button>` : ''}</span>`)}
    row=${(index) => html`<${Row} rule=${shown[index]} marked=${marked.has(key(shown[index]))} onMark=${() => mark(shown[index])} />`} />`;
}

/** Who answers for overlays and lists, and until when. */
export function Upkeep({ rule }) {
  const overlays = useGet('/api/v1/overlays');
  const lists = useGet('/api/v1/lists');
  const until = ({ expires, is_expired: over }) => (expires ? html`<span class=${over ? 'problem' : ''}><${Time} at=${expires} />${over ? ` ${t('expired')}` : ''}</span>` : '–');
  return html`<${Loaded} state=${overlays}>${({ overlays: all }) => {
    const shown = all.filter((one) => !rule || one.rules.includes(rule));
    return html`<section><h2>${t('overlays')}</h2>${shown.length ? html`<table><thead><tr>${['views.name', 'owner', 'reason', 'except.expires', 'page.rules', 'except.file'].map((name) => html`<th>${t(name)}</th>`)}</tr></thead><tbody>${shown.map((one) => html`<tr class=${one.has_problems ? 'warned' : ''}><th scope="row"><${Safe} text=${one.name} most=${200} />${one.has_problems ? html` <strong class="warn">${t('overlay.problems')}</strong>` : ''}</th><td><${Safe} text=${one.owner || '–'} most=${100} /></td><td><${Safe} text=${one.reason || '–'} most=${300} /></td><td>${until(one)}</td><td class="n">${number(one.rules.length)}</td><td><code><${Safe} text=${one.file.split('/').slice(-2).join('/')} most=${120} /></code></td></tr>`)}</tbody></table>` : html`<p>${t('overlays.none')}</p>`}</section>`;
  }}<//>
  ${!rule && html`<${Loaded} state=${lists}>${({ lists: all }) => html`<section><h2>${t('lists')}</h2>${all.length ? html`<table><thead><tr>${['views.name', 'owner', 'lists.entries', 'except.expires', 'except.file'].map((name) => html`<th>${t(name)}</th>`)}</tr></thead><tbody>${all.map((one) => html`<tr><th scope="row"><${Safe} text=${one.name} most=${120} /> <small>${one.type}</small>${one.description && html`<div class="help"><${Safe} text=${one.description} most=${300} /></div>`}</th><td><${Safe} text=${one.owner || '–'} most=${100} /></td><td>${number(one.entries)}${one.expired_entries ? html` <span class="warn">${t('lists.expired', { count: one.expired_entries })}</span>` : ''}</td><td>${until(one)}</td><td><code><${Safe} text=${one.file.split('/').slice(-2).join('/')} most=${120} /></code></td></tr>`)}</tbody></table>` : html`<p>${t('lists.none')}</p>`}</section>`}<//>`}`;
}

export default function Rules({ me }) {
  const state = useGet('/api/v1/rules');
  if (first('show') === 'overlays') return html`<div class="upkeep"><h1>${t('overlays.lists')}</h1><p><a href=${page('rules')}>${t('page.rules')}</a></p><${Upkeep} /></div>`;
  return html`<div class="rules"><h1 class="hidden-title">${t('page.rules')}</h1><${Loaded} state=${state}>${({ rules }) => html`<${Table} rules=${rules} again=${state.again} me=${me} />`}<//></div>`;
}
