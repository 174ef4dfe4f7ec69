// Texts of the interface in English, Russian and Chinese; names of the field (fields, rules, techniques) stay as they are.

import { signal } from './ui.js';
import english from '/console/texts/en.js';

/** The languages, each by its own name. */
export const LANGUAGES = { en: 'English', ru: 'Русский', zh: '中文' };

const KEPT = 'neph.language';

function wanted() {
  const kept = localStorage.getItem(KEPT);
  if (kept in LANGUAGES) return kept;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) || 'en';
}

/** The language of now. */
export const language = signal('en');
const texts = signal(english);

/** Takes a language; texts come before it shows, so nothing flickers. */
export async function setLanguage(tag, { keep = true } = {}) {
  const module = tag === 'en' ? { default: english } : await import(`/console/texts/${tag}.js`);
  if (keep) localStorage.setItem(KEPT, tag);
  document.documentElement.lang = tag;
  texts.value = module.default;
  language.value = tag;
}

/** Takes the language that the user chose, or that of the browser. */
export const startLanguage = () => setLanguage(wanted(), { keep: false });

/**
 * The text of a key; `{name}` is replaced by that parameter, and a text with forms (`one`, `few`, `many`, `other`) is chosen by `count`.
 */
export function t(key, parameters = {}) {
  let text = texts.value[key] ?? english[key] ?? key;
  if (typeof text === 'object') text = text[new Intl.PluralRules(language.value).select(parameters.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = parameters[name];
    return value === undefined ? whole : typeof value === 'number' ? number(value) : value;
  });
}

/** A number as the language writes it. */
export const number = (value) => new Intl.NumberFormat(language.value).format(value);
