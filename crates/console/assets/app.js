// The frame: rail, top bar, the page that the URL names, dialogs and messages.

import { html, render, signal, useEffect } from './lib/ui.js';
import { get, liveState, loggedOut, session } from './lib/api.js';
import { follow, go, here } from './lib/route.js';
import { useKeys } from './lib/keys.js';
import { Messages, dialog, openDialog } from './lib/dialog.js';
import { LANGUAGES, language, setLanguage, startLanguage, t } from './lib/text.js';
import { page } from './lib/parts.js';
import * as alerts from './lib/alerts.js';
import { Help, Palette } from './lib/palette.js';
import { Login, logOut } from './pages/login.js';

/** Who is logged in, and how the service stands. */
const me = signal(null);
const health = signal(null);

/** The pages, in the order of the rail. Modules are loaded when they are first shown. */
const PAGES = [
  { name: 'alerts', key: 'g a', load: () => import('./pages/alerts.js'), query: { status: ['open', 'acknowledged'] } },
  { name: 'hunt', key: 'g h', load: () => import('./pages/hunt.js') },
  { name: 'rules', key: 'g r', load: () => import('./pages/rules.js') },
  { name: 'coverage', key: 'g c', load: () => import('./pages/coverage.js') },
  { name: 'baselines', key: 'g b', load: () => import('./pages/baselines.js') },
  { name: 'posture', key: 'g p', load: () => import('./pages/posture.js') },
  { name: 'sources', key: 'g s', load: () => import('./pages/sources.js') },
];
/** Pages that others lead to. */
const FURTHER = [
  { name: 'alert', load: () => import('./pages/alert.js') },
  { name: 'incident', load: () => import('./pages/incident.js') },
  { name: 'rule', load: () => import('./pages/rule.js') },
  { name: 'entity', load: () => import('./pages/entity.js') },
];

const shown = signal({ name: '', component: null });

async function show(name) {
  const found = [...PAGES, ...FURTHER].find((one) => one.name === name);
  if (!found) {
    go(page('alerts', PAGES[0].query), { replace: true });
    return;
  }
  try {
    const module = await found.load();
    if (nameHere() === name) shown.value = { name, component: module.default };
  } catch (error) {
    shown.value = { name, component: () => html`<p class="problem" role="alert">${error.message}</p>` };
  }
}

/** `/console/alert/ID` → `alert`. */
const nameHere = () => here.value.path.split('/')[2] || '';

function Rail() {
  return html`<nav class="rail" aria-label=${t('nav')}>
    <a class="logo" href=${page('alerts', PAGES[0].query)} aria-label="Nephoscope"><img src="/console/icon.svg" alt="" width="26" height="26" /></a>
    ${PAGES.map(({ name, query, key }) => html`<a href=${page(name, query)} class=${nameHere() === name ? 'here' : ''} aria-current=${nameHere() === name ? 'page' : undefined}
      title=${`${t(`page.${name}`)} (${key})`}>${t(`page.${name}`)}</a>`)}
  </nav>`;
}

function Bar() {
  const state = health.value;
  const sick = state && (!state.running || state.gaps?.some((gap) => gap.open) || state.pipeline?.store_problem);
  return html`<header class="bar">
    <button type="button" onClick=${() => openDialog(Palette)} class="omnibox">${t('palette.open')} <kbd>Ctrl K</kbd></button>
    <span class="fill"></span>
    ${['alert', 'alerts', 'incident'].includes(nameHere()) && html`<button type="button" aria-pressed=${!alerts.paused.value} onClick=${toggleLive} class=${`live ${alerts.paused.value ? 'paused' : liveState.value}`}>
      ${t(`live.${alerts.paused.value ? 'paused' : liveState.value}`)}${alerts.waiting.value ? ` (${t('live.waiting', { count: alerts.waiting.value })})` : ''}</button>`}
    <a class=${`health ${state ? (sick ? 'sick' : 'well') : 'unknown'}`} href=${page('sources')} title=${t('page.sources')}>${t(state ? (sick ? 'health.sick' : 'health.well') : 'health.unknown')}</a>
    <label class="hidden-label"><span>${t('language')}</span><select value=${language.value} onChange=${(event) => setLanguage(event.currentTarget.value)}>
      ${Object.entries(LANGUAGES).map(([tag, name]) => html`<option value=${tag}>${name}</option>`)}</select></label>
    ${me.value && html`<span class="me" title=${t(`role.${me.value.role}`)}>${me.value.name}</span><button type="button" class="quiet" onClick=${logOut}>${t('logout')}</button>`}
    <button type="button" class="quiet" aria-label=${t('help')} onClick=${() => openDialog(Help)}>?</button>
  </header>`;
}

function toggleLive() {
  if (alerts.paused.value) alerts.resume();
  else alerts.paused.value = true;
}

function Frame() {
  useKeys([
    { key: 'Ctrl-k', text: t('palette.open'), run: () => openDialog(Palette) },
    { key: '?', text: t('help'), run: () => openDialog(Help) },
    { key: 'u', text: t('undo'), run: alerts.undo },
    { key: 'Space', text: t('live.toggle'), run: toggleLive },
    ...PAGES.map(({ name, key, query }) => ({ key, text: t('go', { page: t(`page.${name}`) }), run: () => go(page(name, query)) })),
    ...Object.entries(LANGUAGES).map(([tag, name]) => ({ key: [], text: `${t('language')}: ${name}`, run: () => setLanguage(tag) })),
  ]);
  useEffect(() => alerts.listen(), []);
  useEffect(() => {
    let timer = 0;
    const ask = () => {
      clearTimeout(timer);
      if (!document.hidden) get('/api/v1/status', { since: '1d' }).then((status) => { health.value = status; }, () => { health.value = null; });
      timer = setTimeout(ask, 30000);
    };
    ask();
    return () => clearTimeout(timer);
  }, []);
  const { component: Page, name } = shown.value;
  const Open = dialog.value;
  return html`<${Rail} /><div class="body"><${Bar} /><main id="main" tabindex="-1" class=${`page-${name}`}>${Page && html`<${Page} key=${name} me=${me.value} />`}</main></div>
    ${Open && html`<${Open} me=${me.value} />`}`;
}

function App() {
  const inside = me.value && !loggedOut.value;
  useEffect(() => {
    document.title = `${inside ? t(`page.${nameHere()}`) : t('login')} · Nephoscope`;
  }, [here.value, inside, language.value]);
  return html`<div class="app" onClick=${follow}><a class="skip" href="#main" target="_self">${t('skip')}</a>
    ${inside ? html`<${Frame} />` : html`<${Login} onIn=${start} />`}<${Messages} /></div>`;
}

/** Asks who is logged in, and shows the page of the URL. */
async function start() {
  try {
    me.value = await session();
    loggedOut.value = false;
  } catch (error) {
    me.value = null;
    loggedOut.value = true;
  }
}

await startLanguage();
await start();
here.subscribe(() => show(nameHere()));
render(html`<${App} />`, document.getElementById('app'));

