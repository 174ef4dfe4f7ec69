// The columns of the list of alerts, how dense it is, and what it is sorted by: all of it stands in the URL, so a saved view keeps it.

import { html, useState } from './ui.js';
import { Dialog, closeDialog } from './dialog.js';
import { change, first } from './route.js';
import { HEIGHTS } from './list.js';
import { Severity, Status, Time, page } from './parts.js';
import { Short } from './safe.js';
import { number, t } from './text.js';

/** What an alert is about, in a few words: the first of these that it has. */
const ENTITIES = ['host.name', 'user.name', 'container.name', 'orchestrator.resource.name', 'cloud.instance.id', 'resource.id', 'container.image.name', 'source.ip', 'user.id', 'process.name'];
export function mainEntity(alert) {
  for (const field of ENTITIES) {
    const found = alert.entities.find((entity) => entity.field === field);
    if (found) return found;
  }
  return alert.entities[0] || null;
}

const entity = (...fields) => (alert) => html`<${Short} text=${alert.entities.find((one) => fields.includes(one.field))?.value ?? ''} most=${80} />`;

/** Each column: what stands in its cells, and what the list is sorted by through its head. */
const COLUMNS = {
  time: { cell: (alert) => html`<${Time} at=${alert.time} short />`, sort: 'time' },
  sev: { cell: (alert) => html`<${Severity} of=${alert.severity} />`, sort: 'severity' },
  risk: { cell: (alert) => number(alert.risk_score), sort: 'risk' },
  grow: { cell: (alert) => html`<a href=${page(`alert/${alert.id}`)} tabindex="-1"><${Short} text=${alert.reason} most=${300} /></a>` },
  entity: { cell: (alert) => html`<${Short} text=${mainEntity(alert)?.value ?? ''} most=${80} />` },
  host: { cell: entity('host.name', 'host.id', 'container.name') },
  user: { cell: entity('user.name', 'user.email', 'user.id') },
  address: { cell: entity('source.ip', 'client.ip') },
  rule: { cell: (alert) => html`<${Short} text=${alert.rule_name} most=${120} />` },
  tech: { cell: (alert) => html`<${Short} text=${alert.techniques.at(-1) ?? ''} most=${20} />` },
  tactic: { cell: (alert) => html`<${Short} text=${alert.tactics.filter(Boolean).join(', ')} most=${80} />` },
  n: { cell: (alert) => (alert.count > 1 ? `×${number(alert.count)}` : '') },
  stat: { cell: (alert) => html`<${Status} of=${alert} />` },
  who: { cell: (alert) => html`<${Short} text=${alert.assignee ?? ''} most=${40} />` },
  labels: { cell: (alert) => html`<${Short} text=${alert.labels.join(', ')} most=${80} />` },
  updated: { cell: (alert) => html`<${Time} at=${alert.updated} short />`, sort: 'updated' },
};

const USUAL = ['time', 'sev', 'grow', 'entity', 'rule', 'tech', 'n', 'stat', 'who'];

/** The columns that the URL asks for, in its order. */
export function columnsHere() {
  const named = first('columns').split(',').filter((name) => Object.hasOwn(COLUMNS, name));
  return named.length ? [...new Set(named)] : USUAL;
}

export const densityHere = () => (first('density') in HEIGHTS ? first('density') : 'normal');

/** The head of the list; a head that sorts is a button. */
export function Head({ columns }) {
  const by = first('sort') || 'time';
  const ascending = first('ascending') === 'true';
  return html`<span role="columnheader" class="mark">${t('column.mark')}</span>${columns.map((name) => {
    const { sort } = COLUMNS[name];
    const is = sort && sort === by;
    const turn = () => change({ sort: sort === 'time' ? '' : sort, ascending: is && !ascending ? 'true' : '' });
    return html`<span role="columnheader" class=${name} aria-sort=${is ? (ascending ? 'ascending' : 'descending') : undefined}>${sort ? html`<button type="button" class="quiet" tabindex="-1" onClick=${turn}>${t(`column.${name}`)}${is ? (ascending ? ' ▲' : ' ▼') : ''}</button>` : t(`column.${name}`)}</span>`;
  })}`;
}

/** The cells of an alert. */
export const cells = (alert, columns) => columns.map((name) => html`<span role="gridcell" class=${name}>${COLUMNS[name].cell(alert)}</span>`);

/** Chooses columns and their order, the order of rows, and how dense they are. */
export function ColumnsForm() {
  const [chosen, setChosen] = useState(columnsHere());
  const rest = Object.keys(COLUMNS).filter((name) => !chosen.includes(name));
  const move = (name, by) => {
    const list = chosen.filter((other) => other !== name);
    list.splice(Math.max(0, chosen.indexOf(name) + by), 0, name);
    setChosen(list);
  };
  const toggle = (name) => setChosen(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  const submit = ({ density, sort, ascending }) => {
    const columns = chosen.length && chosen.join() !== USUAL.join() ? chosen.join(',') : '';
    change({ columns, density: density === 'normal' ? '' : density, sort: sort === 'time' ? '' : sort, ascending: ascending ? 'true' : '' });
    closeDialog();
  };
  return html`<${Dialog} title=${t('columns')} submit=${t('columns.take')} onSubmit=${submit}>
    <fieldset class="column-choice"><legend>${t('columns')}</legend>${[...chosen, ...rest].map((name, index) => html`<div class="choice" key=${name}><label><input type="checkbox" autofocus=${index === 0} checked=${chosen.includes(name)} onChange=${() => toggle(name)} /> ${t(`column.${name}`)}</label>
      ${chosen.includes(name) && html`<button type="button" class="quiet" aria-label=${t('columns.earlier', { name: t(`column.${name}`) })} disabled=${chosen[0] === name} onClick=${() => move(name, -1)}>↑</button><button type="button" class="quiet" aria-label=${t('columns.later', { name: t(`column.${name}`) })} disabled=${chosen.at(-1) === name} onClick=${() => move(name, 1)}>↓</button>`}</div>`)}</fieldset>
    <label>${t('sort')} <select name="sort">${['time', 'severity', 'risk', 'updated'].map((name) => html`<option value=${name} selected=${(first('sort') || 'time') === name}>${t(`order.${name}`)}</option>`)}</select></label>
    <label class="choice"><input type="checkbox" name="ascending" checked=${first('ascending') === 'true'} /> ${t('order.ascending')}</label>
    <label>${t('density')} <select name="density">${Object.keys(HEIGHTS).map((name) => html`<option value=${name} selected=${densityHere() === name}>${t(`density.${name}`)}</option>`)}</select></label><//>`;
}
