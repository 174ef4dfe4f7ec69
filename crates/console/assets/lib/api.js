// The API of the service: requests, what went wrong with them, and the live stream.

import { address } from './route.js';
import { signal } from './ui.js';

/** Whether nobody is logged in; the app shows the log-in page then. */
export const loggedOut = signal(false);

/** The word of the session: without it a request changes nothing, and pages of other sites cannot know it. */
let word = '';

/** Takes up a session that was begun, or that the browser's cookie stands for. */
export async function session(token) {
  const found = token === undefined ? await get('/api/v1/session') : await post('/api/v1/session', { token });
  word = found.csrf || '';
  return found;
}

/** What the service or the way to it refused. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `${status}`);
    this.status = status;
    this.code = body.code || '';
    /** Mistakes of what the user wrote, with their places. */
    this.diagnostics = body.diagnostics || [];
  }
}

async function send(method, path, { query, body, signal: abort } = {}) {
  const headers = { Accept: 'application/json' };
  if (method !== 'GET') headers['X-CSRF-Token'] = word;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(address(path, query), {
      method, headers, signal: abort, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { code: 'unreachable', detail: 'the service does not answer' });
  }
  const text = await response.text();
  let content = {};
  try {
    content = text ? JSON.parse(text) : {};
  } catch {
    content = { detail: text.slice(0, 500) };
  }
  if (!response.ok) {
    if (response.status === 401) loggedOut.value = true;
    throw new Problem(response.status, content);
  }
  return content;
}

export const get = (path, query, abort) => send('GET', path, { query, signal: abort });
export const post = (path, body, abort) => send('POST', path, { body: body ?? {}, signal: abort });
export const put = (path, body) => send('PUT', path, { body });
export const del = (path) => send('DELETE', path);

/** How the live stream stands: `live`, `paused`, or `lost` while it is being opened again. */
export const liveState = signal('paused');

/**
 * Opens the stream of changed alerts; gives a function that closes it.
 * The browser itself opens it again and asks for what it missed (`Last-Event-ID`).
 */
export function openStream(onAlert, onReset) {
  const source = new EventSource('/api/v1/stream');
  source.addEventListener('alert', (event) => onAlert(JSON.parse(event.data)));
  source.addEventListener('reset', () => onReset());
  source.onopen = () => { liveState.value = 'live'; };
  source.onerror = () => { liveState.value = 'lost'; };
  return () => {
    source.close();
    liveState.value = 'paused';
  };
}
