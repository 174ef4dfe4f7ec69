// Rules switched on and off by an overlay of its own: a line for each rule that says who, when and why, so that its file reads as a book.

import { html, signal, useEffect, useState } from './ui.js';
import { del, get, post } from './api.js';
import { Dialog, closeDialog, say, sayProblem } from './dialog.js';
import { writeOverlay } from './overlays.js';
import { yamlText } from './exception.js';
import { Diagnostics, Diff } from './parts.js';
import { t } from './text.js';

const FILE = 'switches';
const PATH = `/api/v1/overlays/${FILE}`;
const LINE = /^ {4}- ("(?:[^"\\]|\\.)*")/;

/** The lines of the file's two parts, by rule; `null` where somebody gave the file another form. */
export function readSwitches(text) {
  const found = { off: new Map(), on: new Map() };
  let part = null;
  for (const line of text.split('\n')) {
    if (/^name: "?(rules that are switched off)/.test(line)) part = found.off;
    else if (/^name: "?(rules that are switched on)/.test(line)) part = found.on;
    else if (LINE.test(line) && part) part.set(JSON.parse(LINE.exec(line)[1]), line);
    else if (!/^(owner:|reason:|select:| {2}ids:|enabled: (true|false)$|---$|$)/.test(line)) return null;
  }
  return found;
}

export function writeSwitches({ off, on }, owner) {
  const part = (name, lines, enabled) => (lines.size ? [`name: ${name}\nowner: ${yamlText(owner)}\nreason: who, when and why stands behind each rule\nselect:\n  ids:\n${[...lines.values()].join('\n')}\nenabled: ${enabled}\n`] : []);
  return [...part('rules that are switched off', off, false), ...part('rules that are switched on', on, true)].join('---\n');
}

/** The file with rules switched, made of the text that is there. */
function switched(before, rules, enabled, { owner, reason }) {
  const found = readSwitches(before);
  if (!found) throw new Error(t('switch.form', { file: FILE }));
  const said = `${owner}, ${new Date().toISOString().slice(0, 10)}: ${reason}`.replace(/\s+/g, ' ').replace(/[^\P{C} ]/gu, '');
  const [to, away] = enabled ? [found.on, found.off] : [found.off, found.on];
  for (const rule of rules) {
    // What only undoes an earlier line needs none of its own.
    if (!away.delete(rule.id) && (rule.enabled ?? true) !== enabled) to.set(rule.id, `    - ${yamlText(rule.id)} # ${said}`);
  }
  return writeSwitches(found, owner);
}

/** Takes back the last switching; null where there is none. */
export const undoSwitch = signal(null);

/** `rules`: `[{ id, name, enabled }]`, as they are now. */
export function SwitchForm({ rules, enabled, me, onDone }) {
  const [reason, setReason] = useState('');
  const [before, setBefore] = useState(undefined);
  const [proposal, setProposal] = useState(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    get(PATH).then(setBefore, (error) => { if (error.status === 404) setBefore(null); else setProblem(error.message); });
  }, []);
  const write = (text, base) => (text ? writeOverlay(FILE, { text, base }) : del(PATH));
  const submit = async () => {
    setProblem('');
    try {
      if (!proposal) {
        const text = switched(before?.text || '', rules, enabled, { owner: me.name, reason });
        setProposal({ text, answer: text ? await post(`${PATH}/proposal`, { text }) : { diff: (before?.text || '').split('\n').map((line) => `-${line}`).join('\n'), valid: Boolean(before), diagnostics: [] } });
        return;
      }
      if (!proposal.answer.valid) return;
      const written = await write(proposal.text, before?.hash ?? null);
      closeDialog();
      onDone();
      const undo = async () => {
        undoSwitch.value = null;
        try {
          if (before) await writeOverlay(FILE, { text: before.text, base: proposal.text ? written.hash : null });
          else await del(PATH);
          say(t('switch.undone'));
          onDone();
        } catch (error) {
          sayProblem(error);
        }
      };
      undoSwitch.value = undo;
      say(t(enabled ? 'switch.on.done' : 'switch.off.done', { count: rules.length }), { action: { text: t('undo'), run: undo } });
    } catch (error) {
      setProblem(error.message);
      setProposal(null);
    }
  };
  return html`<${Dialog} wide title=${t(enabled ? 'switch.on.count' : 'switch.off.count', { count: rules.length })} submit=${t(proposal ? 'except.write' : 'except.show')} onSubmit=${submit} problem=${problem}>
    <ul class="chosen-rules">${rules.slice(0, 12).map((rule) => html`<li>${rule.name || rule.id}</li>`)}${rules.length > 12 && html`<li>… ${rules.length - 12}</li>`}</ul>
    <label>${t('reason')}<input required autofocus maxlength="300" value=${reason} onInput=${(event) => { setReason(event.currentTarget.value); setProposal(null); }} /></label>
    ${proposal && html`<h3>${t('except.difference')} <code>${proposal.answer.file || `${FILE}.yml`}</code></h3><${Diff} text=${proposal.answer.diff} /><${Diagnostics} list=${proposal.answer.diagnostics} text=${proposal.text} />`}<//>`;
}
