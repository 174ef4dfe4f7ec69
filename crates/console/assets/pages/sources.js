// What comes in, what was not seen, and why.

import { html, useEffect } from '../lib/ui.js';
import { post } from '../lib/api.js';
import { change, first } from '../lib/route.js';
import { useGet } from '../lib/load.js';
import { Dialog, closeDialog, openDialog, say, sayProblem } from '../lib/dialog.js';
import { Loaded, Time, page } from '../lib/parts.js';
import { Safe } from '../lib/safe.js';
import { number, t } from '../lib/text.js';
import { RANGES, ago, millis, span, stamp } from '../lib/time.js';

const size = (bytes) => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
};

function BackfillForm({ gap, again }) {
  return html`<${Dialog} title=${t('backfill')} submit=${t('backfill')} onSubmit=${({ rule, from, to }) => post('/api/v1/backfills', { rule, from, to: to || undefined }).then(() => { closeDialog(); say(t('backfill.begun')); again(); }, sayProblem)}>
    <label>${t('rule')} <input name="rule" required autofocus value=${gap?.rule || ''} /></label><label>${t('from')} <input name="from" required value=${gap?.from || '7d'} /></label><label>${t('to')} <input name="to" value=${gap?.to || ''} /></label><//>`;
}

/** Gaps as bars on a line of time, so that what was not seen is seen. */
function Strip({ gaps, since, now }) {
  const begin = millis(since);
  const whole = Math.max(1, millis(now) - begin);
  const at = (time) => Math.max(0, Math.min(1, (millis(time) - begin) / whole)) * 1000;
  return html`<svg class="strip" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label=${t('gaps.strip', { count: gaps.length })}><rect class="seen" x="0" y="6" width="1000" height="12" />
    ${gaps.map((gap) => html`<rect class=${`gap ${gap.closed_by.length ? 'closed' : ''}`} x=${at(gap.from)} y="2" width=${Math.max(2, at(gap.to || now) - at(gap.from))} height="20"><title>${`${t(`gap.${gap.kind}`)} ${stamp(gap.from)} – ${stamp(gap.to || now)}`}</title></rect>`)}</svg>`;
}

function Status({ status, again, me }) {
  const pipeline = status.pipeline;
  const mayFill = ['engineer', 'admin'].includes(me.role);
  const facts = [
    ['version', status.version], ['running.since', status.started && ago(status.started)], ['stored', size(status.stored_bytes)], ['oldest', status.oldest && stamp(status.oldest)],
    ['pending', size(status.pending_bytes)], ['latency', pipeline && `${number(pipeline.latency_millis)} ms`], ['rules.running', pipeline && number(pipeline.rules)], ['state.bytes', pipeline && size(pipeline.state_bytes)],
    ['records', pipeline && number(pipeline.records)], ['refused', pipeline && number(pipeline.refused)], ['unrecognised', pipeline && number(pipeline.unrecognised)], ['late', pipeline && number(pipeline.late)],
  ].filter(([, value]) => value !== null && value !== undefined);
  const notices = [...(pipeline?.notices || []), pipeline?.store_problem, pipeline?.reload_problem, pipeline?.snapshot_problem].filter(Boolean);
  return html`<section><h2>${t('service')}</h2>${!status.running && html`<p class="problem">${t('service.down')}</p>`}
      <dl class="facts">${facts.map(([name, value]) => html`<div><dt>${t(`fact.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>
      ${notices.length > 0 && html`<ul class="problem">${notices.map((notice) => html`<li><${Safe} text=${typeof notice === 'string' ? notice : JSON.stringify(notice)} most=${600} /></li>`)}</ul>`}</section>
    <section><h2>${t('gaps')}</h2>${status.gaps.length ? html`<${Strip} gaps=${status.gaps} since=${status.since} now=${status.now} />
      <table><thead><tr><th>${t('gap')}</th><th>${t('from')}</th><th>${t('to')}</th><th>${t('source')}</th><th>${t('rule')}</th><th>${t('why')}</th><th></th></tr></thead><tbody>${status.gaps.map((gap) => html`<tr class=${gap.open ? 'open' : ''}><td>${t(`gap.${gap.kind}`)}${gap.closed_by.length ? ` (${t('gap.closed')})` : ''}</td>
        <td><${Time} at=${gap.from} /></td><td>${gap.open ? t('gap.open') : html`<${Time} at=${gap.to} />`}</td><td><${Safe} text=${gap.stream || ''} most=${80} /></td><td>${gap.rule && html`<a href=${page(`rule/${encodeURIComponent(gap.rule)}`)}>${gap.rule}</a>`}</td><td>${gap.records ? `${number(gap.records)} · ` : ''}<${Safe} text=${gap.why} /></td>
        <td>${mayFill && html`<button type="button" onClick=${() => openDialog(() => html`<${BackfillForm} gap=${gap} again=${again} />`)}>${t('backfill')}</button>`}</td></tr>`)}</tbody></table>` : html`<p>${t('gaps.none')}</p>`}</section>
    <section><h2>${t('page.sources')}</h2>${status.sources.length ? html`<table><thead><tr>${['stream', 'last', 'lag', 'rate', 'records', 'events', 'refused', 'unrecognised', 'late', 'bytes'].map((name) => html`<th class=${name === 'stream' ? '' : 'n'}>${t(`source.${name}`)}</th>`)}</tr></thead><tbody>${status.sources.map((source) => html`<tr>
      <th scope="row"><${Safe} text=${source.stream} most=${120} /></th><td class="n">${source.last_received ? ago(source.last_received) : '–'}</td><td class="n">${source.lag_seconds === null ? '–' : span(source.lag_seconds)}</td><td class="n">${number(Math.round(source.rate * 10) / 10)}/s</td>
      ${['records', 'events', 'refused', 'unrecognised', 'late'].map((name) => html`<td class=${`n${['refused', 'unrecognised', 'late'].includes(name) && source[name] ? ' warn' : ''}`}>${number(source[name])}</td>`)}<td class="n">${size(source.bytes)}</td></tr>`)}</tbody></table>` : html`<p>${t('sources.none')} <code>curl -H "Authorization: Bearer TOKEN" --data-binary @audit.log ${location.origin}/ingest</code></p>`}</section>
    ${status.outputs.length > 0 && html`<section><h2>${t('outputs')}</h2><table><thead><tr>${['output', 'waiting', 'oldest', 'delivered', 'dead', 'error'].map((name) => html`<th>${t(`output.${name}`)}</th>`)}</tr></thead><tbody>${status.outputs.map((output) => html`<tr><th scope="row"><${Safe} text=${output.name} /></th><td class="n">${number(output.waiting)}</td><td>${output.oldest ? ago(output.oldest) : '–'}</td><td class="n">${number(output.delivered)}</td><td class=${`n${output.dead ? ' warn' : ''}`}>${number(output.dead)}</td><td><${Safe} text=${output.error || ''} /></td></tr>`)}</tbody></table></section>`}
    <section><h2>${t('backfills')}</h2>${mayFill && html`<p><button type="button" onClick=${() => openDialog(() => html`<${BackfillForm} again=${again} />`)}>${t('backfill')}</button></p>`}
      ${status.backfills.length > 0 && html`<ul>${status.backfills.map((one) => html`<li><code>${one.rule}</code> <${Time} at=${one.from} /> – <${Time} at=${one.to} /> <${Safe} text=${[one.state, t('alerts.count', { count: one.new_alerts }), one.detail].filter(Boolean).join(' · ')} /></li>`)}</ul>`}</section>`;
}

export default function Sources({ me }) {
  const since = first('since') || '24h';
  const state = useGet('/api/v1/status', { since });
  useEffect(() => { const timer = setInterval(() => { if (!document.hidden) state.again(); }, 5000); return () => clearInterval(timer); }, [since]);
  return html`<div class="sources"><h1 class="hidden-title">${t('page.sources')}</h1><label>${t('since')} <select value=${since} onChange=${(event) => change({ since: event.currentTarget.value })}>${RANGES.filter(Boolean).map((range) => html`<option value=${range}>${t(`range.${range}`)}</option>`)}</select></label>
    <${Loaded} state=${state}>${(status) => html`<${Status} status=${status} again=${state.again} me=${me} />`}<//></div>`;
}
