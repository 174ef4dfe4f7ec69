// Logging in: a token becomes a cookie that scripts cannot read.

import { html, useState } from '../lib/ui.js';
import { del, loggedOut, session } from '../lib/api.js';
import { t } from '../lib/text.js';

export async function logOut() {
  await del('/api/v1/session').catch(() => {});
  loggedOut.value = true;
}

export function Login({ onIn }) {
  const [problem, setProblem] = useState('');
  const send = async (event) => {
    event.preventDefault();
    const field = event.currentTarget.elements.token;
    try {
      await session(field.value.trim());
      field.value = '';
      setProblem('');
      await onIn();
    } catch (error) {
      setProblem(error.status === 401 ? t('login.refused') : error.message);
    }
  };
  return html`<main class="login"><form onSubmit=${send}><h1><img src="/console/icon.svg" alt="" width="40" height="40" /> Nephoscope</h1>
    <label>${t('login.token')}<input name="token" type="password" autocomplete="current-password" required autofocus spellcheck="false" /></label>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <button class="main" type="submit">${t('login')}</button>
    <p class="hint">${t('login.hint')} <code>neph token create NAME --role analyst</code></p></form></main>`;
}
