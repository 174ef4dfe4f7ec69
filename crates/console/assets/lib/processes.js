// The processes of an alert's events and of what happened around it, as a tree.

import { html } from './ui.js';
import { Chip, Time } from './parts.js';
import { Safe } from './safe.js';
import { t } from './text.js';

const at = (document, path) => path.split('.').reduce((value, key) => value?.[key], document);

/** Processes by their entity ids, with parents; `documents` are ECS documents, those of the alert itself marked. */
export function processTree(documents) {
  const nodes = new Map();
  const node = (id) => {
    if (!nodes.has(id)) nodes.set(id, { id, children: [], parent: null });
    return nodes.get(id);
  };
  const take = (found, process, extra) => {
    for (const key of ['name', 'executable', 'command_line', 'pid']) found[key] ??= process[key];
    if (!found.command_line && Array.isArray(process.args)) found.command_line = process.args.join(' ');
    Object.assign(found, extra);
  };
  for (const { document, mine } of documents) {
    const process = document?.process;
    const id = process?.entity_id;
    if (!id) continue;
    const one = node(id);
    take(one, process, { ...(mine ? { mine: true } : {}) });
    one.time ??= document['@timestamp'];
    one.user ??= at(document, 'user.name') ?? at(document, 'user.id');
    let child = one;
    let parent = process.parent;
    // Documents nest few ancestors; a loop in hostile data must not become one here.
    for (let depth = 0; parent?.entity_id && parent.entity_id !== child.id && depth < 16; depth += 1) {
      const above = node(parent.entity_id);
      take(above, parent, {});
      if (!child.parent && !isAbove(child, above)) { child.parent = above; above.children.push(child); }
      child = above;
      parent = parent.parent;
    }
  }
  return [...nodes.values()].filter((one) => !one.parent && (one.children.length || one.mine));
}

function isAbove(node, other) {
  for (let above = other, depth = 0; above && depth < 1000; above = above.parent, depth += 1) if (above === node) return true;
  return false;
}

function Process({ of, depth }) {
  return html`<li class=${of.mine ? 'mine' : ''}><span class="process">${of.pid !== undefined && html`<span class="pid">${of.pid}</span> `}<strong><${Safe} text=${of.name || of.executable || t('process.unknown')} most=${80} /></strong>
    ${of.command_line && html` <code><${Safe} text=${of.command_line} most=${300} /></code>`} ${of.user && html`<${Chip} field="user.name" value=${of.user} />`} ${of.time && html`<${Time} at=${of.time} />`}</span>
    ${of.children.length > 0 && depth < 64 && html`<ul>${of.children.slice(0, 150).map((child) => html`<${Process} key=${child.id} of=${child} depth=${depth + 1} />`)}${of.children.length > 150 && html`<li>${t('process.more', { count: of.children.length - 150 })}</li>`}</ul>`}</li>`;
}

export function ProcessTree({ documents }) {
  const roots = processTree(documents);
  if (!roots.length) return null;
  return html`<section><h2>${t('processes')}</h2><ul class="tree">${roots.map((root) => html`<${Process} key=${root.id} of=${root} depth=${0} />`)}</ul></section>`;
}
