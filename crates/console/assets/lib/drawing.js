// The graph as it is drawn: nodes take the focus, the arrow keys go from one to the next, Enter opens a group or looks at one node's ways
// alone, `h` hides one, and a slider of time lets it grow.

import { html, useMemo, useRef, useState } from './ui.js';
import { Chip } from './parts.js';
import { plain } from './safe.js';
import { COLUMN, LINE, connected, graphOf, grouped, laidOut } from './graph.js';
import { stamp } from './time.js';
import { number, t } from './text.js';

const short = (text) => { const whole = plain(text.slice(0, 200)); return whole.length > 20 ? `${whole.slice(0, 19)}…` : whole; };

function Node({ node, state, onKey, onPick, current }) {
  const name = `${t(`graph.${node.kind}`)}: ${plain(node.label.slice(0, 120))}${node.group ? ` ×${number(node.group)}` : ''}`;
  return html`<g class=${`node ${node.kind} ${state} ${node.mine ? 'mine' : ''}`} transform=${`translate(${node.x}, ${node.y})`} role="button" tabindex=${current ? 0 : -1} aria-label=${name} aria-pressed=${state === 'focus'}
      data-node=${node.id} onClick=${() => onPick(node)} onKeyDown=${(event) => onKey(event, node)}><title>${name}</title>
    <rect width=${COLUMN - 40} height=${LINE - 8} rx=${node.kind === 'process' ? 3 : 12} /><svg width=${COLUMN - 46} height=${LINE - 8}><text x="8" y=${LINE / 2}>${short(node.label)}${node.group ? ` ×${number(node.group)}` : ''}</text></svg></g>`;
}

/** `events` are `{ document, mine }`. */
export function Graph({ events }) {
  const [open, setOpen] = useState(new Set());
  const [hidden, setHidden] = useState(new Set());
  const [focus, setFocus] = useState(null);
  const [at, setAt] = useState(null);
  const [part, setPart] = useState(1000);
  const box = useRef(null);
  const whole = useMemo(() => graphOf(events), [events]);
  const drawn = useMemo(() => laidOut(grouped({ ...whole, nodes: whole.nodes.filter((node) => !hidden.has(node.id)) }, open)), [whole, open, hidden]);
  const times = whole.nodes.flatMap((node) => [node.first, node.last]).filter((time) => !Number.isNaN(time));
  if (whole.nodes.length < 2) return null;
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const until = from + (to - from) * part / 1000;
  const ways = focus && drawn.nodes.has(focus) ? connected(drawn.edges, focus) : null;
  const stateOf = (node) => (node.first > until ? 'later' : !ways ? '' : node.id === focus ? 'focus' : ways.has(node.id) ? '' : 'dim');
  const list = [...drawn.nodes.values()];
  const current = drawn.nodes.get(at) || list[0];
  const pick = (node) => {
    setAt(node.id);
    if (node.group) setOpen(new Set([...open, node.id]));
    else setFocus(focus === node.id ? null : node.id);
  };
  const move = (node, dx, dy) => {
    const others = list.filter((other) => other !== node && (dx ? Math.sign(other.x - node.x) === dx : other.x === node.x && Math.sign(other.y - node.y) === dy));
    const far = (other) => Math.abs(other.x - node.x) + Math.abs(other.y - node.y) * (dx ? 0.5 : 1);
    const next = others.sort((a, b) => far(a) - far(b))[0];
    if (!next) return;
    setAt(next.id);
    setTimeout(() => [...box.current.querySelectorAll('[data-node]')].find((element) => element.dataset.node === next.id)?.focus(), 0);
  };
  const key = (event, node) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow) move(node, ...arrow);
    else if (event.key === 'Enter' || event.key === ' ') pick(node);
    else if (event.key === 'h') setHidden(new Set([...hidden, ...(node.members || [node]).map((one) => one.id)]));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const middle = (LINE - 8) / 2;
  return html`<section class="graph"><h2>${t('graph')}</h2>
    <p class="summary"><label>${t('graph.until')} <input type="range" min="0" max="1000" value=${part} aria-valuetext=${stamp(until)} onInput=${(event) => setPart(Number(event.currentTarget.value))} /></label> ${stamp(until)}
      ${(open.size > 0 || hidden.size > 0 || focus) && html`<button type="button" onClick=${() => { setOpen(new Set()); setHidden(new Set()); setFocus(null); }}>${t('graph.reset')}</button>`}</p>
    <div class="graph-box" ref=${box}><svg width=${drawn.width} height=${drawn.height + 4} role="group" aria-label=${t('graph')}>
      ${drawn.edges.map((edge) => {
        const [a, b] = [drawn.nodes.get(edge.from), drawn.nodes.get(edge.to)];
        const [x, y] = [a.x + COLUMN - 40, a.y + middle];
        const dim = Math.max(a.first, b.first) > until ? 'later' : ways && !(ways.has(a.id) && ways.has(b.id)) ? 'dim' : '';
        const label = [...edge.labels].map((text) => plain(text.slice(0, 100))).join(', ');
        return html`<path class=${`edge ${dim} ${edge.mine ? 'mine' : ''}`} d=${`M${x} ${y} C${x + 20} ${y} ${b.x - 20} ${b.y + middle} ${b.x} ${b.y + middle}`}><title>${label}</title></path>`;
      })}
      ${list.map((node) => html`<${Node} key=${node.id} node=${node} state=${stateOf(node)} current=${node === current} onKey=${key} onPick=${pick} />`)}
    </svg></div>
    ${focus && drawn.nodes.has(focus) && html`<p class="line">${t(`graph.${drawn.nodes.get(focus).kind}`)} <${Chip} field=${drawn.nodes.get(focus).field} value=${drawn.nodes.get(focus).value} /> ${[...new Set(drawn.edges.filter((edge) => edge.to === focus || edge.from === focus).flatMap((edge) => [...edge.labels]))].slice(0, 8).map((label) => html`<span class="label">${short(label)}</span>`)}</p>`}
    <p class="hint">${t('graph.hint')}</p></section>`;
}
