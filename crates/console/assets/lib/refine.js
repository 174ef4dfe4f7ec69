// A query with one more condition, in the language that it is written in.

import { eqlText } from './parts.js';

const plainName = /^[A-Za-z_@][\w@]*(\.[\w@]+)*$/;
const quotedText = (value) => `"${String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"')}"`;

/** Where the pipes of EQL begin, outside of quotes; the length where there are none. */
function pipes(query) {
  let quote = '';
  for (let at = 0; at < query.length; at += 1) {
    const letter = query[at];
    if (quote) {
      if (query.startsWith(quote, at)) { at += quote.length - 1; quote = ''; } else if (letter === '\\' && quote === '"') at += 1;
    } else if (query.startsWith('"""', at)) { quote = '"""'; at += 2; } else if (letter === '"' || letter === '`') quote = letter;
    else if (letter === '|') return at;
  }
  return query.length;
}

function eql(query, field, value, exclude) {
  const name = plainName.test(field) ? field : `\`${field}\``;
  const literal = typeof value === 'number' || typeof value === 'boolean' ? String(value) : eqlText(value);
  const condition = `${name} ${exclude ? '!=' : '=='} ${literal}`;
  if (!query.trim()) return `any where ${condition}`;
  const end = pipes(query);
  const event = /^(\s*(?:"[^"]*"|[\w*-]+)\s+where\s+)([\s\S]*)$/.exec(query.slice(0, end));
  if (!event || /^\s*(sequence|sample|join)\b/.test(query)) return null;
  const [, head, before] = event;
  const rest = end < query.length ? `\n${query.slice(end)}` : '';
  const kept = before.trim();
  return `${head}${kept === 'true' ? condition : `${/\bor\b/i.test(kept) ? `(${kept})` : kept} and ${condition}`}${rest}`;
}

function words(query, field, value, exclude, [and, not]) {
  const name = field.replace(/[\\():<>"* ]/g, (letter) => `\\${letter}`);
  const condition = `${exclude ? `${not} ` : ''}${name}:${quotedText(value)}`;
  const kept = query.trim();
  if (!kept || kept === '*') return condition;
  return `${/\b(or|OR)\b|\|\|/.test(kept) ? `(${kept})` : kept} ${and} ${condition}`;
}

/** The query with the condition; `null` where it has no place for one (sequences, Sigma). */
export function refined(language, query, field, value, exclude) {
  switch (language) {
    case 'eql': return eql(query, field, value, exclude);
    case 'kql': return words(query, field, value, exclude, ['and', 'not']);
    case 'lucene': return words(query, field, value, exclude, ['AND', 'NOT']);
    default: return null;
  }
}
