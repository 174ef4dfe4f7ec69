// What is looked at on a schedule: when it was, when it is next, what came of it.

import { html } from './ui.js';
import { post } from './api.js';
import { useGet } from './load.js';
import { Time } from './parts.js';
import { Short } from './safe.js';
import { say, sayProblem } from './dialog.js';
import { number, t } from './text.js';
import { ago, span } from './time.js';

const run = (job, again) => post(`/api/v1/schedule/${encodeURIComponent(job.name)}/run`).then(() => { say(t('job.wanted', { job: job.name })); again(); }, sayProblem);
const state = (job) => html`<span class=${job.state === 'failed' ? 'problem' : job.state === 'partial' ? 'warn' : ''}>${t(`job.state.${job.state || 'never'}`)}</span>`;
const next = (job) => (job.due ? html`<${Time} at=${job.due} />` : job.on_change ? t('job.changes') : '–');

/** All jobs, with a button that has one run now. */
export function Jobs({ jobs, again, me }) {
  const may = ['engineer', 'admin'].includes(me.role);
  return html`<table class="jobs"><thead><tr>${['name', 'every', 'last', 'state', 'found', 'new', 'gone', 'next', 'why', 'run'].map((name) => html`<th class=${['found', 'new', 'gone'].includes(name) ? 'n' : ''}>${t(`job.${name}`)}</th>`)}</tr></thead><tbody>${jobs.map((job) => html`<tr>
    <th scope="row"><${Short} text=${job.name} most=${80} /></th><td>${job.every_seconds ? span(job.every_seconds) : t('job.changes')}</td><td>${job.began ? html`<${Time} at=${job.began} />` : '–'}</td><td>${state(job)}</td>
    ${['found', 'new', 'gone'].map((name) => html`<td class="n">${number(job[name])}</td>`)}<td>${next(job)}</td><td><${Short} text=${job.why} most=${200} /></td><td>${may && html`<button type="button" disabled=${job.state === 'running'} onClick=${() => run(job, again)}>${t('job.run')}</button>`}</td></tr>`)}</tbody></table>`;
}

/** One job in a line, above what it looks at. Nothing where it is not on a schedule. */
export function JobLine({ name, me, onRun }) {
  const asked = useGet('/api/v1/schedule');
  const job = asked.value?.find((one) => one.name === name);
  if (!job) return null;
  const may = ['engineer', 'admin'].includes(me.role);
  const again = () => { asked.again(); onRun?.(); };
  return html`<div class="line job"><span>${t('job.last')} ${job.began ? ago(job.began) : '–'}: ${state(job)}${job.new ? ` · ${t('job.news', { count: job.new })}` : ''}${job.gone ? ` · ${t('job.goings', { count: job.gone })}` : ''}</span><span>${t('job.next')} ${next(job)}</span>${may && html`<button type="button" class="quiet" disabled=${job.state === 'running'} onClick=${() => run(job, again)}>${t('job.run')}</button>`}</div>
    ${job.why && html`<p class=${job.state === 'failed' ? 'problem' : 'warn'}><${Short} text=${job.why} most=${300} /></p>`}`;
}

/** What a job found in the past and does not find any more. */
export function Gone({ name }) {
  const asked = useGet(`/api/v1/schedule/${encodeURIComponent(name)}`);
  const gone = asked.value?.findings.filter((one) => one.gone) || [];
  if (!gone.length) return null;
  return html`<details class="gone-findings"><summary>${t('job.goings', { count: gone.length })}</summary><ul class="plain">${gone.slice(0, 200).map((one) => html`<li><${Time} at=${one.gone} /> <${Short} text=${one.title} most=${200} /></li>`)}</ul></details>`;
}
