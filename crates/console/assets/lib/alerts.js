// The list of alerts that a filter finds: loaded page by page, kept up to date by the live stream, acted upon all at once, undone.

import { batch, signal } from './ui.js';
import { get, openStream, post } from './api.js';
import { here } from './route.js';
import { say, sayProblem } from './dialog.js';
import { t } from './text.js';

/** Keys of the URL that are filters; they are those of the API. */
export const FILTERS = ['status', 'severity', 'verdict', 'rule', 'technique', 'tactic', 'tag', 'assignee', 'entity', 'not', 'q', 'from', 'to', 'retracted'];
const PAGE = 1000;
/** Rows that are held at most; beyond it a filter says more than scrolling. */
const MOST = 200_000;

/** The rows, newest first; the array is replaced with every change. */
export const rows = signal([]);
export const total = signal(null);
export const loading = signal(false);
export const problem = signal('');
/** Row under the cursor. */
export const cursor = signal(0);
/** Ids that are marked, or `all` for whatever the filter finds. */
export const marked = signal(new Set());
/** Alerts that came while the list was paused. */
export const waiting = signal(0);
export const paused = signal(false);
/** Counts what changed: whatever counts alerts asks again. */
export const changes = signal(0);

let next = null;
let asked = '';
let abort = new AbortController();
let places = new Map();

/** The filter that the URL holds, as the API takes it. */
export function filterHere() {
  const filter = {};
  for (const key of FILTERS) {
    const values = here.value.query[key];
    if (values?.length) filter[key] = ['q', 'from', 'to', 'retracted'].includes(key) ? values[0] : values;
  }
  if (filter.retracted !== undefined) filter.retracted = filter.retracted === 'true';
  return filter;
}

const order = () => ({ sort: here.value.query.sort?.[0], ascending: here.value.query.ascending?.[0] });

function setRows(list) {
  places = new Map(list.map((alert, index) => [alert.id, index]));
  rows.value = list;
}

/** Adds rows at the end; what is there is not looked at again, however long it is. */
function addRows(list) {
  const fresh = list.filter((alert) => !places.has(alert.id));
  fresh.forEach((alert, index) => places.set(alert.id, rows.value.length + index));
  rows.value = rows.value.concat(fresh);
}

/** Loads the first page of what the URL asks for, unless it is there. */
export async function load({ anew = false } = {}) {
  const wanted = JSON.stringify([filterHere(), order()]);
  if (!anew && wanted === asked) return;
  const same = wanted === asked;
  asked = wanted;
  abort.abort();
  abort = new AbortController();
  loading.value = true;
  try {
    const page = await get('/api/v1/alerts', { ...filterHere(), ...order(), limit: 100, total: true }, abort.signal);
    const under = same ? rows.value[cursor.value]?.id : undefined;
    batch(() => {
      next = page.next;
      setRows(page.alerts);
      total.value = page.total;
      cursor.value = Math.max(0, under ? places.get(under) ?? 0 : 0);
      if (!same) marked.value = new Set();
      waiting.value = 0;
      problem.value = '';
      loading.value = false;
    });
  } catch (error) {
    if (error.name === 'AbortError') return;
    problem.value = error.message;
    loading.value = false;
  }
}

let more = null;
/** Loads the following page, if there is one. */
export function loadMore() {
  if (!next || more || rows.value.length >= MOST) return more;
  const of = asked;
  more = get('/api/v1/alerts', { ...filterHere(), ...order(), limit: PAGE, cursor: next }, abort.signal)
    .then((page) => {
      if (of !== asked) return;
      next = page.next;
      addRows(page.alerts);
    })
    .catch(sayProblem)
    .finally(() => { more = null; });
  return more;
}

/** Loads until a row is there, or all of them. */
export async function loadUntil(index) {
  while (rows.value.length <= index && next && rows.value.length < MOST) await loadMore();
}

let refresh = 0;
/** Changes that never pause are still shown. */
function refreshSoon() {
  refresh ||= setTimeout(() => { refresh = 0; refreshNow(); }, 300);
}

/** Puts what is new at the top, and leaves the rest of the list and the cursor where they are. */
async function refreshNow() {
  const of = asked;
  try {
    const page = await get('/api/v1/alerts', { ...filterHere(), ...order(), limit: 100, total: true }, abort.signal);
    if (of !== asked) return;
    const fresh = page.alerts.filter((alert) => !places.has(alert.id));
    const newer = new Map(page.alerts.map((alert) => [alert.id, alert]));
    const under = rows.value[cursor.value]?.id;
    batch(() => {
      total.value = page.total;
      if (here.value.query.sort || !rows.value.length) {
        // In another order what is new stands anywhere, so the page is taken as it is.
        if (fresh.length) { next = page.next; setRows(page.alerts); }
      } else {
        setRows([...fresh, ...rows.value.map((alert) => newer.get(alert.id) || alert)]);
      }
      cursor.value = Math.max(0, under ? places.get(under) ?? 0 : 0);
    });
  } catch (error) {
    sayProblem(error);
  }
}

/** An alert changed: a row that is there is replaced, another may belong to the list. */
export function changed(alert) {
  changes.value += 1;
  const place = places.get(alert.id);
  if (place !== undefined) {
    const list = rows.value.slice();
    list[place] = alert;
    rows.value = list;
  } else if (paused.value) {
    waiting.value += 1;
  } else {
    refreshSoon();
  }
}

/** Takes up what came while the list was paused. */
export function resume() {
  paused.value = false;
  waiting.value = 0;
  refreshNow();
}

/** Listens to the stream; gives what ends it. */
export const listen = () => openStream(changed, () => load({ anew: true }));

/** The alerts that an action is for: those that are marked, or else the one under the cursor. */
export function chosen(single) {
  if (single) return { ids: [single.id], count: 1 };
  if (marked.value === 'all') return { query: filterHere(), count: total.value ?? rows.value.length };
  if (marked.value.size) return { ids: [...marked.value], count: marked.value.size };
  const alert = rows.value[cursor.value];
  return alert ? { ids: [alert.id], count: 1 } : null;
}

/** What one part of a target is for, as the API takes it: ids, a query, or all of an incident. */
async function whomOf({ incident, ids, query }) {
  return incident ? { ids: (await get(`/api/v1/incidents/${encodeURIComponent(incident)}`)).ids } : ids ? { ids } : { query };
}

let lastActions = [];
/** What is being done now. */
let underWay = null;
/**
 * Does one thing or several with alerts; the message has the way back for all of it. Rows show the new state at once. A target is
 * `{ count }` with `ids`, a `query`, or `parts` of these.
 */
export function act(doing, target = chosen()) {
  underWay = perform(doing, target);
  return underWay;
}

async function perform(doing, target) {
  const actions = [].concat(doing);
  if (!target) return false;
  const parts = target.parts || [target];
  const before = new Map();
  const shown = Object.assign({}, ...actions.map(shownAs));
  if (target.ids) {
    const list = rows.value.slice();
    for (const id of target.ids) {
      const place = places.get(id);
      if (place === undefined) continue;
      before.set(id, list[place]);
      list[place] = { ...list[place], ...shown };
    }
    rows.value = list;
  }
  try {
    const numbers = [];
    let most = 0;
    for (const part of parts) {
      const whom = await whomOf(part);
      let changed = 0;
      for (const action of actions) {
        const done = await post('/api/v1/alerts/actions', { ...whom, action });
        if (done.action) numbers.unshift(done.action);
        changed = Math.max(changed, done.changed);
      }
      most += changed;
    }
    marked.value = new Set();
    lastActions = numbers;
    changes.value += 1;
    if (!target.ids) load({ anew: true });
    say(t(`done.${actions[0].type}`, { count: most }), numbers.length ? { action: { text: t('undo'), run: undo } } : {});
    return true;
  } catch (error) {
    const list = rows.value.slice();
    for (const [id, alert] of before) list[places.get(id)] = alert;
    rows.value = list;
    sayProblem(error);
    return false;
  }
}

function shownAs(action) {
  switch (action.type) {
    case 'acknowledge': return { status: 'acknowledged' };
    case 'open': return { status: 'open', verdict: null };
    case 'close': return { status: 'closed', verdict: action.verdict };
    case 'assign': return { assignee: action.assignee };
    default: return {};
  }
}

/** Takes back what was done last; what is being done is finished first, lest what was done before it be taken back. */
export async function undo() {
  await underWay;
  if (!lastActions.length) {
    say(t('undo.none'));
    return;
  }
  try {
    let most = 0;
    while (lastActions.length) {
      const undone = await post(`/api/v1/alerts/actions/${lastActions.shift()}/undo`);
      most = Math.max(most, undone.restored);
    }
    say(t('undo.done', { count: most }));
    changes.value += 1;
    load({ anew: true });
  } catch (error) {
    sayProblem(error);
  }
}
