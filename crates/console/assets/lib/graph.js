// A small graph of an alert: principal → session → resource, and process → process → what it reached, in layers from left to right. What
// it is made of are the alert's own events and those around it; the layout is made here.

import { firstOf, isCall, namedOf, principalOf, sessionOf, RESOURCES, valuesOf } from './fields.js';

/** Nodes that are drawn at most; beyond it those of one kind, parent and name become one. */
export const MOST = 150;
/** Layers from left to right at most. */
const DEEPEST = 12;

const timeOf = (document) => new Date(firstOf(document, '@timestamp')).getTime();

/** Nodes by id and edges by ends, of events `{ document, mine }`. */
export function graphOf(events) {
  const nodes = new Map();
  const edges = new Map();
  const node = (kind, { field, value }, label, time, mine, within = '') => {
    const id = `${kind} ${value}${within && ` of ${within}`}`;
    if (!nodes.has(id)) nodes.set(id, { id, kind, field, value, label: String(label ?? value), first: time, last: time, mine: false, count: 0 });
    const found = nodes.get(id);
    if (label && (found.label === String(found.value) || found.label.startsWith('PID '))) found.label = String(label);
    found.mine ||= mine;
    found.count += 1;
    if (time < found.first || Number.isNaN(found.first)) found.first = time;
    if (time > found.last || Number.isNaN(found.last)) found.last = time;
    return id;
  };
  const edge = (from, to, label, mine) => {
    if (!from || !to || from === to) return;
    const key = `${from}\u0000${to}`;
    if (!edges.has(key)) edges.set(key, { from, to, labels: new Set(), mine: false });
    const found = edges.get(key);
    if (label && found.labels.size < 5) found.labels.add(String(label));
    found.mine ||= mine;
  };
  for (const { document, mine } of events) {
    const time = timeOf(document);
    const action = firstOf(document, 'event.action');
    const who = principalOf(document);
    const pid = firstOf(document, 'process.entity_id') ?? firstOf(document, 'process.pid');
    const host = firstOf(document, 'host.name', 'host.id', 'container.name');
    if (pid !== undefined) {
      const named = (prefix, id) => ({ id, field: id === firstOf(document, `${prefix}.entity_id`) ? `${prefix}.entity_id` : `${prefix}.pid` });
      const draw = (prefix, id, own) => node('process', { field: named(prefix, id).field.replace('process.parent.', 'process.'), value: String(id).length > 8 ? id : `${host ?? ''} ${id}` }, firstOf(document, `${prefix}.name`, `${prefix}.executable`) ?? `PID ${firstOf(document, `${prefix}.pid`) ?? '?'}`, time, own);
      const own = draw('process', pid, mine);
      const above = firstOf(document, 'process.parent.entity_id') ?? firstOf(document, 'process.parent.pid');
      const parent = above !== undefined ? draw('process.parent', above, false) : null;
      if (parent) edge(parent, own, action, mine);
      else if (who) edge(node('principal', who, host ? `${who.value}@${host}` : null, time, mine), own, action, mine);
      if (parent && who && host) edge(node('principal', { ...who, value: `${who.value}@${host}` }, null, time, mine), parent, '', mine);
      const target = namedOf(document, 'destination.domain', 'dns.question.name', 'url.domain', 'destination.ip') ?? (firstOf(document, 'event.category') === 'file' ? namedOf(document, 'file.path') : null);
      if (target) edge(own, node('resource', target, null, time, mine), action, mine);
    } else if (isCall(document) || who) {
      const session = sessionOf(document);
      const resources = RESOURCES.flatMap((field) => valuesOf(document, field).slice(0, 3).map((value) => ({ field, value }))).slice(0, 3);
      const principal = who && node('principal', who, null, time, mine);
      const through = session ? node('session', session, null, time, mine) : principal;
      if (principal && session) edge(principal, through, '', mine);
      for (const resource of resources) edge(through, node('resource', resource, null, time, mine), action, mine);
      // A request that names nothing is one to its service; that others make such, too, ties them to nobody.
      const service = resources.length ? null : namedOf(document, 'event.provider', 'cloud.service.name');
      if (service) edge(through, node('resource', service, null, time, mine, through), action, mine);
    }
  }
  return near({ nodes: [...nodes.values()], edges: [...edges.values()] });
}

/** What hangs together with the alert's own events; what happened beside them to others stands in the time line. */
function near({ nodes, edges }) {
  const beside = new Map(nodes.map((node) => [node.id, []]));
  for (const { from, to } of edges) { beside.get(from).push(to); beside.get(to).push(from); }
  const open = nodes.filter((node) => node.mine).map((node) => node.id);
  const found = new Set(open);
  while (open.length) for (const id of beside.get(open.pop())) if (!found.has(id)) { found.add(id); open.push(id); }
  return { nodes: nodes.filter((node) => found.has(node.id)), edges: edges.filter((edge) => found.has(edge.from)) };
}

/** The same graph with at most `most` nodes: those of one kind, parent and name are one, then whatever a layer has beyond its share. `open` are groups that stay apart. */
export function grouped({ nodes, edges }, open = new Set(), most = MOST) {
  if (nodes.length <= most) return { nodes, edges };
  const parents = new Map();
  for (const edge of edges) parents.set(edge.to, [...(parents.get(edge.to) || []), edge.from]);
  const into = new Map();
  const gather = (keyOf, labelOf) => {
    const groups = new Map();
    for (const node of nodes) {
      const key = into.has(node.id) ? null : keyOf(node);
      if (key) groups.set(key, [...(groups.get(key) || []), node]);
    }
    for (const [key, members] of groups) {
      if (members.length < 2 || open.has(key)) continue;
      const group = { id: key, kind: members[0].kind, group: members.length, members, label: labelOf(members), mine: members.some((one) => one.mine), count: members.reduce((sum, one) => sum + one.count, 0),
        first: Math.min(...members.map((one) => one.first)), last: Math.max(...members.map((one) => one.last)) };
      for (const one of members) into.set(one.id, group);
    }
  };
  gather((node) => (node.mine ? null : `group ${node.kind} ${node.label} ${[...new Set(parents.get(node.id) || [])].sort().join(' ')}`), (members) => members[0].label);
  const left = () => nodes.filter((node) => !into.has(node.id)).length + new Set(into.values()).size;
  if (left() > most) gather((node) => (node.mine ? null : `group ${node.kind} of ${(parents.get(node.id) || [])[0] ?? ''}`), (members) => `${members[0].label} …`);
  if (left() > most) gather((node) => `group ${node.kind}`, (members) => `${members[0].label} …`);
  const drawn = [...nodes.filter((node) => !into.has(node.id)), ...new Set(into.values())];
  const kept = new Map();
  for (const edge of edges) {
    const from = into.get(edge.from)?.id ?? edge.from;
    const to = into.get(edge.to)?.id ?? edge.to;
    if (from === to) continue;
    const key = `${from}\u0000${to}`;
    const before = kept.get(key);
    kept.set(key, before ? { ...before, labels: new Set([...before.labels, ...edge.labels].slice(0, 5)), mine: before.mine || edge.mine } : { ...edge, from, to });
  }
  return { nodes: drawn.slice(0, most), edges: [...kept.values()] };
}

export const COLUMN = 190;
export const LINE = 34;

/** Puts every node at a place: `x` by the longest way to it, `y` near those that lead to it. */
export function laidOut({ nodes, edges }) {
  const there = new Set(nodes.map((node) => node.id));
  const lines = edges.filter((edge) => there.has(edge.from) && there.has(edge.to));
  const layer = new Map(nodes.map((node) => [node.id, 0]));
  // Ways that lead back end after so many rounds.
  for (let round = 0; round < DEEPEST; round += 1) {
    let moved = false;
    for (const { from, to } of lines) {
      const wanted = Math.min(DEEPEST - 1, layer.get(from) + 1);
      if (layer.get(to) < wanted) { layer.set(to, wanted); moved = true; }
    }
    if (!moved) break;
  }
  const columns = [];
  for (const node of [...nodes].sort((a, b) => a.first - b.first || (a.id < b.id ? -1 : 1))) (columns[layer.get(node.id)] ||= []).push(node);
  const filled = columns.filter(Boolean);
  const row = new Map();
  const ends = (id, [near, far]) => lines.filter((line) => line[near] === id && row.has(line[far])).map((line) => row.get(line[far]));
  const middle = (list) => (list.length ? list.reduce((sum, one) => sum + one, 0) / list.length : null);
  for (const sides of [['to', 'from'], ['from', 'to'], ['to', 'from']]) {
    for (const column of filled) {
      const wanted = new Map(column.map((node, index) => [node.id, middle(ends(node.id, sides)) ?? row.get(node.id) ?? index]));
      column.sort((a, b) => wanted.get(a.id) - wanted.get(b.id));
      column.forEach((node, index) => row.set(node.id, index));
    }
  }
  const placed = new Map(filled.flatMap((column, x) => column.map((node, y) => [node.id, { ...node, x: x * COLUMN, y: y * LINE }])));
  return { nodes: placed, edges: lines, width: filled.length * COLUMN, height: Math.max(1, ...filled.map((column) => column.length)) * LINE };
}

/** Everything that leads to a node, or comes from it. */
export function connected(edges, id) {
  const found = new Set([id]);
  for (const [near, far] of [['from', 'to'], ['to', 'from']]) {
    const open = [id];
    while (open.length) {
      const at = open.pop();
      for (const edge of edges) if (edge[near] === at && !found.has(edge[far])) { found.add(edge[far]); open.push(edge[far]); }
    }
  }
  return found;
}
