// Overlays that are written here: a file of several documents grows by one, from the text that it was made from.

import { get, put } from './api.js';

const path = (file) => `/api/v1/overlays/${encodeURIComponent(file)}`;

/** The text of a file with one more document, and the hash of the text before; `null` where there is none. */
export async function withDocument(file, document) {
  const before = await get(path(file)).catch((error) => { if (error.status === 404) return null; throw error; });
  return { text: before ? `${before.text.trimEnd()}\n---\n${document}` : document, base: before?.hash ?? null };
}

/** Writes a file; it is refused if somebody wrote it since. */
export const writeOverlay = (file, { text, base }) => put(path(file), { text, base });
