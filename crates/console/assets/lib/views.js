// Saved views: addresses with a name, kept by the service as files, so that a team shares them.

import { html, useState } from './ui.js';
import { del, put } from './api.js';
import { Dialog, closeDialog, say, sayProblem } from './dialog.js';
import { address, go, here } from './route.js';
import { useGet } from './load.js';
import { Loaded } from './parts.js';
import { t } from './text.js';

export function ViewsForm({ me }) {
  const state = useGet('/api/v1/views');
  const [problem, setProblem] = useState('');
  const mayWrite = me.role !== 'viewer';
  const save = async ({ name }) => {
    try {
      const view = { path: here.value.path, query: here.value.query };
      await put(`/api/v1/views/${encodeURIComponent(name.trim())}`, view);
      closeDialog();
      say(t('views.saved', { name }));
    } catch (error) {
      setProblem(error.message);
    }
  };
  const open = (view) => {
    closeDialog();
    go(address(view.path, view.query));
  };
  return html`<${Dialog} title=${t('views')} onSubmit=${mayWrite && save} submit=${t('views.save')} problem=${problem}>
    <${Loaded} state=${state}>${({ views }) => (views.length ? html`<ul class="views">${views.map((view, index) => html`<li><button type="button" autofocus=${index === 0} onClick=${() => open(view)}>${view.name}</button>
      ${mayWrite && html`<button type="button" class="quiet" aria-label=${t('views.remove', { name: view.name })} onClick=${() => del(`/api/v1/views/${encodeURIComponent(view.name)}`).then(state.again, sayProblem)}>×</button>`}</li>`)}</ul>`
    : html`<p>${t('views.none')}</p>`)}<//>
    ${mayWrite && html`<label>${t('views.name')}<input name="name" required maxlength="60" autocomplete="off" /></label>`}
  <//>`;
}
