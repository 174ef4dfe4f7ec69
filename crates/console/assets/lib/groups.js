// The list of alerts by what they have in common: a rule, a technique, an entity, an incident. What is done is done with all alerts of the
// groups that are marked.

import { html, useEffect, useMemo, useState } from './ui.js';
import * as store from './alerts.js';
import { change, go } from './route.js';
import { useKeys } from './keys.js';
import { List, listKeys } from './list.js';
import { useAgain, useGet } from './load.js';
import { Severity, Time, page } from './parts.js';
import { Short } from './safe.js';
import { number, t } from './text.js';

export const GROUPS = ['incident', 'entity', 'rule', 'technique', 'tactic', 'assignee', 'severity', 'tag'];
/** Fields whose values are entities to group by. */
const ENTITIES = ['host.name', 'container.name', 'kubernetes.pod.name', 'orchestrator.resource.name', 'cloud.instance.id', 'user.name', 'user.email', 'source.ip'];

/** The groups of what the URL asks for: `{ key, count, cells, open, target }`. */
function groupsOf(by, value, told) {
  if (!value) return [];
  const filter = store.filterHere();
  if (by === 'incident') {
    return (value.incidents || []).map((one) => ({
      key: one.id, count: one.alerts, incident: one, target: { incident: one.id }, open: () => go(page(`incident/${encodeURIComponent(one.id)}`)),
    }));
  }
  const facets = Object.entries(value.facets || {}).flatMap(([facet, values]) => values.map((one) => ({ facet, ...one })));
  return facets.sort((a, b) => b.count - a.count).map(({ facet, value: own, count }) => {
    const [key, name] = by === 'entity' ? ['entity', `${facet}:${own}`] : [by, own];
    const all = [...(by === 'entity' ? filter.entity || [] : []), name];
    return { key: name, count, field: by === 'entity' ? facet : '', text: told(by, own), target: { query: { ...filter, [key]: all } }, open: () => change({ group: '', [key]: all }) };
  });
}

const cell = (name, content) => html`<span role="gridcell" class=${name}>${content}</span>`;

function Row({ group, isMarked, onMark }) {
  const one = group.incident;
  const box = cell('mark', html`<input type="checkbox" tabindex="-1" checked=${isMarked} aria-label=${t('mark')} onClick=${(event) => { event.stopPropagation(); onMark(); }} />`);
  if (!one) return html`${box}${group.field && cell('rule', group.field)}${cell('grow', html`<${Short} text=${group.text} most=${200} />`)}${cell('n', number(group.count))}`;
  return html`${box}${cell('time', html`<${Time} at=${one.last} short />`)}${cell('sev', html`<${Severity} of=${one.severity} />`)}${cell('grow', html`<a href=${page(`incident/${encodeURIComponent(one.id)}`)} tabindex="-1"><${Short} text=${one.reason} most=${300} /></a>`)}
    ${cell('entity', html`<${Short} text=${one.about.map((entity) => entity.value).join(', ')} most=${120} />`)}${cell('rule', html`<${Short} text=${`${one.rules[0]?.name ?? ''}${one.rules.length > 1 ? ` +${one.rules.length - 1}` : ''}`} most=${120} />`)}
    ${cell('n', number(one.alerts))}${cell('n', number(one.open))}`;
}

const heads = (by) => (by === 'incident' ? [['mark'], ['time'], ['sev'], ['grow'], ['entity'], ['rule'], ['n', 'alerts'], ['n', 'status.open']] : by === 'entity' ? [['mark'], ['rule', 'field'], ['grow', 'facet.entity'], ['n', 'alerts']] : [['mark'], ['grow', `facet.${by}`], ['n', 'alerts']]);

/** `told` gives a facet's value as people read it, `keys` the keys of triage for a target. */
export function Groups({ by, told, keys, density }) {
  const [path, query] = by === 'incident' ? ['/api/v1/incidents', { limit: 1000 }] : ['/api/v1/alerts/facets', { facet: by === 'entity' ? ENTITIES : by, values: by === 'entity' ? 200 : 1000 }];
  const state = useGet(path, { ...store.filterHere(), ...query });
  const [at, setAt] = useState(0);
  const [marked, setMarked] = useState(new Set());
  const list = useMemo(() => (state.fresh ? groupsOf(by, state.value, told) : []), [state.value, state.fresh, by, told]);
  useEffect(() => { setMarked(new Set()); setAt(0); }, [by]);
  useAgain(state.again, store.changes.value, 800);
  const mark = (key) => { const next = new Set(marked); if (!next.delete(key)) next.add(key); setMarked(next); };
  const target = () => {
    const chosen = marked.size ? list.filter((group) => marked.has(group.key)) : list.slice(at, at + 1);
    return chosen.length ? { parts: chosen.map((group) => group.target), count: chosen.reduce((sum, group) => sum + group.count, 0) } : null;
  };
  const done = (action) => ({ ...action, run: async (event) => { await action.run(event); setMarked(new Set()); } });
  useKeys([
    ...listKeys({ t, count: () => list.length, cursor: () => at, onCursor: setAt, onOpen: (index) => list[index]?.open() }),
    { key: 'x', text: t('mark'), when: () => Boolean(list[at]), run: () => mark(list[at].key) },
    { key: 'X', text: t('mark.all'), run: () => setMarked(marked.size === list.length ? new Set() : new Set(list.map((group) => group.key))) },
    { key: 'Escape', text: t('mark.none'), run: () => setMarked(new Set()) },
    ...keys(target).map(done),
  ]);
  const problem = state.problem && html`<p class="problem" role="alert">${state.problem}</p>`;
  return html`${problem}<p class="summary" role="status">${state.fresh && !state.problem ? html`${t('groups.count', { count: list.length })}${marked.size ? html` · <strong>${t('mark.count', { count: marked.size })}</strong>` : ''}${state.value?.complete === false ? html` · ${t('incident.partial')}` : ''}` : problem ? '' : t('loading')}</p>
    <${List} count=${list.length} cursor=${Math.min(at, Math.max(0, list.length - 1))} onCursor=${setAt} onOpen=${(index) => list[index]?.open()} density=${density} label=${t('group')} empty=${t(state.fresh ? 'alerts.none' : 'loading')}
      header=${heads(by).map(([name, text]) => html`<span role="columnheader" class=${name}>${t(text ?? `column.${name}`)}</span>`)}
      row=${(index) => html`<${Row} group=${list[index]} isMarked=${marked.has(list[index].key)} onMark=${() => mark(list[index].key)} />`} />`;
}
