// Container images that are looked at: how they differ from the golden ones, who signed them, what containers became.

import { html } from './ui.js';
import { useGet } from './load.js';
import { Loaded, Severity, Technique, Time, page } from './parts.js';
import { Safe, Short } from './safe.js';
import { JobLine } from './schedule.js';
import { t } from './text.js';

/** Differences of one image that are shown at once. */
const MOST = 100;

function Differences({ list, more }) {
  const shown = list.filter((one) => one.severity !== 'info');
  if (!shown.length) return null;
  return html`<table class="image-differences"><tbody>${shown.slice(0, MOST).map((one) => html`<tr><td><${Severity} of=${one.severity} /></td><td>${one.kind}${one.approved ? ` (${t('standing.approved')})` : ''}</td><td><code><${Short} text=${one.path || ''} most=${160} /></code> <${Safe} text=${one.what} most=${300} /></td><td>${one.techniques.map((id) => html`<${Technique} id=${id} /> `)}</td></tr>`)}</tbody></table>
    ${shown.length + more > MOST ? html`<p class="warn">${t('posture.more', { count: shown.length + more - MOST })}</p>` : ''}`;
}

function Seen({ of }) {
  const verdict = of.verification?.verdict;
  return html`<section class="image"><h4><${Short} text=${of.image} most=${160} />${of.sameness && html` <span class=${`outcome ${of.sameness === 'different' ? 'fail' : 'pass'}`}>${t(`image.${of.sameness}`)}</span>`}${verdict && html` <span class=${`outcome ${verdict === 'verified' ? 'pass' : 'fail'}`}>${t(`image.${verdict}`)}</span>`}</h4>
    ${of.digest && html`<p class="help"><code><${Short} text=${of.digest} most=${80} /></code></p>`}${of.error && html`<p class="problem"><${Safe} text=${of.error} most=${400} /></p>`}${of.verification && verdict !== 'verified' && html`<p><${Safe} text=${of.verification.why} most=${400} /></p>`}
    <${Differences} list=${of.differences} more=${of.more} />${of.drift.length > 0 && html`<h5>${t('image.drift')}</h5><${Differences} list=${of.drift} more=${0} />`}</section>`;
}

/** Groups of images of the configuration, each with what its newest run found. */
export function Images({ me }) {
  const state = useGet('/api/v1/images');
  return html`<${Loaded} state=${state}>${({ groups }) => groups.length > 0 && html`<section class="images"><h2>${t('images')}</h2>${groups.map(({ job, at, images }) => html`<section><h3>${job.name.replace(/^images:/, '')} <a class="hint" href=${page('alerts', { q: 'neph-image' })}>${t('images.alerts')}</a></h3><${JobLine} name=${job.name} me=${me} onRun=${state.again} />
    ${at && html`<p class="hint">${t('images.at')} <${Time} at=${at} /></p>`}${(images || []).map((one) => html`<${Seen} of=${one} />`)}</section>`)}</section>`}<//>`;
}
