// An alert as a test of its rule, in the form that `neph rules test` reads: copied, or written beside the rule.

import { html, useEffect, useState } from './ui.js';
import { put } from './api.js';
import { Dialog, closeDialog, say } from './dialog.js';
import { useGet } from './load.js';
import { Loaded, copy } from './parts.js';
import { Safe, plain } from './safe.js';
import { t } from './text.js';

export function CaseForm({ path, me }) {
  const state = useGet(`${path}/case`);
  const [problem, setProblem] = useState('');
  const mayWrite = me.role === 'engineer' || me.role === 'admin';
  const found = state.value;
  useEffect(() => { if (found) copy(found.text); }, [found?.text]);
  const write = async () => {
    try {
      const written = await put(`${path}/case`);
      closeDialog();
      say(t('case.written', { file: written.file }));
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<${Dialog} wide key=${found ? 'there' : 'wait'} title=${t('alert.case')} submit=${t('case.write')} onSubmit=${mayWrite && found && !found.written ? write : undefined} problem=${problem}>
    <${Loaded} state=${state}>${({ text, file, failures, written }) => html`
      <p>${failures.length ? html`<strong class="warn">${t('case.fails')}</strong> <${Safe} text=${failures.join('; ')} most=${600} />` : html`<strong class="holds">✓ ${t('case.passes')}</strong>`}</p>
      <p>${t(written ? 'case.there' : 'case.place')} <code><${Safe} text=${file} most=${300} /></code></p>
      <pre tabindex="0" role="region" aria-label=${t('alert.case')}>${plain(text.slice(0, 100_000))}</pre>
      <p><button type="button" autofocus onClick=${() => copy(text)}>${t('chip.copy')}</button> ${!mayWrite && html`<span class="hint">${t('case.role')}</span>`}</p>`}<//>
  <//>`;
}
