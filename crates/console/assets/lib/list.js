// A list that draws only the rows that can be seen, so that its length costs nothing. The keyboard moves a cursor through it; the list itself
// has the focus and names the row under the cursor (`aria-activedescendant`).

import { html, useEffect, useLayoutEffect, useRef, useState } from './ui.js';

/** Heights of a row in pixels; the style sheet has the same. */
export const HEIGHTS = { compact: 22, normal: 28, roomy: 38 };
/** Rows drawn beyond what is seen, on either side. */
const BEYOND = 12;
/** Browsers draw no element that is higher, so longer lists are scaled into it. */
const TALLEST = 15_000_000;

/**
 * `count` rows, `row(index, isCursor)` draws one, `cursor` is the row under the cursor and `onCursor` moves it. `onEnd` is called when the end comes
 * near; `label` tells screen readers what it is.
 */
export function List({ count, row, cursor, onCursor, onEnd, onOpen, label, header, id = 'list', empty, total, density = 'normal' }) {
  const ROW = HEIGHTS[density] ?? HEIGHTS.normal;
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const most = Math.min(count * ROW, TALLEST);
  const scale = count * ROW > TALLEST ? (count * ROW) / TALLEST : 1;

  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setHeight(box.current?.clientHeight || 600));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  // The row under the cursor stays in sight, and a list that became shorter does not stay scrolled behind its end.
  useLayoutEffect(() => {
    const at = cursor * ROW / scale;
    const element = box.current;
    const bar = header ? ROW : 0;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + ROW > element.scrollTop + element.clientHeight - bar) element.scrollTop = at + ROW - element.clientHeight + bar;
  }, [cursor, count === 0, ROW]);
  const first = Math.max(0, Math.floor(top * scale / ROW) - BEYOND);
  const last = Math.min(count, first + Math.ceil(height / ROW) + 2 * BEYOND);
  useEffect(() => {
    if (onEnd && last >= count - 4 * BEYOND) onEnd();
  }, [last, count]);

  const rows = [];
  for (let index = first; index < last; index += 1) {
    rows.push(html`<div key=${index} id=${`${id}-${index}`} role="row" aria-rowindex=${index + (header ? 2 : 1)} aria-selected=${index === cursor}
      class=${`row${index === cursor ? ' cursor' : ''}`} onMouseDown=${() => onCursor(index)} onDblClick=${() => onOpen?.(index)}>${row(index, index === cursor)}</div>`);
  }
  return html`<div class=${`list ${density}`} ref=${box} id=${id} role="grid" tabindex="0" aria-label=${label} aria-rowcount=${total ?? count}
      aria-activedescendant=${count ? `${id}-${cursor}` : undefined} onScroll=${(event) => setTop(event.currentTarget.scrollTop)}>
    ${header && html`<div class="row head" role="row" aria-rowindex="1">${header}</div>`}
    ${count ? html`<div class="rows" role="rowgroup" style=${{ height: `${most}px` }}><div style=${{ transform: `translateY(${first * ROW / scale}px)` }}>${rows}</div></div>`
    : html`<div class="empty" role="row"><div role="gridcell">${empty}</div></div>`}
  </div>`;
}

/** The keys of a list. */
export function listKeys({ t, count, cursor, onCursor, onOpen }) {
  const to = (index) => onCursor(Math.max(0, Math.min(count() - 1, index)));
  return [
    { key: ['j', 'ArrowDown'], text: t('key.down'), run: () => to(cursor() + 1) },
    { key: ['k', 'ArrowUp'], text: t('key.up'), run: () => to(cursor() - 1) },
    { key: ['PageDown'], text: t('key.pageDown'), run: () => to(cursor() + 20) },
    { key: ['PageUp'], text: t('key.pageUp'), run: () => to(cursor() - 20) },
    { key: ['Home', 'g g'], text: t('key.first'), run: () => to(0) },
    { key: ['End', 'G'], text: t('key.last'), run: () => to(count() - 1) },
    ...(onOpen ? [{ key: 'Enter', text: t('key.open'), when: () => count() > 0, run: () => onOpen(cursor()) }] : []),
  ];
}
