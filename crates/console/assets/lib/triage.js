// The forms of working on alerts.

import { html, useState } from './ui.js';
import { Dialog, closeDialog } from './dialog.js';
import { act } from './alerts.js';
import { t } from './text.js';

const VERDICTS = ['true_positive', 'benign', 'false_positive'];

/** Runs an action for a target, and closes the form. */
const submit = (target, action) => { closeDialog(); return act(action, target); };
const title = (key, target) => `${t(key)}: ${t('alerts.count', { count: target.count })}`;

/** Closing wants a verdict and why: the rule's precision and every later tuning rest on it. */
export function CloseForm({ target }) {
  const [verdict, setVerdict] = useState('true_positive');
  return html`<${Dialog} title=${title('do.close', target)} submit=${t('do.close')} onSubmit=${({ reason }) => submit(target, { type: 'close', verdict, reason })}>
    <fieldset><legend>${t('facet.verdict')}</legend>${VERDICTS.map((value, index) => html`<label class="choice"><input type="radio" name="verdict" value=${value} checked=${verdict === value} autofocus=${index === 0}
      onChange=${() => setVerdict(value)} /> ${t(`verdict.${value}`)} <small>${t(`verdict.${value}.means`)}</small></label>`)}</fieldset>
    <label>${t('reason')}<input name="reason" maxlength="1000" autocomplete="off" /></label><//>`;
}

export function NoteForm({ target }) {
  return html`<${Dialog} title=${title('do.note', target)} submit=${t('do.note')} onSubmit=${({ text }) => submit(target, { type: 'note', text })}>
    <label>${t('note')}<textarea name="text" rows="4" required autofocus></textarea></label><//>`;
}

export function AssignForm({ target, me }) {
  return html`<${Dialog} title=${title('do.assign', target)} submit=${t('do.assign')} onSubmit=${({ assignee }) => submit(target, { type: 'assign', assignee: assignee.trim() || null })}>
    <label>${t('facet.assignee')}<input name="assignee" value=${me.name} autofocus autocomplete="off" /></label><p class="hint">${t('assign.empty')}</p><//>`;
}

export function TagForm({ target }) {
  return html`<${Dialog} title=${title('do.tag', target)} submit=${t('do.tag')} onSubmit=${({ tags }) => submit(target, { type: 'add_tags', tags: tags.split(',').map((tag) => tag.trim()).filter(Boolean) })}>
    <label>${t('tags')}<input name="tags" required autofocus autocomplete="off" /></label><p class="hint">${t('tags.hint')}</p><//>`;
}
