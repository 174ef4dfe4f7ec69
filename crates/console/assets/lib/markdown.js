// The little of Markdown that guides of rules use, drawn without ever making markup of their text: headings, lists, code, emphasis, links.

import { html } from './ui.js';
import { Safe, safeLink } from './safe.js';
import { t } from './text.js';

/** `fill` may know more of a piece of code: its text with values, and where it leads. */
function inline(text, fill) {
  const parts = [];
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s)<>]+)/g;
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > at) parts.push(html`<${Safe} text=${text.slice(at, match.index)} most=${20000} />`);
    const [whole, code, strong, label, target, bare] = match;
    const link = safeLink(target || bare || '');
    const filled = code && fill?.(code);
    if (filled) parts.push(html`<code><${Safe} text=${filled.text} most=${20000} /></code>`, filled.link ? html` <a href=${filled.link}>${t('chip.hunt')}</a>` : '');
    else if (code) parts.push(html`<code><${Safe} text=${code} most=${20000} /></code>`);
    else if (strong) parts.push(html`<strong><${Safe} text=${strong} /></strong>`);
    else if (link) parts.push(html`<a href=${link} target="_blank" rel="noopener noreferrer"><${Safe} text=${label || bare} /></a>`);
    else parts.push(html`<${Safe} text=${whole} />`);
    at = match.index + whole.length;
  }
  if (at < text.length) parts.push(html`<${Safe} text=${text.slice(at)} most=${20000} />`);
  return parts;
}

export function Markdown({ text, fill }) {
  const blocks = [];
  const lines = String(text).slice(0, 200_000).split('\n');
  const isItem = (line) => /^\s*([-*]|\d+[.)])\s+/.test(line);
  for (let index = 0; index < lines.length;) {
    const line = lines[index];
    if (line.startsWith('```')) {
      const end = lines.findIndex((other, place) => place > index && other.startsWith('```'));
      const code = lines.slice(index + 1, end < 0 ? lines.length : end).join('\n');
      blocks.push(html`<pre><${Safe} text=${code} most=${20000} /></pre>`);
      index = end < 0 ? lines.length : end + 1;
    } else if (/^#{1,6}\s/.test(line)) {
      blocks.push(html`<h3>${inline(line.replace(/^#+\s+/, ''), fill)}</h3>`);
      index += 1;
    } else if (isItem(line)) {
      const ordered = /^\s*\d/.test(line);
      const items = [];
      while (index < lines.length && (isItem(lines[index]) || /^\s+\S/.test(lines[index]))) {
        if (isItem(lines[index])) items.push(lines[index].replace(/^\s*([-*]|\d+[.)])\s+/, ''));
        else items[items.length - 1] += ` ${lines[index].trim()}`;
        index += 1;
      }
      const drawn = items.map((item) => html`<li>${inline(item, fill)}</li>`);
      blocks.push(ordered ? html`<ol>${drawn}</ol>` : html`<ul>${drawn}</ul>`);
    } else if (line.trim()) {
      const paragraph = [];
      while (index < lines.length && lines[index].trim() && !lines[index].startsWith('```') && !/^#/.test(lines[index]) && !isItem(lines[index])) paragraph.push(lines[index++]);
      if (!paragraph.length) paragraph.push(lines[index++]);
      blocks.push(html`<p>${inline(paragraph.join(' '), fill)}</p>`);
    } else {
      index += 1;
    }
  }
  return html`<div class="markdown">${blocks}</div>`;
}
