// All rules: whether they run, what they found, and how often that was right.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { change, first, go } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { List, listKeys } from '../lib/list.js';
import { useGet } from '../lib/load.js';
import { Loaded, SEVERITIES, Severity, page } from '../lib/parts.js';
import { Short } from '../lib/safe.js';
import { number, t } from '../lib/text.js';

const SORTS = {
  name: (a, b) => (a.name || a.file).localeCompare(b.name || b.file),
  alerts: (a, b) => b.alerts - a.alerts,
  severity: (a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity),
  precision: (a, b) => (a.verdicts.precision ?? 2) - (b.verdicts.precision ?? 2),
  state: (a, b) => b.state.localeCompare(a.state),
};
const precision = (verdicts) => (verdicts.precision === null || verdicts.precision === undefined ? '–' : `${Math.round(verdicts.precision * 100)} %`);

function Table({ rules }) {
  const [at, setAt] = useState(0);
  const wanted = first('q').toLowerCase();
  const state = first('state');
  const sort = first('sort') || 'alerts';
  const shown = useMemo(() => rules.filter((rule) => (!state || rule.state === state)
    && (!wanted || [rule.name, rule.id, rule.file, rule.language, ...rule.techniques, ...rule.tags, ...rule.sources].join(' ').toLowerCase().includes(wanted))).sort(SORTS[sort]), [rules, wanted, state, sort]);
  useEffect(() => { setAt(0); }, [shown]);
  const open = (index) => shown[index]?.id && go(page(`rule/${encodeURIComponent(shown[index].id)}`));
  useKeys([...listKeys({ t, count: () => shown.length, cursor: () => at, onCursor: setAt, onOpen: open }), { key: '/', text: t('search'), run: () => document.getElementById('search').focus() }]);
  useEffect(() => { document.getElementById('list')?.focus({ preventScroll: true }); }, []);
  const count = (name) => rules.filter((rule) => rule.state === name).length;
  const columns = ['state', 'sev', 'grow', 'lang', 'tech', 'n', 'precision', 'tests', 'missing'];
  return html`<div class="filters"><input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')} onInput=${(event) => change({ q: event.currentTarget.value }, { replace: true })}
      onKeyDown=${(event) => { if (event.key === 'Enter' || event.key === 'Escape') document.getElementById('list').focus(); }} />
    ${['active', 'degraded', 'rejected'].map((name) => html`<button type="button" class="filter" aria-pressed=${state === name} onClick=${() => change({ state: state === name ? '' : name })}>${t(`state.${name}`)} ${number(count(name))}</button>`)}
    <label>${t('sort')} <select value=${sort} onChange=${(event) => change({ sort: event.currentTarget.value })}>${Object.keys(SORTS).map((name) => html`<option value=${name}>${t(`sort.${name}`)}</option>`)}</select></label></div>
  <p class="summary" role="status">${t('rules.count', { count: shown.length })}</p>
  <${List} count=${shown.length} cursor=${at} onCursor=${setAt} onOpen=${open} label=${t('page.rules')} empty=${t('rules.none')} header=${columns.map((name) => html`<span role="columnheader" class=${name}>${t(`rules.${name}`)}</span>`)}
    row=${(index) => { const rule = shown[index]; return html`<span role="gridcell" class=${`state ${rule.state}`} title=${rule.reasons.join('\n')}>${t(`state.${rule.state}`)}</span><span role="gridcell" class="sev">${rule.severity && html`<${Severity} of=${rule.severity} />`}</span>
      <span role="gridcell" class="grow"><a tabindex="-1" href=${page(`rule/${encodeURIComponent(rule.id || '')}`)}><${Short} text=${rule.name || rule.file} most=${160} /></a></span><span role="gridcell" class="lang">${rule.language || ''}</span>
      <span role="gridcell" class="tech">${rule.techniques.at(-1) || ''}</span><span role="gridcell" class="n">${number(rule.alerts)}</span><span role="gridcell" class="precision">${precision(rule.verdicts)}</span>
      <span role="gridcell" class="tests">${rule.tests ? `${rule.tests.attacks}/${rule.tests.benign}` : '–'}</span><span role="gridcell" class="missing" title=${rule.fields_missing.join('\n')}>${rule.fields_missing.length || ''}</span>`; }} />`;
}

export default function Rules() {
  const state = useGet('/api/v1/rules');
  return html`<div class="rules"><h1 class="hidden-title">${t('page.rules')}</h1><${Loaded} state=${state}>${({ rules }) => html`<${Table} rules=${rules} />`}<//></div>`;
}
