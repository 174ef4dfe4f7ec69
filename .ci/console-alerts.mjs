// The part of the console's trial that is about alerts: one alert whole, incidents and groups, columns, what an exception would hide, and
// alerts that attackers write. Run by console.mjs.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const minutes = (count) => new Date(Date.now() - count * 60e3);

/** Two records of CloudTrail: somebody makes a snapshot and shares it with an account that nobody knows. */
function snapshotShared() {
  const record = (name, at, requestParameters, responseElements, number) => JSON.stringify({
    eventVersion: '1.10', userIdentity: { type: 'IAMUser', principalId: 'AIDATRIAL', arn: 'arn:aws:iam::111122223333:user/mallory', accountId: '111122223333', accessKeyId: 'AKIATRIAL', userName: 'mallory' },
    eventTime: at.toISOString().replace(/\.\d+/, ''), eventSource: 'ec2.amazonaws.com', eventName: name, awsRegion: 'eu-west-1', sourceIPAddress: '198.51.100.99', userAgent: 'aws-cli/2.17.32', requestParameters, responseElements,
    requestID: `30000000-0000-0000-0000-00000000000${number}`, eventID: `40000000-0000-0000-0000-00000000000${number}`, readOnly: false, eventType: 'AwsApiCall', managementEvent: true, recipientAccountId: '111122223333', eventCategory: 'Management',
  });
  return [record('CreateSnapshot', minutes(20), { volumeId: 'vol-0trial' }, { snapshotId: 'snap-0trial', volumeId: 'vol-0trial', status: 'pending' }, 1),
    record('ModifySnapshotAttribute', minutes(12), { snapshotId: 'snap-0trial', createVolumePermission: { add: { items: [{ userId: '999988887777' }] } }, attributeType: 'CREATE_VOLUME_PERMISSION' }, { _return: true }, 2)];
}

/** One alert whole: its evidence, what was around it, how rare it is, its graph, its test. */
export async function alertPages({ page, base, token, api, check, until, press, sleep, RULE, target, profile, data, hosts }) {
  const alert = (await api(`/api/v1/alerts?rule=${RULE}&entity=host.name:web-5&limit=1`)).alerts[0];
  await page.goto(`${base}/console/alert/${alert.id}`);
  await page.waitForSelector('article.alert .complete');
  const completeness = await api(`/api/v1/alerts/${alert.id}/completeness`);
  check('an alert says whether its evidence is complete', await page.evaluate(() => document.querySelector('.complete').classList.contains('whole')) === completeness.complete);
  check('and which interval was evaluated', (await page.textContent('article.alert header')).includes('Evaluated') && new Date(completeness.from) < new Date(completeness.to));
  check('matched fields stand with their step', (await page.textContent('dl.matched')).includes('security-credentials'));
  check('the tree of processes has the parent', (await page.textContent('.tree')).includes('php-fpm') && await page.locator('.tree .mine').count() === 1);
  await page.waitForSelector('.prevalence tbody tr');
  const rows = await page.evaluate(() => [...document.querySelectorAll('.prevalence tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent.trim())));
  const curl = rows.find(([name]) => name.startsWith('process.name'));
  check('prevalence counts hosts over all that is stored', curl && Number(curl[2].replace(/\D/g, '')) >= Math.min(hosts, 10_000) && Number(curl[3]) === 1, curl?.join(' '));
  const host = rows.find(([name]) => name.startsWith('host.name'));
  check('and what is rare is rare', host && Number(host[1]) >= 1 && Number(host[1]) <= 3, host?.join(' '));

  // The graph, by keys.
  await page.waitForSelector('.graph .node');
  const nodes = await page.locator('.graph .node').count();
  check('the graph has principal and processes, and few nodes', nodes >= 3 && nodes <= 150 && await page.locator('.graph .node.principal').count() >= 1, nodes);
  await page.locator('.graph .node[tabindex="0"]').focus();
  const before = await page.evaluate(() => document.activeElement.dataset.node);
  await press('ArrowRight');
  await sleep(100);
  const after = await page.evaluate(() => document.activeElement.dataset.node);
  check('arrow keys go from node to node', before && after && before !== after);
  await press('Enter');
  check('Enter looks at the ways of one node', await page.locator('.graph .node.focus').count() === 1);
  await press('h');
  check('h hides it', await until(async () => await page.locator('.graph .node').count() === nodes - 1, 5));
  await page.evaluate(() => document.activeElement?.blur?.());

  // Steps, pivots, neighbours.
  await press('ArrowRight');
  check('an arrow key goes to the evidence', await page.evaluate(() => document.activeElement.classList.contains('event')));
  await page.locator('dl.matched .chip button').first().click();
  check('a value leads on', await page.locator('.menu button').count() >= 3);
  await press('Escape');
  const far = await page.evaluate((time) => Math.max(0, ...[...document.querySelectorAll('.timeline li > button time')].map((one) => Math.abs(new Date(one.dateTime) - new Date(time)) / 60e3)), alert.time);
  check('what is around it is within half an hour', far <= 30.1, far);
  await page.goto(`${base}/console/alerts?rule=${RULE}`);
  await page.waitForSelector('.row.cursor');
  await press('Enter');
  await page.waitForSelector('article.alert');
  const first = page.url();
  await press(']');
  check('] goes to the next alert', await until(() => page.url() !== first, 5));

  // A test of it, which passes.
  await page.goto(`${base}/console/alert/${alert.id}`);
  await page.waitForSelector('article.alert');
  await press('T');
  await page.waitForSelector('dialog pre', { timeout: 60000 });
  check('the test of an alert passes', await page.locator('dialog .holds').count() === 1, await page.textContent('dialog p'));
  await page.locator('dialog button[type=submit]').click();
  await page.waitForSelector('dialog[open]', { state: 'detached', timeout: 60000 });
  const written = fs.readdirSync(path.join(data, 'tests')).filter((name) => name.endsWith('.test.yaml'));
  check('and is written beside the rules', written.length === 1, written.join(' '));
  const told = execFileSync(path.join(target, profile, 'neph'), ['rules', 'test', path.join(data, 'tests')], { encoding: 'utf8' });
  check('where neph rules test runs it', told.includes('1 passed, 0 failed'), told.trim().split('\n').at(-1));

  // A cloud's requests in their order.
  await fetch(`${base}/ingest`, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'text/plain' }, body: `${snapshotShared().join('\n')}\n` });
  const shared = await until(async () => (await api('/api/v1/alerts?entity=user.name:mallory&limit=10')).alerts.find((one) => one.reason.includes('ModifySnapshotAttribute') && one.reason.includes('CreateSnapshot')), 30);
  check('a snapshot that is shared raises its alert', Boolean(shared));
  if (!shared) return;
  await page.goto(`${base}/console/alert/${shared.id}`);
  const calls = page.locator('section', { has: page.getByRole('heading', { name: 'Requests in their order' }) });
  await calls.waitFor();
  check('a session shows its requests in order', /CreateSnapshot[\s\S]*ModifySnapshotAttribute/.test(await calls.textContent()) && (await calls.textContent()).includes('AKIATRIAL'));
  check('the graph goes from principal over session to resource', await until(async () => await page.locator('.graph .node.session').count() === 1 && await page.locator('.graph .node.resource').count() >= 2, 10));
  check('mitigations say how to check them', await until(async () => (await page.textContent('article.alert')).includes('neph audit entitlements --capability snapshot-share'), 10));
}

/** What belongs together is shown as one, and worked on as one. */
export async function groupPages({ page, base, api, check, until, press, alertsOf }) {
  await page.goto(`${base}/console/alerts?group=incident&entity=user.name:mallory`);
  await page.waitForSelector('.row.cursor');
  const incident = (await api('/api/v1/incidents?entity=user.name:mallory')).incidents[0];
  check('alerts of one principal are one incident', await page.locator('.rows .row').count() === 1 && incident.alerts >= 2, incident.alerts);
  await press('Enter');
  await page.waitForSelector('article.incident .row.cursor');
  check('an incident has its own page', await page.locator('article.incident .rows .row').count() === incident.alerts);
  await press('a');
  check('an action is for all of it', await until(async () => await alertsOf('entity=user.name:mallory&status=acknowledged') === incident.alerts, 10));
  await press('u');
  check('and is undone', await until(async () => await alertsOf('entity=user.name:mallory&status=acknowledged') === 0, 10));
  await page.goto(`${base}/api/v1/incidents/${incident.id}/report`);
  const report = await page.evaluate(() => ({ text: document.body.textContent, loaded: performance.getEntriesByType('resource').length }));
  check('its report stands alone and tells all', report.loaded === 0 && report.text.includes('CreateSnapshot') && (report.text.match(/What the rule finds/g) || []).length === incident.alerts);

  // Groups by entity: two of them are marked and closed.
  await page.goto(`${base}/console/alerts?group=entity&status=open&entity=:curl`);
  await page.waitForSelector('.row.cursor');
  const chosen = await page.evaluate(() => [...document.querySelectorAll('.rows .row')].map((row) => row.textContent).findIndex((text) => text.startsWith('host.name')));
  for (let step = 0; step < chosen; step += 1) await press('j');
  await press('x', 'j', 'x');
  const counted = await page.evaluate(() => [...document.querySelectorAll('.rows .row')].filter((row) => row.querySelector('input').checked).reduce((sum, row) => sum + Number(row.lastElementChild.textContent.replace(/\D/g, '')), 0));
  const acknowledged = await alertsOf('status=acknowledged');
  await press('a');
  check('an action is for the groups that are marked', counted >= 2 && await until(async () => await alertsOf('status=acknowledged') === acknowledged + counted, 10), counted);
  await press('u');
  await until(async () => await alertsOf('status=acknowledged') === acknowledged, 10);

  // Columns and how dense the list is stand in the address.
  await page.goto(`${base}/console/alerts`);
  await page.waitForSelector('.row.cursor');
  await press('C');
  await page.locator('dialog label', { hasText: 'Risk' }).locator('input').check();
  await page.selectOption('dialog select[name=density]', 'compact');
  await page.selectOption('dialog select[name=sort]', 'risk');
  await page.locator('dialog button[type=submit]').click();
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  await page.waitForSelector('.row.cursor .risk');
  const state = await page.evaluate(() => ({ height: document.querySelector('.row.cursor').offsetHeight, search: location.search, sorted: document.querySelector('[aria-sort]').textContent }));
  check('columns, order and density are chosen', state.height === 22 && /columns=/.test(state.search) && /density=compact/.test(state.search) && state.sorted.startsWith('Risk'), JSON.stringify(state));

  // What an exception would hide, before it is made.
  await page.goto(`${base}/console/alerts?entity=host.name:web-7`);
  await page.waitForSelector('.row.cursor');
  await press('s');
  await page.locator('dialog label.choice', { hasText: 'host.name' }).locator('input').check();
  await page.waitForSelector('dialog .hides p');
  const rule = (await api('/api/v1/alerts?entity=host.name:web-7&limit=1')).alerts[0].rule_id;
  // The newest 5,000 of the rule are looked at, and it says so.
  const told = await page.textContent('dialog .hides');
  const ofRule = await alertsOf(`rule=${rule}`);
  const expected = ofRule <= 5000 ? new RegExp(`hidden ${await alertsOf(`rule=${rule}&entity=host.name:web-7`)} stored alerts?, of ${ofRule.toLocaleString('en')} looked`) : /hidden [\d,]+ stored alerts?, of 5,000 looked/;
  check('what a snooze would hide is shown', expected.test(told), told);
  await press('Escape');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
}

export const EVIL = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>';

/** An event that an attacker writes: markup, control characters, turned text, long and deep values, thousands of keys. */
export function evilEvent() {
  let deep = { end: EVIL };
  for (let level = 0; level < 60; level += 1) deep = { [`d${level % 10}`]: deep };
  return {
    user: { name: `${EVIL}\u202egnp.exe\u0007\u200b`, id: EVIL },
    labels: { long: 'A'.repeat(1 << 20), wide: Object.fromEntries(Array.from({ length: 10_000 }, (_, key) => [`k${key}${key % 100 ? '' : EVIL}`, `${key}`])), deep, '__proto__x': EVIL },
    process: {
      entity_id: `evil${EVIL}`, name: EVIL, executable: `/tmp/${EVIL}`, command_line: `${EVIL} curl http://169.254.169.254/latest/meta-data/iam/security-credentials/ \u202e${'B'.repeat(100_000)}`, args: [EVIL, 'x'.repeat(5000)],
      parent: { entity_id: `parent${EVIL}`, name: `\u2066${EVIL}`, command_line: '\u0000\u001b[31m' },
    },
    destination: { domain: `${EVIL}.example` },
  };
}

/** Every place that shows such an event shows text, and holds its layout. */
export async function hostilePages({ page, base, api, check, sleep, until, shots, token, press }) {
  const id = (await api('/api/v1/alerts?entity=host.name:web-evil&limit=1')).alerts[0].id;
  const act = (action) => api('/api/v1/alerts/actions', { method: 'POST', body: JSON.stringify({ ids: [id], action }) });
  await act({ type: 'note', text: `${EVIL}\u202e ${'N'.repeat(20_000)}` });
  await act({ type: 'add_tags', tags: [EVIL, `\u202e${'t'.repeat(150)}`] });
  await act({ type: 'assign', assignee: `${EVIL}\u2067` });
  const value = encodeURIComponent(EVIL);
  const places = {
    list: '/console/alerts?entity=host.name:web-evil&columns=time,grow,entity,user,rule,labels,who', groups: '/console/alerts?group=entity&entity=host.name:web-evil', incidents: '/console/alerts?group=incident&entity=host.name:web-evil',
    assignees: '/console/alerts?group=assignee', alert: `/console/alert/${id}`, incident: `/console/incident/${id}`, report: `/api/v1/alerts/${id}/report`, incidentReport: `/api/v1/incidents/${id}/report`,
    entity: `/console/entity?field=user.id&value=${value}`, hunt: '/console/hunt?query=process%20where%20host.name%20%3D%3D%20%22web-evil%22&from=7d', filter: `/console/alerts?q=${value}&tag=${value}`,
  };
  for (const [name, way] of Object.entries(places)) {
    await page.goto(base + way);
    await page.waitForLoadState('networkidle').catch(() => {});
    await sleep(name === 'alert' ? 1500 : 500);
    if (name === 'hunt') { await page.locator('.editor textarea').focus(); await press('Control+Enter'); await page.waitForSelector('.results tbody tr', { timeout: 60000 }); await page.locator('.results button').first().click(); }
    for (const details of (await page.$$('details:not([open]) > summary')).slice(0, 40)) await details.click({ timeout: 2000 }).catch(() => {});
    if (name === 'alert') for (const more of (await page.$$('.more')).slice(0, 5)) await more.click({ timeout: 2000 }).catch(() => {});
    await page.screenshot({ path: path.join(shots, `hostile-${name}.png`) });
    const found = await page.evaluate(() => ({
      owned: window.owned, images: document.querySelectorAll('img[src="x"], script:not([src])').length, violations: window.violations || [], raw: /[\u202e\u2066\u2067\u0007\u001b\u200b]/.test(document.body.innerText.replace(document.querySelector('textarea')?.value ?? '', '')),
      wide: Math.max(document.documentElement.scrollWidth - innerWidth, ...[...document.querySelectorAll('main')].map((one) => one.scrollWidth - one.clientWidth)), shown: document.body.textContent.includes('<script>'), long: document.body.textContent.length,
    }));
    check(`hostile text stays text: ${name}`, !found.owned && !found.images && !found.violations.length && !found.raw && (found.shown || name === 'hunt'), JSON.stringify({ ...found, long: undefined }));
    check(`hostile text leaves the layout: ${name}`, found.wide <= 0 && found.long < 1_500_000, `${found.wide} ${found.long}`);
  }
  // A hostile alert is worked on as any other.
  await page.goto(`${base}/console/alert/${id}`);
  await page.waitForSelector('article.alert');
  await press('e');
  await page.waitForSelector('dialog label.choice');
  check('an exception of hostile values shows them as text', await page.evaluate(() => !window.owned && document.querySelector('dialog').textContent.includes('<script>')));
  await press('Escape');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  await press('T');
  await page.waitForSelector('dialog pre, dialog .problem', { timeout: 60000 });
  check('and so does its test', await page.evaluate(() => !window.owned && !document.querySelector('dialog img')));
  await press('Escape');
  await until(() => page.evaluate(() => !document.querySelector('dialog[open]')), 5);
}

/** With very many alerts: the list holds what it is asked to hold, and keys stay quick. */
export async function manyAlerts({ page, base, check, until, figures, keyTimes, profile, wanted = 50_000 }) {
  await page.goto(`${base}/console/alerts`);
  await page.waitForSelector('.row.cursor');
  let begin = Date.now();
  await page.evaluate(async (count) => { const store = await import('/console/lib/alerts.js'); await store.loadUntil(count); }, wanted);
  const held = await page.evaluate(async () => (await import('/console/lib/alerts.js')).rows.value.length);
  figures['ms to hold all rows'] = Date.now() - begin;
  check('the list holds 50,000 alerts', held >= wanted, held);
  await page.locator('#list').focus();
  const times = await keyTimes();
  figures['key to paint with 50,000 p50, ms'] = Math.round(times[Math.floor(times.length / 2)]);
  figures['key to paint with 50,000 p95, ms'] = Math.round(times[Math.floor(times.length * 0.95)]);
  check('a key is painted within 50 ms with 50,000 alerts', times[Math.floor(times.length * 0.95)] <= 50 || profile === 'debug', figures['key to paint with 50,000 p95, ms']);
  const scrolled = await page.evaluate(async () => {
    const list = document.getElementById('list');
    list.scrollTop = list.scrollHeight / 2;
    await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    return { rows: list.querySelectorAll('.rows .row').length, first: list.querySelector('.rows .row').getAttribute('aria-rowindex') };
  });
  check('scrolling draws only what is seen', scrolled.rows < 120 && Number(scrolled.first) > held / 3, JSON.stringify(scrolled));
  for (const [name, way, ready] of [['facets', '/console/alerts?severity=high', '.facets li'], ['grouped by rule', '/console/alerts?group=rule', '.rows .row'], ['grouped by entity', '/console/alerts?group=entity', '.rows .row'], ['grouped by incident', '/console/alerts?group=incident', '.rows .row'], ['histogram', '/console/alerts?status=open', '.bars rect'], ['search', '/console/alerts?q=curl', '.rows .row']]) {
    begin = Date.now();
    await page.goto(base + way);
    await until(() => page.evaluate((selector) => document.querySelectorAll(selector).length > 0, ready), 60);
    figures[`${name}, ms`] = Date.now() - begin;
  }
}
