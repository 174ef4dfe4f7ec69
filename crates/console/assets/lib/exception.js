// An exception made of an alert: values are chosen, the overlay's difference is shown, and writing it takes effect at once.

import { html, useEffect, useState } from './ui.js';
import { get, post } from './api.js';
import { Dialog, closeDialog, say } from './dialog.js';
import { withDocument, writeOverlay } from './overlays.js';
import { Diagnostics, Diff, Status, Time } from './parts.js';
import { Safe, Short } from './safe.js';
import { number, t } from './text.js';

/** Text in YAML that is a string whatever it holds: JSON's strings are YAML's (YAML 1.2, 1.3). */
export const yamlText = (text) => JSON.stringify(String(text)).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Fields with their values that made the alert, and what it is about; what an exception may be made of. */
export function fieldsOf(whole) {
  const found = new Map();
  for (const step of whole.document?.neph?.alert?.steps || []) {
    for (const event of step.events || []) {
      for (const [field, values] of Object.entries(event.matched_fields || {})) {
        for (const value of [].concat(values)) found.set(`${field}\u0000${value}`, { field, value });
      }
    }
  }
  for (const { field, value } of whole.entities) if (!field.endsWith('entity_id')) found.set(`${field}\u0000${value}`, { field, value });
  return [...found.values()].sort((a, b) => a.field.localeCompare(b.field));
}

const day = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);

function overlay({ rule, name, owner, reason, expires, values }) {
  const fields = new Map();
  for (const { field, value } of values) fields.set(field, [...(fields.get(field) || []), value]);
  const scalar = (value) => (typeof value === 'number' || typeof value === 'boolean' ? String(value) : yamlText(value));
  return [
    `name: ${yamlText(name)}`, `owner: ${yamlText(owner)}`, `reason: ${yamlText(reason)}`, ...(expires ? [`expires: ${expires}`] : []),
    'select:', `  ids: [${yamlText(rule.id)}]`, 'exceptions:', `  - name: ${yamlText(name)}`, '    fields:',
    ...[...fields].map(([field, list]) => `      ${yamlText(field)}: ${list.length === 1 ? scalar(list[0]) : `[${list.map(scalar).join(', ')}]`}`),
  ].join('\n') + '\n';
}

/** The form; with `days` it ends by itself, which is what snoozing is. */
export function ExceptionForm({ id, me, days }) {
  const [whole, setWhole] = useState(null);
  const [chosen, setChosen] = useState(new Set());
  const [said, setSaid] = useState({ file: 'console', reason: '', expires: day(days || 90) });
  const [proposal, setProposal] = useState(null);
  const [hidden, setHidden] = useState(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    get(`/api/v1/alerts/${id}`).then(setWhole, (error) => setProblem(error.message));
  }, [id]);
  const fields = whole ? fieldsOf(whole) : [];
  const values = fields.filter((_, index) => chosen.has(index));
  const change = (next) => { setSaid({ ...said, ...next }); setProposal(null); };
  const rule = { id: whole?.rule_id, name: whole?.rule_name };
  const textOf = async () => {
    const name = `${said.reason || t('do.except')} ${new Date().toISOString().slice(0, 19)}`;
    return withDocument(said.file, overlay({ rule, name, owner: me.name, ...said, values }));
  };
  const propose = async () => {
    const made = await textOf();
    const answer = await post(`/api/v1/overlays/${encodeURIComponent(said.file)}/proposal`, { text: made.text });
    setProposal({ ...made, answer });
  };
  // What it would have hidden of the alerts that are stored.
  useEffect(() => {
    setHidden(null);
    if (!values.length) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const of = {};
      for (const { field, value } of values) (of[field] ||= []).push(value);
      post(`/api/v1/rules/${encodeURIComponent(rule.id)}/hidden`, { fields: of }, abort.signal).then(setHidden, (error) => { if (error.name !== 'AbortError') setProblem(error.message); });
    }, 200);
    return () => { clearTimeout(timer); abort.abort(); };
  }, [chosen]);
  const submit = async () => {
    try {
      setProblem('');
      if (!proposal) { await propose(); return; }
      if (!proposal.answer.valid) return;
      await writeOverlay(said.file, proposal);
      closeDialog();
      say(t('except.done', { file: said.file }));
    } catch (error) {
      setProblem(error.message);
      setProposal(null);
    }
  };
  // Another dialog, so that the focus goes to its first field.
  if (!whole) return html`<${Dialog} key="wait" title=${t('do.except')} problem=${problem}><p>${t('loading')}</p><//>`;
  return html`<${Dialog} key="form" wide title=${`${t(days ? 'do.snooze' : 'do.except')}: ${rule.name}`} submit=${t(proposal ? 'except.write' : 'except.show')} onSubmit=${submit} problem=${problem}>
    <fieldset class="values"><legend>${t('except.values')}</legend>${fields.map(({ field, value }, index) => html`<label class="choice"><input type="checkbox" autofocus=${index === 0} checked=${chosen.has(index)}
      onChange=${() => { const next = new Set(chosen); if (!next.delete(index)) next.add(index); setChosen(next); setProposal(null); }} /> <code><${Short} text=${field} most=${120} /></code> <${Safe} text=${String(value)} most=${200} /></label>`)}</fieldset>
    ${values.length > 0 && html`<div role="status" class="hides">${!hidden ? t('loading') : html`<p>${t('except.hides', { count: hidden.hidden, of: number(hidden.looked_at) })} ${hidden.true_positives > 0 && html`<strong class="problem">${t('except.hides.true', { count: hidden.true_positives })}</strong>`}</p>
      ${hidden.examples.length > 0 && html`<details><summary>${t('except.hides.which')}</summary><ul class="plain">${hidden.examples.map((one) => html`<li><${Time} at=${one.time} short /> <${Status} of=${one} /> <${Short} text=${one.reason} most=${160} /></li>`)}</ul></details>`}`}</div>`}
    <div class="fields"><label>${t('reason')}<input required value=${said.reason} onInput=${(event) => change({ reason: event.currentTarget.value })} /></label>
    <label>${t('except.expires')}<input type="date" value=${said.expires} required=${Boolean(days)} min=${day(1)} onInput=${(event) => change({ expires: event.currentTarget.value })} /></label>
    <label>${t('except.file')}<input required pattern="[a-z0-9][a-z0-9\\-]{0,63}" value=${said.file} onInput=${(event) => change({ file: event.currentTarget.value })} /></label></div>
    ${!values.length && html`<p class="hint">${t('except.none')}</p>`}
    ${proposal && html`<h3>${t('except.difference')} <code>${proposal.answer.file}</code></h3><${Diff} text=${proposal.answer.diff} /><${Diagnostics} list=${proposal.answer.diagnostics} text=${proposal.text} />`}
  <//>`;
}
