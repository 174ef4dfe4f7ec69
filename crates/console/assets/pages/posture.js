// Whether the mitigations are there: the checks of settings over what was collected, by mitigation and technique, with evidence and what mends it.

import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { post, put } from '../lib/api.js';
import { all, change, first } from '../lib/route.js';
import { useKeys } from '../lib/keys.js';
import { useGet } from '../lib/load.js';
import { List, listKeys } from '../lib/list.js';
import { Diagnostics, Diff, Loaded, Severity, Technique, Time, copy, page } from '../lib/parts.js';
import { Safe, Short } from '../lib/safe.js';
import { Dialog, closeDialog, openDialog, say, sayProblem } from '../lib/dialog.js';
import { number, t } from '../lib/text.js';
import { Gone, JobLine } from '../lib/schedule.js';
import { ViewsForm } from '../lib/views.js';

const OUTCOMES = ['fail', 'unknown', 'pass', 'muted'];
const outcomeOf = (finding) => (finding.mute ? 'muted' : finding.outcome);
const keyOf = (finding) => [finding.check, finding.platform, finding.account, finding.region, finding.resource].join('|');
const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);

/** Muting one failure: the difference of the list is shown before it is written. */
function MuteForm({ finding, onDone }) {
  const [said, setSaid] = useState({ reason: '', expires: day(90) });
  const [proposal, setProposal] = useState(null);
  const [problem, setProblem] = useState('');
  const set = (next) => { setSaid({ ...said, ...next }); setProposal(null); };
  const submit = async () => {
    setProblem('');
    const body = { check: finding.check, resource: finding.resource, account: finding.account || null, ...said };
    try {
      if (!proposal) {
        setProposal(await post('/api/v1/posture/mute/proposal', body));
        return;
      }
      if (!proposal.valid) return;
      await put('/api/v1/posture/mute', { ...body, base: proposal.base });
      closeDialog();
      say(t('posture.muted', { file: proposal.file }));
      onDone();
    } catch (error) {
      setProblem(error.message);
      setProposal(null);
    }
  };
  return html`<${Dialog} wide title=${`${t('posture.mute')}: ${finding.check}`} submit=${t(proposal ? 'except.write' : 'except.show')} onSubmit=${submit} problem=${problem}><p><${Safe} text=${finding.resource} most=${300} /></p>
    <div class="fields"><label>${t('reason')}<input required autofocus maxlength="1000" value=${said.reason} onInput=${(event) => set({ reason: event.currentTarget.value })} /></label><label>${t('except.expires')}<input type="date" required min=${day(0)} value=${said.expires} onInput=${(event) => set({ expires: event.currentTarget.value })} /></label></div>
    ${proposal && html`<h3>${t('except.difference')} <code>${proposal.file}</code></h3><${Diff} text=${proposal.diff} /><${Diagnostics} list=${proposal.diagnostics} text="" />`}<//>`;
}

function Detail({ finding, check, may, onMute }) {
  if (!finding) return html`<aside class="detail"><p>${t('posture.choose')}</p></aside>`;
  return html`<aside class="detail" aria-live="polite"><p class="line"><${Severity} of=${finding.severity} /> <span class=${`outcome ${outcomeOf(finding)}`}>${t(`outcome.${outcomeOf(finding)}`)}</span> <code>${finding.check}</code></p><h2>${check?.title}</h2><p><strong><${Safe} text=${finding.resource} most=${300} /></strong> <${Safe} text=${[finding.platform, finding.account, finding.region].filter(Boolean).join(' · ')} most=${200} /></p>
    <p><${Safe} text=${finding.what} most=${1000} /></p>${finding.mute && html`<p>${t('owner')}: <${Safe} text=${finding.mute.owner} />, ${t('except.expires')} ${finding.mute.expires}. <${Safe} text=${finding.mute.reason} /></p>`}
    ${may && finding.outcome === 'fail' && !finding.mute && html`<p class="actions"><button type="button" onClick=${onMute}>${t('posture.mute')} <kbd>m</kbd></button></p>`}
    ${check && html`<p class="line">${check.techniques.map((id) => html`<${Technique} id=${id} /> `)}${check.mitigations.map((id) => html`<a href=${`https://attack.mitre.org/mitigations/${id}/`} target="_blank" rel="noopener noreferrer">${id}</a> `)}${check.techniques.map((id) => html`<a href=${page('rules', { q: id })}>${t('posture.rules', { id })}</a>`)}</p><p class="help"><${Safe} text=${check.why} most=${1000} /></p>`}
    ${finding.evidence.length > 0 && html`<h3>${t('evidence')}</h3><table><tbody>${finding.evidence.map((one) => html`<tr><th scope="row"><${Safe} text=${one.field} most=${200} /></th><td><${Safe} text=${one.value} most=${300} /><div class="help"><${Safe} text=${`${one.file}${one.line ? `:${one.line}` : ''}`} most=${300} /></div></td></tr>`)}</tbody></table>`}
    ${finding.fix.length > 0 && html`<h3>${t('posture.fix')} <button type="button" class="quiet" onClick=${() => copy(finding.fix.join('\n'))}>${t('chip.copy')}</button></h3><pre tabindex="0" role="region" aria-label=${t('posture.fix')}><${Safe} text=${finding.fix.join('\n')} most=${6000} /></pre>`}
    ${finding.first_failed && html`<p>${t('posture.first')} <${Time} at=${finding.first_failed} /></p>`}
    ${check && html`<h3>${t('posture.reads')}</h3><ul class="plain">${[...check.needs, ...check.reads].map((command) => html`<li><code>${command}</code></li>`)}</ul>`}</aside>`;
}

function Findings({ value, again, me }) {
  const [cursor, setCursor] = useState(0);
  const outcomes = all('outcome').length ? all('outcome') : ['fail'];
  const mitigation = first('mitigation');
  const technique = first('technique');
  const wanted = first('q').toLowerCase();
  const checks = useMemo(() => new Map(value.checks.map((check) => [check.id, check])), [value]);
  const of = (finding) => checks.get(finding.check);
  const fits = (finding) => (!mitigation || of(finding)?.mitigations.includes(mitigation)) && (!technique || of(finding)?.techniques.includes(technique));
  const shown = useMemo(() => value.findings.filter((one) => outcomes.includes(outcomeOf(one)) && fits(one)
    && (!wanted || [one.check, one.resource, one.what, one.account, one.region, of(one)?.title].join(' ').toLowerCase().includes(wanted))), [value, outcomes.join(), mitigation, technique, wanted]);
  useEffect(() => { setCursor((at) => Math.min(at, Math.max(0, shown.length - 1))); }, [shown]);
  useEffect(() => { document.getElementById('list')?.focus({ preventScroll: true }); }, []);
  const chosen = value.findings.find((one) => keyOf(one) === first('finding'));
  const open = (index) => shown[index] && change({ finding: keyOf(shown[index]) });
  const may = ['engineer', 'admin'].includes(me.role);
  const under = () => chosen || shown[cursor];
  const mute = () => { const finding = under(); if (finding?.outcome === 'fail' && !finding.mute) openDialog(() => html`<${MuteForm} finding=${finding} onDone=${again} />`); };
  const names = (key) => [...new Set(value.checks.flatMap((check) => check[key]))].sort();
  const turnOutcome = (name) => change({ outcome: outcomes.includes(name) ? outcomes.filter((one) => one !== name) : [...outcomes, name] });
  const counts = { fail: value.failed, unknown: value.unknown, pass: value.passed, muted: value.muted };
  useKeys([
    ...listKeys({ t, count: () => shown.length, cursor: () => cursor, onCursor: setCursor, onOpen: open }),
    { key: 'm', text: t('posture.mute'), when: () => may && Boolean(under()), run: mute },
    { key: '/', text: t('search'), run: () => document.getElementById('search').focus() },
    { key: 'v', text: t('views'), run: () => openDialog(ViewsForm) },
  ]);
  const choice = (name, key) => html`<label class="hidden-label"><span>${t(name)}</span><select value=${first(key)} onChange=${(event) => change({ [key]: event.currentTarget.value })}><option value="">${t(name)}</option>${names(`${key}s`).map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`;
  return html`<div class="filters"><input type="search" id="search" placeholder=${t('search')} aria-label=${t('search')} value=${first('q')} onInput=${(event) => change({ q: event.currentTarget.value }, { replace: true })} />
      ${OUTCOMES.map((name) => html`<button type="button" class="filter" aria-pressed=${outcomes.includes(name)} onClick=${() => turnOutcome(name)}>${t(`outcome.${name}`)} ${number(counts[name])}</button>`)}${choice('posture.mitigation', 'mitigation')}${choice('facet.technique', 'technique')}
      <button type="button" onClick=${() => openDialog(ViewsForm)}>${t('views')}</button></div>
    <p class="summary" role="status">${t('posture.count', { count: shown.length })}${value.more ? html` · <span class="warn">${t('posture.more', { count: value.more })}</span>` : ''}</p>
    <div class="matrix-box baselines-box"><${List} count=${shown.length} cursor=${cursor} onCursor=${setCursor} onOpen=${open} label=${t('page.posture')} empty=${t(value.findings.length ? 'posture.none.shown' : 'posture.none')}
      header=${['sev', 'stat', 'class', 'grow', 'account'].map((name) => html`<span role="columnheader" class=${name}>${t(`posture.column.${name}`)}</span>`)}
      row=${(index) => { const one = shown[index]; return html`<span role="gridcell" class="sev"><${Severity} of=${one.severity} /></span><span role="gridcell" class=${`stat outcome ${outcomeOf(one)}`}>${t(`outcome.${outcomeOf(one)}`)}</span><span role="gridcell" class="class"><${Short} text=${one.check} most=${60} /></span>
        <span role="gridcell" class="grow"><a tabindex="-1" href=${page('posture', { finding: keyOf(one) })} onClick=${(event) => { event.preventDefault(); open(index); }}><${Short} text=${`${one.resource}: ${one.what}`} most=${200} /></a></span><span role="gridcell" class="account"><${Short} text=${[one.account, one.region].filter(Boolean).join(' · ')} most=${60} /></span>`; }} />
    <${Detail} finding=${chosen} check=${chosen && of(chosen)} may=${may} onMute=${mute} /></div>`;
}

export default function Posture({ me }) {
  const state = useGet('/api/v1/posture');
  const may = ['engineer', 'admin'].includes(me.role);
  const remember = () => post('/api/v1/posture/runs').then((ran) => { say(t('posture.ran', { count: ran.failed, new: ran.new })); state.again(); }, sayProblem);
  return html`<div class="posture"><h1 class="hidden-title">${t('page.posture')}</h1><${Loaded} state=${state}>${(value) => {
    if (!value.configured) return html`<div class="empty"><p>${t('posture.unset')}</p><pre>[posture]\ncollected = ["/var/lib/neph/collected"]</pre></div>`;
    const last = value.runs[0];
    return html`<div class="line"><span>${t('posture.files', { count: value.files })}</span>${last && html`<span>${t('posture.last')} <${Time} at=${last.at} />: ${number(last.failed)}</span>`}${may && html`<button type="button" onClick=${remember}>${t('posture.run')}</button>`}</div>
      <${JobLine} name="posture" me=${me} onRun=${state.again} /><${Gone} name="posture" />
      ${value.mutes.wrong > 0 && html`<p class="problem">${t('posture.wrong', { file: value.mutes.file })}</p>`}<${Findings} value=${value} again=${state.again} me=${me} />`;
  }}<//></div>`;
}
