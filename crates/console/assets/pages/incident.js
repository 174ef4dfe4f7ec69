// An incident: alerts that belong together, as one story.

import { html, useEffect, useState } from '../lib/ui.js';
import * as store from '../lib/alerts.js';
import { go, here } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useAgain, useGet } from '../lib/load.js';
import { List, listKeys } from '../lib/list.js';
import { Chip, Loaded, Severity, Status, Technique, Time, page } from '../lib/parts.js';
import { Safe, Short } from '../lib/safe.js';
import { span } from '../lib/time.js';
import { number, t } from '../lib/text.js';
import { triageKeys } from './alerts.js';

const HEAD = ['time', 'sev', 'grow', 'entity', 'rule', 'tech', 'stat'];

export default function Incident({ me }) {
  const id = decodeURIComponent(here.value.path.split('/')[3] || '');
  const path = `/api/v1/incidents/${encodeURIComponent(id)}`;
  const state = useGet(path);
  const [at, setAt] = useState(0);
  const members = state.value?.members || [];
  useAgain(state.again, store.changes.value, 600);
  useEffect(() => { document.getElementById('list')?.focus({ preventScroll: true }); }, [Boolean(state.value)]);
  const target = () => state.value && { ids: state.value.ids, count: state.value.ids.length };
  const open_ = (index) => members[index] && go(page(`alert/${members[index].id}`));
  const after = (action) => ({ ...action, run: async (event) => { await action.run(event); setTimeout(state.again, 500); } });
  const keys = triageKeys({ me, alert: () => members[at], target }).map(after);
  useKeys([
    ...listKeys({ t, count: () => members.length, cursor: () => at, onCursor: setAt, onOpen: open_ }),
    ...keys,
    { key: 'p', text: t('alert.report'), run: () => open(`${path}/report`, '_blank', 'noopener') },
    { key: ['Escape', 'Backspace'], text: t('alert.back'), run: () => history.back() },
  ]);
  return html`<${Loaded} state=${state}>${(incident) => html`<article class="incident"><header>
    <p class="line"><${Severity} of=${incident.severity} /> <span title=${t('risk')}>${incident.risk_score}</span> <strong>${t('incident')}</strong> ${t('alerts.count', { count: incident.alerts })}${incident.open ? ` (${t('incident.open.count', { count: incident.open })})` : ''}
      <span><${Time} at=${incident.first} /> – <${Time} at=${incident.last} /></span> <span>${t('lasted', { span: span((new Date(incident.last) - new Date(incident.first)) / 1000) })}</span></p>
    <h1><${Safe} text=${incident.reason} most=${1000} /></h1>
    <p class="line">${incident.about.map((one) => html`<${Chip} field=${one.field} value=${one.value} />`)}</p>
    <p class="line">${incident.techniques.map((technique) => html`<${Technique} id=${technique} /> `)} ${incident.tactics.map((tactic) => html`<span class="tactic"><${Safe} text=${tactic} most=${60} /></span> `)}</p>
    <p class="actions">${[['a', 'acknowledge'], ['c', 'close'], ['n', 'note'], ['A', 'assign'], ['l', 'tag'], ['o', 'open']].map(([key, name]) => html`<button type="button" onClick=${() => keys.find((one) => one.key === key).run()}>${t(`do.${name}`)} <kbd>${key}</kbd></button>`)}
      <a class="button" href=${`${path}/report`} target="_blank" rel="noopener">${t('alert.report')} <kbd>p</kbd></a></p>
    <p class="line">${incident.rules.map((rule) => html`<span><a href=${page(`rule/${encodeURIComponent(rule.id)}`)}><${Safe} text=${rule.name} most=${120} /></a> ×${number(rule.alerts)}</span>`)}</p></header>
    <${List} count=${members.length} cursor=${at} onCursor=${setAt} onOpen=${open_} label=${t('incident')} empty=${t('loading')}
      header=${HEAD.map((column) => html`<span role="columnheader" class=${column}>${t(`column.${column}`)}</span>`)}
      row=${(index) => { const one = members[index]; return html`<span role="gridcell" class="time"><${Time} at=${one.time} short /></span><span role="gridcell" class="sev"><${Severity} of=${one.severity} /></span>
        <span role="gridcell" class="grow"><a href=${page(`alert/${one.id}`)} tabindex="-1"><${Short} text=${one.reason} most=${300} /></a></span><span role="gridcell" class="entity"><${Short} text=${one.entities[0]?.value ?? ''} most=${80} /></span>
        <span role="gridcell" class="rule"><${Short} text=${one.rule_name} most=${120} /></span><span role="gridcell" class="tech">${one.techniques.at(-1) || ''}</span><span role="gridcell" class="stat"><${Status} of=${one} /></span>`; }} />
    ${incident.alerts > members.length && html`<p class="hint">${t('incident.more', { count: incident.alerts - members.length })}</p>`}</article>`}<//>`;
}
