// What comes in, what was not seen, and why.

import { html, useEffect } from '../lib/ui.js';
import { post } from '../lib/api.js';
import { address, change, first } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { Bars, Sparkline } from '../lib/chart.js';
import { Dialog, closeDialog, openDialog, say, sayProblem } from '../lib/dialog.js';
import { Loaded, Time, page } from '../lib/parts.js';
import { Safe, plain } from '../lib/safe.js';
import { Jobs } from '../lib/schedule.js';
import { number, t } from '../lib/text.js';
import { RANGES, ago, millis, span, stamp } from '../lib/time.js';

const size = (bytes) => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
};

/** What a source sends, looked at closely: what cannot be read, and fields that are new or gone. */
function Examined({ stream }) {
  const state = useGet('/api/v1/sources/examine', { stream });
  const fields = (list) => (list.length ? html`<ul class="drift">${list.map(({ field, events }) => html`<li><code><${Safe} text=${field} most=${160} /></code> <small>${number(events)}</small></li>`)}</ul>` : html`<p>${t('examine.fields.none')}</p>`);
  const looked = ({ from, to, events, refused, complete }) => html`<${Time} at=${from} /> – <${Time} at=${to} />: ${t('examine.events', { count: events })}${refused ? html`, <span class="warn">${t('hunt.refused', { count: refused })}</span>` : ''}${complete ? '' : html` <small>${t('examine.part')}</small>`}`;
  return html`<${Dialog} wide title=${`${t('examine')}: ${plain(stream).slice(0, 120)}`}><${Loaded} state=${state}>${(value) => html`<p>${t('examine.recent')} ${looked(value.recent)}</p><p>${t('examine.before')} ${looked(value.before)}</p>
    ${value.before.events ? html`<h3>${t('examine.new')}</h3>${fields(value.new_fields)}<h3>${t('examine.gone')}</h3>${fields(value.gone_fields)}` : html`<p class="hint">${t('examine.nothing')}</p>`}
    <h3>${t('examine.problems')}</h3>${value.problems.length ? html`<ul class="problems">${value.problems.map((one) => html`<li><strong>${one.kind}</strong> <${Safe} text=${one.message} most=${400} />${one.raw && html`<pre tabindex="0" role="region" aria-label=${t('original')}><${Safe} text=${one.raw} most=${600} /></pre>`}</li>`)}</ul>` : html`<p>${t('examine.problems.none')}</p>`}`}<//><//>`;
}

function BackfillForm({ gap, again }) {
  return html`<${Dialog} title=${t('backfill')} submit=${t('backfill')} onSubmit=${({ rule, from, to }) => post('/api/v1/backfills', { rule, from, to: to || undefined }).then(() => { closeDialog(); say(t('backfill.begun')); again(); }, sayProblem)}>
    <label>${t('rule')} <input name="rule" required autofocus value=${gap?.rule || ''} /></label><label>${t('from')} <input name="from" required value=${gap?.from || '7d'} /></label><label>${t('to')} <input name="to" value=${gap?.to || ''} /></label><//>`;
}

/** Records of a source that are lost, as far as their number is known; a mark where it is not. */
function lost(status, stream) {
  const losses = status.gaps.filter((gap) => gap.kind === 'loss' && gap.stream === stream);
  const known = losses.reduce((sum, gap) => sum + (gap.records || 0), 0);
  return losses.length ? (known ? number(known) : '?') : status.balance.some((one) => one.stream === stream && !one.holds) ? '?' : 0;
}

/** Gaps as bars on a line of time, so that what was not seen is seen. */
function Strip({ gaps, since, now }) {
  const begin = millis(since);
  const whole = Math.max(1, millis(now) - begin);
  const at = (time) => Math.max(0, Math.min(1, (millis(time) - begin) / whole)) * 1000;
  return html`<svg class="strip" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label=${t('gaps.strip', { count: gaps.length })}><rect class="seen" x="0" y="6" width="1000" height="12" />
    ${gaps.map((gap) => html`<rect class=${`gap ${gap.closed_by.length ? 'closed' : ''}`} x=${at(gap.from)} y="2" width=${Math.max(2, at(gap.to || now) - at(gap.from))} height="20"><title>${`${t(`gap.${gap.kind}`)} ${stamp(gap.from)} – ${stamp(gap.to || now)}`}</title></rect>`)}</svg>`;
}

/** Records of all sources over time; a span that is chosen can be filled again. */
function Rates({ status, mayFill, again }) {
  const length = status.series_seconds * 1000;
  const begin = Math.floor(millis(status.since) / length) * length;
  const count = Math.max(0, ...status.sources.map((source) => source.series.length));
  if (!count || !length) return null;
  const bars = Array.from({ length: count }, (_, place) => ({ from: begin + place * length, to: begin + (place + 1) * length, parts: { hit: status.sources.reduce((sum, source) => sum + (source.series[place] || 0), 0) } }));
  const choose = (from, to) => {
    const gap = { from: new Date(from).toISOString(), to: new Date(Math.min(to, Date.now())).toISOString() };
    if (mayFill) openDialog(() => html`<${BackfillForm} gap=${gap} again=${again} />`);
  };
  return html`<h3>${t('source.rate')}</h3><${Bars} bars=${bars} parts=${['hit']} label=${t('source.records')} told=${(_, records) => t('execution.records', { count: records })} onRange=${choose} />${mayFill && html`<p class="hint">${t('rates.hint')}</p>`}`;
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
    <section><h2>${t('page.sources')}</h2>${status.sources.length ? html`<${Rates} status=${status} mayFill=${mayFill} again=${again} /><table class="sources-table"><thead><tr>${['stream', 'series', 'last', 'event', 'lag', 'rate', 'records', 'events', 'refused', 'unrecognised', 'late', 'lost', 'bytes', 'look'].map((name) => html`<th class=${name === 'stream' || name === 'series' ? '' : 'n'}>${t(`source.${name}`)}</th>`)}</tr></thead><tbody>${status.sources.map((source) => html`<tr>
      <th scope="row"><${Safe} text=${source.stream} most=${120} /></th><td><${Sparkline} values=${source.series} label=${`${t('source.rate')}: ${number(Math.max(0, ...source.series))} / ${span(status.series_seconds)}`} /></td><td class="n">${source.last_received ? ago(source.last_received) : '–'}</td><td class="n">${source.last_event ? html`<${Time} at=${source.last_event} short />` : '–'}</td><td class="n">${source.lag_seconds === null ? '–' : span(source.lag_seconds)}</td><td class="n">${number(Math.round(source.rate * 10) / 10)}/s</td>
      ${['records', 'events', 'refused', 'unrecognised', 'late'].map((name) => html`<td class=${`n${['refused', 'unrecognised', 'late'].includes(name) && source[name] ? ' warn' : ''}`}>${number(source[name])}</td>`)}<td class=${`n${lost(status, source.stream) ? ' warn' : ''}`}>${lost(status, source.stream)}</td><td class="n">${size(source.bytes)}</td>
      <td class="n look"><button type="button" onClick=${() => openDialog(() => html`<${Examined} stream=${source.stream} />`)}>${t('examine')}</button> <a class="button" download=${`${source.stream.replace(/[^\w.-]+/g, '-')}.txt`} href=${address('/api/v1/sources/sample', { stream: source.stream, records: 1000 })}>${t('sample')}</a></td></tr>`)}</tbody></table>` : html`<p>${t('sources.none')} <code>curl -H "Authorization: Bearer TOKEN" --data-binary @audit.log ${location.origin}/ingest</code></p>`}</section>
    ${status.outputs.length > 0 && html`<section><h2>${t('outputs')}</h2><table><thead><tr>${['output', 'waiting', 'oldest', 'delivered', 'dead', 'error'].map((name) => html`<th>${t(`output.${name}`)}</th>`)}</tr></thead><tbody>${status.outputs.map((output) => html`<tr><th scope="row"><${Safe} text=${output.name} /></th><td class="n">${number(output.waiting)}</td><td>${output.oldest ? ago(output.oldest) : '–'}</td><td class="n">${number(output.delivered)}</td><td class=${`n${output.dead ? ' warn' : ''}`}>${number(output.dead)}</td><td><${Safe} text=${output.error || ''} /></td></tr>`)}</tbody></table></section>`}
    ${status.jobs.length > 0 && html`<section><h2>${t('jobs')}</h2><${Jobs} jobs=${status.jobs} again=${again} me=${me} /></section>`}
    <section><h2>${t('backfills')}</h2>${mayFill && html`<p><button type="button" onClick=${() => openDialog(() => html`<${BackfillForm} again=${again} />`)}>${t('backfill')}</button></p>`}
      ${status.backfills.length > 0 && html`<ul>${status.backfills.map((one) => html`<li><code>${one.rule}</code> <${Time} at=${one.from} /> – <${Time} at=${one.to} /> <${Safe} text=${[one.state, t('alerts.count', { count: one.new_alerts }), one.detail].filter(Boolean).join(' · ')} /></li>`)}</ul>`}</section>`;
}

export default function Sources({ me }) {
  const since = first('since') || '24h';
  const state = useGet('/api/v1/status', { since });
  useKeys([{ key: 't', text: t('since'), run: () => document.getElementById('range').focus() }]);
  useEffect(() => { const timer = setInterval(() => { if (!document.hidden) state.again(); }, 5000); return () => clearInterval(timer); }, [since]);
  return html`<div class="sources"><h1 class="hidden-title">${t('page.sources')}</h1><label>${t('since')} <select id="range" value=${since} onChange=${(event) => change({ since: event.currentTarget.value })}>${RANGES.filter(Boolean).map((range) => html`<option value=${range}>${t(`range.${range}`)}</option>`)}</select></label>
    <${Loaded} state=${state}>${(status) => html`<${Status} status=${status} again=${state.again} me=${me} />`}<//></div>`;
}
