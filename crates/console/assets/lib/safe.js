// Values of strangers: attackers write them. They are shown as text alone, never as markup; what would steer a terminal or turn the
// direction of the text around it is spelled out, and what is very long is cut until somebody asks for it.

import { html, useState } from './ui.js';
import { number, t } from './text.js';

// Control characters but tab and line feed; marks that are invisible or change direction (Unicode TR 36, 3.7; "Trojan Source").
const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/** A text without anything that acts, for places that take text alone (titles, the clipboard's preview). */
export const plain = (text) => String(text).replace(ODD, (mark) => `\\u{${mark.codePointAt(0).toString(16)}}`);

function spelled(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(ODD)) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    parts.push(html`<span class="odd" title=${t('safe.odd')}>\\u{${match[0].codePointAt(0).toString(16)}}</span>`);
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

/** A text of strangers; beyond `most` characters a button shows more of it, a piece at a time. */
export function Safe({ text, most = 400 }) {
  const [shown, setShown] = useState(most);
  const whole = typeof text === 'string' ? text : JSON.stringify(text) ?? String(text);
  const cut = whole.length > shown;
  return html`<bdi class="safe">${spelled(cut ? whole.slice(0, shown) : whole)}${cut && html`<button type="button" class="more"
    onClick=${(event) => { event.stopPropagation(); event.preventDefault(); setShown(shown + 10000); }}>… ${t('safe.more', { count: whole.length - shown, size: number(whole.length - shown) })}</button>`}</bdi>`;
}

/** A text of strangers on one line: what does not fit is cut, and the whole shown when pointed at. */
export const Short = ({ text, most = 160 }) => {
  const whole = String(text ?? '');
  return html`<bdi class="safe" title=${whole.length > 24 ? plain(whole.slice(0, 1000)) : undefined}>${spelled(whole.length > most ? `${whole.slice(0, most)}…` : whole)}</bdi>`;
};

/** Links of rules may go to the web and nowhere else. */
export function safeLink(url) {
  try {
    return ['https:', 'http:'].includes(new URL(url).protocol) ? url : null;
  } catch {
    return null;
  }
}
