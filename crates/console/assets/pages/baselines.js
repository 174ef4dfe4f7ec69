// Snapshots and images against their baseline: what is new, changed, shared or gone, who did it, and what people said about it.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { post, put } from '../lib/api.js';
import { all, change, first, toggle } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { List, listKeys } from '../lib/list.js';
import { Chip, Diagnostics, Diff, Loaded, Severity, Time, page } from '../lib/parts.js';
import { Safe, Short } from '../lib/safe.js';
import { Dialog, closeDialog, openDialog, say, sayProblem } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { Images } from '../lib/images.js';
import { JobLine } from '../lib/schedule.js';
import { ViewsForm } from '../lib/views.js';

const STANDINGS = ['open', 'expired', 'approved'];
const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);
/** What of a record is told beside its name. */
const FACTS = ['id', 'kind', 'account', 'region', 'owner', 'state', 'created', 'size', 'encrypted', 'key', 'source', 'copy_of', 'content', 'family', 'access', 'public', 'shared'];

/** Approving: the difference of the file is shown before it is written. */
function ApproveForm({ findings, onDone }) {
  const [said, setSaid] = useState({ note: '', expires: day(90) });
  const [proposal, setProposal] = useState(null);
  const [problem, setProblem] = useState('');
  const set = (next) => { setSaid({ ...said, ...next }); setProposal(null); };
  const submit = async () => {
    setProblem('');
    const body = { ids: findings.map((one) => one.id), ...said };
    try {
      if (!proposal) {
        setProposal(await post('/api/v1/baselines/approval/proposal', body));
        return;
      }
      if (!proposal.valid) return;
      await put('/api/v1/baselines/approval', { ...body, base: proposal.base });
      closeDialog();
      say(t('baselines.approved', { count: findings.length, file: proposal.file }));
      onDone();
    } catch (error) {
      setProblem(error.message);
      setProposal(null);
    }
  };
  return html`<${Dialog} wide title=${t('baselines.approve.count', { count: findings.length })} submit=${t(proposal ? 'except.write' : 'except.show')} onSubmit=${submit} problem=${problem}>
    <ul class="chosen-rules">${findings.slice(0, 12).map((one) => html`<li>${t(`class.${one.class}`)} <${Safe} text=${one.title} most=${160} /></li>`)}</ul>
    <div class="fields"><label>${t('note')}<input required autofocus maxlength="1000" value=${said.note} onInput=${(event) => set({ note: event.currentTarget.value })} /></label><label>${t('except.expires')}<input type="date" required min=${day(0)} value=${said.expires} onInput=${(event) => set({ expires: event.currentTarget.value })} /></label></div>
    ${proposal && html`<h3>${t('except.difference')} <code>${proposal.file}</code></h3><${Diff} text=${proposal.diff} /><${Diagnostics} list=${proposal.diagnostics} text="" />`}<//>`;
}

/** Who did it, by the audit events that are stored; asked for when somebody wants to know. */
function Acts({ id }) {
  const state = useGet(`/api/v1/baselines/${encodeURIComponent(id)}/acts`);
  return html`<section><h3>${t('baselines.acts')}</h3><${Loaded} state=${state}>${({ acts, stopped }) => html`${acts.length ? html`<ul class="plain">${acts.map((act) => html`<li><${Time} at=${act.at} /> <strong><${Safe} text=${act.action || ''} most=${80} /></strong> ${act.identity || act.who ? html`<${Chip} field="user.name" value=${act.who || act.identity} />` : ''} ${act.from ? html`<${Chip} field="source.ip" value=${act.from} />` : ''} <small><${Safe} text=${act.agent || ''} most=${120} /></small>
    ${act.event && html` <a href=${page('hunt', { language: 'eql', query: `any where event.id == ${JSON.stringify(act.event)}`, from: '90d' })}>${t('baselines.event')}</a>`}</li>`)}</ul>` : html`<p>${t('baselines.acts.none')}</p>`}${stopped && html`<p class="warn">${t('hunt.partial')} ${stopped}</p>`}`}<//></section>`;
}

function Detail({ finding, may, onApprove, onAlert }) {
  if (!finding) return html`<aside class="detail"><p>${t('baselines.choose')}</p></aside>`;
  const { record, standing } = finding;
  const value = (one) => (Array.isArray(one) ? one.join(', ') : String(one));
  return html`<aside class="detail" aria-live="polite"><p class="line"><${Severity} of=${finding.severity} /> ${t(`class.${finding.class}`)} <span class=${`standing ${standing.is}`}>${t(`standing.${standing.is}`)}</span></p><h2><${Safe} text=${finding.title} most=${300} /></h2>
    ${finding.why && html`<p><${Safe} text=${finding.why} /></p>`}${standing.owner && html`<p>${t('owner')}: <${Safe} text=${standing.owner} />, ${t('except.expires')} ${standing.expires}. <${Safe} text=${standing.note || ''} /></p>`}
    ${may && standing.is !== 'approved' && html`<p class="actions"><button type="button" class="main" onClick=${onApprove}>${t('baselines.approve')} <kbd>a</kbd></button><button type="button" onClick=${onAlert}>${t('baselines.alert')} <kbd>A</kbd></button></p>`}
    ${finding.changes?.length > 0 && html`<h3>${t('baselines.changes')}</h3><table><thead><tr><th>${t('field')}</th><th>${t('baselines.before')}</th><th>${t('baselines.after')}</th></tr></thead><tbody>${finding.changes.map((one) => html`<tr><th scope="row">${one.field}</th><td class="minus"><${Safe} text=${one.before ?? '–'} most=${300} /></td><td class="plus"><${Safe} text=${one.after ?? '–'} most=${300} /></td></tr>`)}</tbody></table>`}
    <table><tbody>${FACTS.filter((name) => record[name] !== undefined && record[name] !== null && value(record[name]) !== '').map((name) => html`<tr><th scope="row">${name}</th><td><${Safe} text=${value(record[name])} most=${300} /></td></tr>`)}${finding.first_seen && html`<tr><th scope="row">${t('baselines.first')}</th><td><${Time} at=${finding.first_seen} /></td></tr>`}</tbody></table>
    <${Acts} key=${finding.id} id=${finding.id} /></aside>`;
}

function Findings({ value, again, me }) {
  const [cursor, setCursor] = useState(0);
  const [marked, setMarked] = useState(new Set());
  const standings = all('standing').length ? all('standing') : ['open', 'expired'];
  const classes = all('class');
  const wanted = first('q').toLowerCase();
  const shown = useMemo(() => value.findings.filter((one) => standings.includes(one.standing.is) && (!classes.length || classes.includes(one.class))
    && (!wanted || [one.title, one.record.id, one.record.kind, one.record.account, one.record.region, one.why].join(' ').toLowerCase().includes(wanted))), [value, standings.join(), classes.join(), wanted]);
  useEffect(() => { setCursor((at) => Math.min(at, Math.max(0, shown.length - 1))); }, [shown]);
  const chosen = shown.find((one) => one.id === first('difference'));
  const count = (name, of) => value.findings.filter((one) => of(one) === name).length;
  const open = (index) => shown[index] && change({ difference: shown[index].id });
  const selected = () => (marked.size ? shown.filter((one) => marked.has(one.id)) : [chosen || shown[cursor]].filter(Boolean)).filter((one) => one.standing.is !== 'approved');
  const mayApprove = ['engineer', 'admin'].includes(me.role);
  const mayAlert = me.role !== 'viewer';
  const done = () => { setMarked(new Set()); again(); };
  const approve = () => { const list = selected(); if (list.length) openDialog(() => html`<${ApproveForm} findings=${list} onDone=${done} />`); };
  const alert = () => { const list = selected(); if (list.length) post('/api/v1/baselines/alerts', { ids: list.map((one) => one.id) }).then((made) => { say(t('baselines.alerted', { count: made.new })); done(); }, sayProblem); };
  const mark = (one) => { const next = new Set(marked); if (!next.delete(one.id)) next.add(one.id); setMarked(next); };
  const turnStanding = (name) => change({ standing: standings.includes(name) ? standings.filter((one) => one !== name) : [...standings, name] });
  useKeys([
    ...listKeys({ t, count: () => shown.length, cursor: () => cursor, onCursor: setCursor, onOpen: open }),
    { key: 'x', text: t('mark'), when: () => shown.length > 0, run: () => mark(shown[cursor]) },
    { key: 'X', text: t('mark.all'), run: () => setMarked(marked.size ? new Set() : new Set(shown.map((one) => one.id))) },
    { key: 'a', text: t('baselines.approve'), when: () => mayApprove && shown.length > 0, run: approve },
    { key: 'A', text: t('baselines.alert'), when: () => mayAlert && shown.length > 0, run: alert },
    { key: '/', text: t('search'), run: () => document.getElementById('search').focus() },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
  ]);
  useEffect(() => { document.getElementById('list')?.focus({ preventScroll: true }); }, []);
  return html`<div class="filters"><input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')} onInput=${(event) => change({ q: event.currentTarget.value }, { replace: true })} />
      ${STANDINGS.map((name) => html`<button type="button" class="filter" aria-pressed=${standings.includes(name)} onClick=${() => turnStanding(name)}>${t(`standing.${name}`)} ${number(count(name, (one) => one.standing.is))}</button>`)}<span class="gap-between"></span>
      ${[...new Set(value.findings.map((one) => one.class))].map((name) => html`<button type="button" class="filter" aria-pressed=${classes.includes(name)} onClick=${() => toggle('class', name)}>${t(`class.${name}`)} ${number(count(name, (one) => one.class))}</button>`)}
      <button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button></div>
    <p class="summary" role="status">${t('baselines.count', { count: shown.length })}${marked.size ? html` · <strong>${t('mark.count', { count: marked.size })}</strong>` : ''} · ${t('baselines.same', { count: value.same })}${value.unknown.length ? html` · <span class="warn">${t('baselines.unknown', { count: value.unknown.reduce((sum, one) => sum + one.records, 0) })}</span>` : ''}</p>
    <div class="matrix-box baselines-box"><${List} count=${shown.length} cursor=${cursor} onCursor=${setCursor} onOpen=${open} label=${t('page.baselines')} empty=${t(value.findings.length ? 'baselines.none.shown' : 'baselines.none')}
      header=${['mark', 'sev', 'class', 'grow', 'kind', 'account', 'stat'].map((name) => html`<span role="columnheader" class=${name}>${name === 'mark' ? '' : t(`baselines.column.${name}`)}</span>`)}
      row=${(index) => { const one = shown[index]; return html`<span role="gridcell" class="mark"><input type="checkbox" tabindex="-1" checked=${marked.has(one.id)} aria-label=${t('mark')} onClick=${(event) => { event.stopPropagation(); mark(one); }} /></span><span role="gridcell" class="sev"><${Severity} of=${one.severity} /></span><span role="gridcell" class="class">${t(`class.${one.class}`)}</span>
        <span role="gridcell" class="grow"><a tabindex="-1" href=${page('baselines', { difference: one.id })} onClick=${(event) => { event.preventDefault(); open(index); }}><${Short} text=${one.title} most=${160} /></a></span><span role="gridcell" class="kind">${one.record.kind}</span><span role="gridcell" class="account"><${Short} text=${[one.record.account, one.record.region].filter(Boolean).join(' · ')} most=${60} /></span><span role="gridcell" class=${`stat standing ${one.standing.is}`}>${t(`standing.${one.standing.is}`)}</span>`; }} />
    <${Detail} finding=${chosen} may=${mayApprove} onApprove=${approve} onAlert=${alert} /></div>`;
}

export default function Baselines({ me }) {
  const state = useGet('/api/v1/baselines');
  const mayTake = ['engineer', 'admin'].includes(me.role);
  const take = () => post('/api/v1/baselines/take').then(({ records, file }) => { say(t('baselines.taken', { count: records, file })); state.again(); }, sayProblem);
  return html`<div class="baselines"><h1 class="hidden-title">${t('page.baselines')}</h1><${Loaded} state=${state}>${(value) => {
    if (!value.configured) return html`<div class="empty"><p>${t('baselines.unset')}</p><pre>[baselines]\ncollected = ["/var/lib/neph/collected"]</pre></div>`;
    return html`<div class="line">${value.baseline ? html`<span>${t('baselines.of')} <${Time} at=${value.baseline.taken} /> (${number(value.baseline.records)})</span>${value.collected.ended && html`<span>${t('baselines.collected')} <${Time} at=${value.collected.ended} /></span>`}` : html`<span>${t('baselines.first.take')}</span>`}${mayTake && html`<button type="button" class=${value.baseline ? '' : 'main'} onClick=${take}>${t('baselines.take')}</button>`}</div>
      <${JobLine} name="baselines" me=${me} onRun=${state.again} />${value.approvals.wrong > 0 && html`<p class="problem">${t('baselines.wrong', { file: value.approvals.file })}</p>`}${[...value.refused, ...(value.collected?.problems || []).slice(0, 5).map((one) => `${one.file}: ${one.what}`)].map((text) => html`<p class="warn"><${Safe} text=${text} most=${300} /></p>`)}
      ${value.baseline && html`<${Findings} value=${value} again=${state.again} me=${me} />`}`;
  }}<//><${Images} me=${me} /></div>`;
}
