// The list of alerts: what happened, to what, how bad, who is on it.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { get } from '../lib/api.js';
import * as store from '../lib/alerts.js';
import { address, all, change, first, go, here } from '../lib/route.js';
import { RangeSelect, chooseSpan, ofNot, takeTyped, turn } from '../lib/filters.js';
import { useKeys } from '../lib/keys.js';
import { List, listKeys } from '../lib/list.js';
import { Bars, barsOf } from '../lib/chart.js';
import { openDialog, say } from '../lib/dialog.js';
import { SEVERITIES, page } from '../lib/parts.js';
import { ColumnsForm, Head, cells, columnsHere, densityHere, mainEntity } from '../lib/columns.js';
import { GROUPS, Groups } from '../lib/groups.js';
import { Short } from '../lib/safe.js';
import { useAgain, useGet } from '../lib/load.js';
import { language, number, t } from '../lib/text.js';
import { AssignForm, CloseForm, NoteForm, TagForm } from '../lib/triage.js';
import { ExceptionForm } from '../lib/exception.js';
import { ViewsForm } from '../lib/views.js';

const FACETS = ['status', 'severity', 'verdict', 'assignee', 'rule', 'technique', 'tactic', 'tag'];

/** The value of a facet as people read it. */
function told(facet, value, names) {
  if (facet === 'status' || facet === 'severity' || facet === 'verdict') return t(`${facet}.${value}`);
  if (facet === 'assignee' && !value) return t('nobody');
  if (facet === 'rule') return names?.get(value) || value;
  return value;
}

let ruleNames = null;
/** Names of rules by id; asked for once. */
function useRuleNames() {
  const [names, setNames] = useState(ruleNames);
  useEffect(() => {
    if (!ruleNames) get('/api/v1/rules').then(({ rules }) => { ruleNames = new Map(rules.map((rule) => [rule.id, rule.name])); setNames(ruleNames); }, () => {});
  }, []);
  return names;
}

function Filters({ names }) {
  const chips = [
    ...store.FILTERS.filter((key) => !['from', 'to', 'q', 'not'].includes(key)).flatMap((key) => all(key).map((value) => [key, value, false])),
    ...all('not').map((text) => [...ofNot(text), true]),
  ];
  return html`<div class="filters">
    <input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')}
      onInput=${(event) => { const text = event.currentTarget.value; clearTimeout(Filters.timer); Filters.timer = setTimeout(() => change({ q: text }, { replace: true }), 200); }}
      title=${t('search.hint')} onKeyDown=${(event) => { if (event.key === 'Enter') { clearTimeout(Filters.timer); takeTyped(event.currentTarget.value); } if (event.key === 'Enter' || event.key === 'Escape') document.getElementById('list')?.focus(); }} />
    <${RangeSelect} />
    ${chips.map(([key, value, exclude]) => html`<button type="button" class=${`filter${exclude ? ' not' : ''}`} onClick=${(event) => turn(key, value, { exclude: event.shiftKey !== exclude })} title=${t(exclude ? 'filter.remove' : 'filter.remove.hint')}>${t(`facet.${key}`)}${exclude ? html` <span role="img" aria-label=${t('filter.not')}>≠</span>` : ':'} <${Short} text=${told(key, value, names)} most=${60} /> ×</button>`)}
    ${chips.length > 0 && html`<button type="button" class="quiet" onClick=${() => go(page('alerts'))}>${t('filter.none')}</button>`}
    <span class="fill"></span>
    <label>${t('group')} <select value=${first('group')} onChange=${(event) => change({ group: event.currentTarget.value })}><option value="">${t('group.none')}</option>
      ${GROUPS.map((facet) => html`<option value=${facet}>${t(`facet.${facet}`)}</option>`)}</select></label>
    <button type="button" onClick=${() => openDialog(ColumnsForm)}>${t('columns')}</button>
    <button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button>
  </div>`;
}

function FacetPanel({ names }) {
  const state = useGet('/api/v1/alerts/facets', { ...store.filterHere(), facet: FACETS, values: 8 });
  useAgain(state.again, store.changes.value, 800);
  const facets = state.value?.facets || {};
  return html`<aside class="facets" aria-label=${t('facets')}>${FACETS.filter((facet) => facets[facet]?.length).map((facet) => html`<section><h3>${t(`facet.${facet}`)}</h3><ul>
    ${facets[facet].map(({ value, count }) => html`<li><button type="button" aria-pressed=${all(facet).includes(value)} title=${t('filter.shift')} onClick=${(event) => turn(facet, value, { exclude: event.shiftKey })}><${Short} text=${told(facet, value, names)} most=${48} /><span class="count">${number(count)}</span></button></li>`)}
  </ul></section>`)}</aside>`;
}

function Row({ alert, columns }) {
  const isMarked = store.marked.value === 'all' || store.marked.value.has(alert.id);
  return html`<span role="gridcell" class="mark"><input type="checkbox" tabindex="-1" checked=${isMarked} aria-label=${t('mark')} onClick=${(event) => { event.stopPropagation(); mark(alert.id); }} /></span>${cells(alert, columns)}`;
}

function mark(id) {
  const set = new Set(store.marked.value === 'all' ? [] : store.marked.value);
  if (!set.delete(id)) set.add(id);
  store.marked.value = set;
}

const under = () => store.rows.value[store.cursor.value];
const openAlert = (alert) => alert && go(page(`alert/${alert.id}`));

/**
 * The keys of working on alerts. `alert` gives the one that a page is about, without it that under the cursor of the list; `target` what is
 * worked on, where that is another.
 */
export function triageKeys({ me, alert, target: given }) {
  const single = () => (alert ? alert() : under());
  const target = () => (given ? given() : store.chosen(alert?.()));
  const some = () => Boolean(target());
  const one = () => Boolean(single());
  return [
    { key: 'a', text: t('do.acknowledge'), when: some, run: () => store.act([{ type: 'acknowledge' }, { type: 'assign', assignee: me.name }], target()) },
    { key: 'c', text: t('do.close'), when: some, run: () => openDialog(() => html`<${CloseForm} target=${target()} />`) },
    { key: 'o', text: t('do.open'), when: some, run: () => store.act({ type: 'open' }, target()) },
    { key: 'n', text: t('do.note'), when: some, run: () => openDialog(() => html`<${NoteForm} target=${target()} />`) },
    { key: 'A', text: t('do.assign'), when: some, run: () => openDialog(() => html`<${AssignForm} target=${target()} me=${me} />`) },
    { key: 'l', text: t('do.tag'), when: some, run: () => openDialog(() => html`<${TagForm} target=${target()} />`) },
    { key: 'e', text: t('do.except'), when: one, run: () => { const { id } = single(); openDialog(() => html`<${ExceptionForm} id=${id} me=${me} />`); } },
    { key: 's', text: t('do.snooze'), when: one, run: () => { const { id } = single(); openDialog(() => html`<${ExceptionForm} id=${id} me=${me} days=${7} />`); } },
  ];
}

function Histogram() {
  const filter = store.filterHere();
  const state = useGet('/api/v1/alerts/histogram', { ...filter, by: 'severity' });
  useAgain(state.again, store.changes.value, 1500);
  const bars = useMemo(() => barsOf(state.value), [state.value]);
  return html`<${Bars} bars=${bars} parts=${[...SEVERITIES].reverse()} label=${t('alerts')} onRange=${chooseSpan} />`;
}

/** How many there are, how many are marked, and what waits. */
function Summary() {
  const count = store.marked.value === 'all' ? store.total.value : store.marked.value.size;
  return html`<p class="summary" role="status">${store.problem.value ? html`<span class="problem">${store.problem.value}</span>` : store.total.value === null ? t('loading') : t('alerts.count', { count: store.total.value })}
    ${count ? html` · <strong>${t('mark.count', { count })}</strong>` : ''} ${store.waiting.value ? html`<button type="button" onClick=${store.resume}>${t('live.waiting', { count: store.waiting.value })}</button>` : ''}</p>`;
}

/** The alerts one by one. */
function Rows({ me }) {
  const rows = store.rows.value;
  const columns = columnsHere();
  const toEnd = async () => { await store.loadUntil((store.total.value ?? rows.length) - 1); store.cursor.value = Math.max(0, store.rows.value.length - 1); };
  const move = listKeys({ t, count: () => store.rows.value.length, cursor: () => store.cursor.value, onCursor: (index) => { store.cursor.value = index; }, onOpen: () => openAlert(under()) });
  useKeys([
    ...move.map((action) => ([].concat(action.key).includes('End') ? { ...action, run: toEnd } : action)),
    { key: 'x', text: t('mark'), when: () => Boolean(under()), run: () => { mark(under().id); } },
    { key: 'X', text: t('mark.all'), run: () => { store.marked.value = store.marked.value === 'all' ? new Set() : 'all'; } },
    { key: 'Escape', text: t('mark.none'), run: () => { store.marked.value = new Set(); } },
    ...triageKeys({ me }),
    { key: 'f', text: t('filter.in'), when: () => Boolean(under()), run: () => { const entity = mainEntity(under()); if (entity) turn('entity', `${entity.field}:${entity.value}`); } },
    { key: 'd', text: t('filter.out'), when: () => Boolean(under()), run: () => { const entity = mainEntity(under()); if (entity) turn('entity', `${entity.field}:${entity.value}`, { exclude: true }); } },
    { key: 'F', text: t('filter.rule'), when: () => Boolean(under()), run: () => turn('rule', under().rule_id) },
    { key: 'D', text: t('filter.rule.out'), when: () => Boolean(under()), run: () => turn('rule', under().rule_id, { exclude: true }) },
  ]);
  return html`<${Summary} /><${List} count=${rows.length} total=${store.total.value} cursor=${store.cursor.value} onCursor=${(index) => { store.cursor.value = index; }} density=${densityHere()}
    onOpen=${(index) => openAlert(rows[index])} onEnd=${store.loadMore} label=${t('alerts')} empty=${store.loading.value ? t('loading') : html`${t('alerts.none')} ${Object.keys(store.filterHere()).length ? html`<a href=${page('alerts')}>${t('filter.none')}</a>` : html`<a href=${page('sources')}>${t('alerts.none.send')}</a>`}`}
    header=${html`<${Head} columns=${columns} />`} row=${(index) => html`<${Row} alert=${rows[index]} columns=${columns} />`} />`;
}

export default function Alerts({ me }) {
  const names = useRuleNames();
  const group = first('group');
  const by = GROUPS.includes(group) ? group : '';
  // While the page that follows is fetched this one stands, and the address is the other's already: its list is not for that filter.
  const [own] = useState(here.value.path);
  useEffect(() => { if (here.value.path === own) store.load(); }, [here.value]);
  useEffect(() => { document.getElementById('list')?.focus({ preventScroll: true }); }, [by]);
  useKeys([
    { key: '/', text: t('search'), run: () => document.getElementById('search').focus() },
    { key: 't', text: t('range'), run: () => document.getElementById('range').focus() },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
    { key: 'C', text: t('columns'), run: () => openDialog(ColumnsForm) },
    { key: 'E', text: t('do.export'), run: () => { location.href = address('/api/v1/alerts/export', store.filterHere()); say(t('export.begun')); } },
    ...GROUPS.map((name) => ({ key: name === 'incident' ? 'I' : [], text: `${t('group')}: ${t(`facet.${name}`)}`, run: () => change({ group: by === name ? '' : name }) })),
  ]);
  const told_ = useMemo(() => (facet, value) => told(facet, value, names), [names, language.value]);
  const keys = (target) => triageKeys({ me, target, alert: () => null });
  return html`<div class="alerts">
    <${Filters} names=${names} /><${Histogram} />
    <div class="columns"><${FacetPanel} names=${names} />
    <section class="main" aria-label=${t('alerts')}>${by ? html`<${Groups} by=${by} told=${told_} keys=${keys} density=${densityHere()} />` : html`<${Rows} me=${me} />`}</section></div></div>`;
}
