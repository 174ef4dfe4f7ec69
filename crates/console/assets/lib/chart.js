// Bars over time, stacked by severity. Dragging over them, or Shift and the arrow keys, chooses a span of time.

import { html, useMemo, useRef, useState } from './ui.js';
import { number, t } from './text.js';
import { stamp } from './time.js';

const HEIGHT = 64;

/** The bars of a histogram as the API gives it. */
export const barsOf = (histogram) => (histogram?.buckets || []).map((bucket) => {
  const from = new Date(bucket.from).getTime();
  return { from, to: from + histogram.seconds * 1000, parts: bucket.by };
});

/**
 * `bars`: `[{ from, to, parts: { name: count } }]`, times in milliseconds; `parts` names them from bottom to top, and the style sheet colours
 * `.part-NAME`; `told` is the text of a part and its number.
 */
export function Bars({ bars, parts, onRange, label, told: part = (name, count) => `${t(`severity.${name}`)} ${number(count)}` }) {
  const [drag, setDrag] = useState(null);
  const [at, setAt] = useState(0);
  const svg = useRef(null);
  const most = useMemo(() => Math.max(1, ...bars.map((bar) => sum(bar.parts))), [bars]);
  if (!bars.length) return html`<div class="bars none">${t('chart.none')}</div>`;
  const width = 1000 / bars.length;
  const indexAt = (event) => {
    const box = svg.current.getBoundingClientRect();
    return Math.max(0, Math.min(bars.length - 1, Math.floor((event.clientX - box.left) / box.width * bars.length)));
  };
  const choose = (one, other) => onRange(bars[Math.min(one, other)].from, bars[Math.max(one, other)].to);
  const down = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setDrag([indexAt(event), indexAt(event)]);
  };
  const up = (event) => {
    if (!drag) return;
    choose(drag[0], indexAt(event));
    setDrag(null);
  };
  const key = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -bars.length, End: bars.length }[event.key];
    if (step) {
      const next = Math.max(0, Math.min(bars.length - 1, at + step));
      setDrag(event.shiftKey ? [drag ? drag[0] : at, next] : null);
      setAt(next);
    } else if (event.key === 'Enter') {
      choose(...(drag || [at, at]));
      setDrag(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const shown = bars[Math.min(at, bars.length - 1)];
  const marked = drag || null;
  return html`<figure class="bars"><svg ref=${svg} viewBox=${`0 0 1000 ${HEIGHT}`} preserveAspectRatio="none" role="img" tabindex="0" aria-label=${`${label}: ${told(shown)}`}
      onPointerDown=${down} onPointerMove=${(event) => { setAt(indexAt(event)); if (drag) setDrag([drag[0], indexAt(event)]); }} onPointerUp=${up} onKeyDown=${key}>
    ${marked && html`<rect class="brush" x=${Math.min(...marked) * width} y="0" width=${(Math.abs(marked[1] - marked[0]) + 1) * width} height=${HEIGHT} />`}
    ${bars.map((bar, index) => {
      let base = HEIGHT;
      return parts.filter((name) => bar.parts[name]).map((name) => {
        const tall = Math.max(1, bar.parts[name] / most * (HEIGHT - 4));
        base -= tall;
        return html`<rect class=${`part-${name}${index === at ? ' at' : ''}`} x=${index * width + width * 0.08} y=${base} width=${width * 0.84} height=${tall} />`;
      });
    })}
  </svg><figcaption>${told(shown)}</figcaption></figure>`;

  function told(bar) {
    return `${stamp(bar.from)} – ${stamp(bar.to)}: ${parts.filter((name) => bar.parts[name]).map((name) => part(name, bar.parts[name])).join(', ') || 0}`;
  }
}

const sum = (parts) => Object.values(parts).reduce((total, count) => total + count, 0);

/** A line of numbers without axes, for a row of a table; the text says what it shows. */
export function Sparkline({ values, label }) {
  const most = Math.max(1, ...values);
  const width = 100 / Math.max(1, values.length);
  return html`<svg class="sparkline" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label=${label}><title>${label}</title>
    ${values.map((value, index) => value > 0 && html`<rect x=${index * width} y=${20 - Math.max(1, value / most * 20)} width=${Math.max(0.4, width * 0.9)} height=${Math.max(1, value / most * 20)} />`)}</svg>`;
}
