// Dialogs and messages. A dialog is the browser's own: it holds the focus, and Escape closes it.

import { html, signal, useEffect, useRef, useState } from './ui.js';
import { useKeys } from './keys.js';
import { t } from './text.js';

/** The dialog that is open: a component, or null. */
export const dialog = signal(null);
/** Opens a dialog. */
export const openDialog = (component) => { dialog.value = component; };
export const closeDialog = () => { dialog.value = null; };

/** The frame of a dialog. `onSubmit` gets the data of the form; what it throws is shown in the dialog. */
export function Dialog({ title, children, onSubmit, submit, wide, problem }) {
  const element = useRef(null);
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    const data = Object.fromEntries(new FormData(event.currentTarget));
    setBusy(true);
    try {
      await onSubmit?.(data);
    } finally {
      setBusy(false);
    }
  };
  useKeys([], { modal: true });
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${element} class=${wide ? 'wide' : ''} aria-label=${title} onClose=${closeDialog}>
    <form method="dialog" onSubmit=${send} aria-busy=${busy}>
      <h2>${title}</h2>
      ${children}
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <footer>
        <button type="button" onClick=${closeDialog}>${t(onSubmit ? 'cancel' : 'close')}</button>
        ${onSubmit && html`<button type="submit" class="main" disabled=${busy}>${busy ? t('loading') : submit}</button>`}
      </footer>
    </form>
  </dialog>`;
}

/** Messages at the foot of the window. */
export const messages = signal([]);
let number = 0;

/** Tells something for a while; `action` is a button with it, such as undo. */
export function say(text, { kind = 'info', action } = {}) {
  number += 1;
  const message = { number, text, kind, action };
  messages.value = [...messages.value.slice(-3), message];
  setTimeout(() => unsay(message), kind === 'error' ? 15000 : 7000);
}

export const unsay = (message) => { messages.value = messages.value.filter((other) => other !== message); };
/** Tells what went wrong. */
export const sayProblem = (error) => {
  if (error.name !== 'AbortError' && error.status !== 401) say(error.message, { kind: 'error' });
};

/** The messages; screen readers are told of them. */
export function Messages() {
  return html`<div class="messages" role="status" aria-live="polite">${messages.value.map((message) => html`<div key=${message.number} class=${`message ${message.kind}`}>
    <span>${message.text}</span>
    ${message.action && html`<button type="button" onClick=${() => { unsay(message); message.action.run(); }}>${message.action.text}</button>`}
    <button type="button" class="quiet" aria-label=${t('close')} onClick=${() => unsay(message)}>×</button>
  </div>`)}</div>`;
}
