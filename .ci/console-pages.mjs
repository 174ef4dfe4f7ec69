// Part of console.mjs: filters that exclude, hunting, rules, coverage, sources and entities, each as a person uses it.

import fs from 'node:fs';
import path from 'node:path';

/** The layer of ATT&CK Navigator, format 4.5 (layers/spec/v4.5 of github.com/mitre-attack/attack-navigator): what is wrong with one. */
function wrongInLayer(layer) {
  const wrong = [];
  const is = (where, value, type) => { if (typeof value !== type) wrong.push(`${where} is ${typeof value}`); };
  is('name', layer.name, 'string');
  is('domain', layer.domain, 'string');
  if (!['enterprise-attack', 'mobile-attack', 'ics-attack'].includes(layer.domain)) wrong.push(`domain ${layer.domain}`);
  for (const key of ['attack', 'navigator', 'layer']) is(`versions.${key}`, layer.versions?.[key], 'string');
  if (layer.versions?.layer !== '4.5') wrong.push(`layer ${layer.versions?.layer}`);
  const known = ['name', 'versions', 'domain', 'customDataURL', 'description', 'filters', 'sorting', 'layout', 'hideDisabled', 'techniques', 'gradient', 'legendItems', 'showTacticRowBackground', 'tacticRowBackground', 'selectTechniquesAcrossTactics', 'selectSubtechniquesWithParent', 'selectVisibleTechniques', 'metadata', 'links'];
  for (const key of Object.keys(layer)) if (!known.includes(key)) wrong.push(`unknown ${key}`);
  if (![0, 1, 2, 3].includes(layer.sorting)) wrong.push('sorting');
  if (!['side', 'flat', 'mini'].includes(layer.layout?.layout) || !['none', 'annotated', 'all'].includes(layer.layout?.expandedSubtechniques)) wrong.push('layout');
  const ofTechnique = { techniqueID: 'string', tactic: 'string', comment: 'string', showSubtechniques: 'boolean', score: 'number', color: 'string', enabled: 'boolean', links: 'object', metadata: 'object' };
  for (const [index, one] of layer.techniques.entries()) {
    for (const [key, value] of Object.entries(one)) {
      if (!(key in ofTechnique)) wrong.push(`techniques[${index}].${key}`);
      else is(`techniques[${index}].${key}`, value, ofTechnique[key]);
    }
    if (!/^T\d{4}(\.\d{3})?$/.test(one.techniqueID)) wrong.push(`techniques[${index}].techniqueID`);
    for (const entry of one.metadata || []) if (typeof entry.name !== 'string' || typeof entry.value !== 'string') wrong.push(`techniques[${index}].metadata`);
  }
  if (layer.gradient?.colors?.length < 2 || layer.gradient.colors.some((color) => !/^#[0-9a-f]{6}([0-9a-f]{2})?$/i.test(color))) wrong.push('gradient.colors');
  is('gradient.minValue', layer.gradient?.minValue, 'number');
  is('gradient.maxValue', layer.gradient?.maxValue, 'number');
  return wrong.slice(0, 5);
}

export async function checkPages({ page, base, api, alertsOf, check, until, press, send, sleep, folder, snapshots, RULE }) {
  const url = () => new URL(page.url());
  const goto = async (way, ready) => { await page.goto(base + way); await page.waitForSelector(ready); };
  const blur = () => page.evaluate(() => document.activeElement.blur());
  const text = (selector) => page.textContent(selector);

  // What is excluded.
  await goto('/console/alerts?status=open', '.row.cursor');
  const open = await alertsOf('status=open');
  await press('d');
  check('a key excludes what the alert under the cursor is about', await until(() => url().searchParams.getAll('not').some((one) => one.startsWith('host.name:')), 5), url().search);
  const [host] = url().searchParams.getAll('not');
  const left = await alertsOf(`status=open&not=${encodeURIComponent(host)}`);
  check('it is excluded from the count', left === open - 1, `${left} of ${open}`);
  await until(async () => !(await text('.rows')).includes(`\`${host.slice(10)}\``), 10);
  check('and from the list', !(await text('.rows')).includes(`\`${host.slice(10)}\``) && (await text('.summary')).includes(left.toLocaleString('en-US')), await text('.summary'));
  await page.fill('#search', '-host.name:web-9 curl');
  await page.focus('#search');
  await press('Enter');
  check('what is typed with a minus becomes a filter, the rest stays text', await until(() => url().searchParams.getAll('not').includes('host.name:web-9') && url().searchParams.get('q') === 'curl', 5), url().search);
  await page.click('.facets button:has-text("High")', { modifiers: ['Shift'] });
  check('Shift excludes the value of a facet', await until(() => url().searchParams.getAll('not').includes('severity:high'), 5), url().search);
  check('its filter says so', (await page.locator('.filter.not').count()) === 3 && (await page.locator('.filter.not').last().textContent()).includes('≠'));
  await page.reload();
  await page.waitForSelector('.filter.not');
  check('the address holds what is excluded', await page.locator('.filter.not').count() === 3);
  await page.locator('.filter.not').last().click();
  check('a click takes it away', await until(() => !url().searchParams.getAll('not').includes('severity:high'), 5));
  await goto(`/console/alerts?status=open&entity=host.name:web-20&entity=host.name:web-21&not=host.name:web-21`, '.row.cursor');
  await press('X', 'a');
  check('an action is for what is not excluded', await until(async () => await alertsOf('status=acknowledged&entity=host.name:web-20') === 1, 10) && await alertsOf('status=acknowledged&entity=host.name:web-21') === 0);

  // Hunting: mistakes where they are, the plan, fields, bars.
  await goto('/console/hunt?from=7d', '.editor textarea');
  await page.fill('.editor textarea', 'process where proces.name == "curl" and host.name != "web-3"');
  await page.waitForSelector('.squiggle');
  check('a mistake is marked where it is', await text('.squiggle') === 'proces.name', await text('.squiggle'));
  await page.click('.diagnostics button');
  check('its fix is written by a click', (await page.inputValue('.editor textarea')).startsWith('process where process.name =='));
  await page.focus('.editor textarea');
  await press('Control+Enter');
  await page.waitForSelector('.results tbody tr', { timeout: 60000 });
  await press('Escape', 'p');
  await page.waitForSelector('.plan li code');
  check('the plan is shown', (await text('.plan')).includes('event.category') && url().searchParams.get('plan') === '1');
  const total = async () => Number(((await text('.summary')).match(/[\d,]+/) || ['0'])[0].replace(/,/g, ''));
  const all = await total();
  await page.focus('.bars svg');
  await press('ArrowRight', 'Shift+ArrowRight', 'Shift+ArrowRight', 'Enter');
  const done = async () => /\d+ results? in/.test(await text('.summary'));
  await until(async () => url().searchParams.get('to') && await done() && await total() < all, 20);
  check('a span of the bars is searched', await total() > 0 && await total() < all, `${await total()} of ${all}`);
  await goto('/console/hunt?language=eql&query=process%20where%20process.name%20%3D%3D%20%22curl%22&from=7d', '.field-list li');
  const before = await total();
  const value = (place) => `.field-list section:has-text("host.name") li:nth-child(${place})`;
  const counted = async (place) => Number((await text(`${value(place)} .count`)).replace(/,/g, ''));
  const gone = await counted(2);
  await page.click(`${value(2)} button:first-child`, { modifiers: ['Shift'] });
  check('Shift excludes a value of the field list', await until(async () => url().searchParams.get('query').includes('host.name != "') && await done() && await total() === before - gone, 20), url().searchParams.get('query'));
  const kept = await counted(1);
  await page.click(`${value(1)} button:first-child`);
  check('a click includes one', await until(async () => url().searchParams.get('query').includes('host.name == "') && await done() && await total() === kept, 20), url().searchParams.get('query'));
  for (const [language, query, wanted] of [['kql', 'process.name: curl or process.name: wget', '(process.name: curl or process.name: wget) and host.name:"web-'], ['lucene', 'process.name:curl', 'process.name:curl AND host.name:"web-']]) {
    await goto(`/console/hunt?language=${language}&query=${encodeURIComponent(query)}&from=7d`, '.field-list li');
    const own = await counted(1);
    await page.click(`${value(1)} button:first-child`);
    check(`so it is in ${language}`, await until(async () => url().searchParams.get('query').startsWith(wanted) && await done() && await total() === own, 20), url().searchParams.get('query'));
  }
  await goto(`/console/hunt?language=sigma&from=7d&query=${encodeURIComponent('selection:\n  process.name: curl\ncondition: selection')}`, '.results tbody tr');
  check('a piece of Sigma finds events', await total() > 0);

  // A file is searched and not kept.
  const file = path.join(folder, 'found.ndjson');
  fs.writeFileSync(file, [1, 2, 3].map((number) => JSON.stringify({ '@timestamp': `2020-01-01T00:00:0${number}Z`, event: { category: ['process'], type: ['start'] }, process: { name: number === 3 ? 'nc' : 'ncat', pid: number } })).join('\n'));
  await goto('/console/hunt?language=eql&query=process%20where%20process.name%20%3A%20%22nc*%22&from=1h', '.summary');
  await page.setInputFiles('.hidden-file', file);
  check('a file is searched, whatever its times', await until(async () => await total() === 3, 20), await text('.summary'));
  check('nothing of it is kept', (await api('/api/v1/hunt', { method: 'POST', body: JSON.stringify({ query: 'process where process.name : "nc*"', from: '2019-01-01' }) })).total === 0);

  // A query becomes a rule that runs.
  await goto('/console/hunt?language=eql&query=process%20where%20process.name%20%3D%3D%20%22curl%22%20and%20host.name%20%3D%3D%20%22web-5%22&from=7d', '.results tbody tr');
  await blur();
  await press('R');
  await page.waitForSelector('dialog input[name=name]');
  await page.fill('dialog input[name=name]', 'Curl on web five');
  await press('Enter');
  await page.waitForSelector('dialog textarea');
  check('the rule has a test of what was found', (await page.locator('dialog textarea').nth(1).inputValue()).includes('"web-5"'));
  await page.click('dialog button.main');
  await page.waitForSelector('dialog .cases', { timeout: 60000 });
  check('its test is run before it is written', (await text('dialog .cases')).includes('passed'), await text('dialog .cases'));
  check('and its file is shown', (await text('dialog .diff')).includes('+name = "Curl on web five"') && (await text('dialog')).includes('curl-on-web-five.toml'));
  await page.click('dialog button.main');
  await page.waitForSelector('dialog[open]', { state: 'detached', timeout: 60000 });
  const written = await until(async () => (await api('/api/v1/rules')).rules.find((rule) => rule.name === 'Curl on web five'), 60);
  check('the rule is there without a new start', written?.state === 'active' && written.file.endsWith('/rules/curl-on-web-five.toml'), written?.file);
  await send(['web-5']);
  check('and raises alerts', await until(async () => await alertsOf(`rule=${written.id}`) >= 1, 60));
  await goto(`/console/rule/${written.id}`, '.rule-page h1');
  await blur();
  await press('i');
  await page.waitForSelector('dialog textarea');
  const source = await page.locator('dialog textarea').first().inputValue();
  await page.locator('dialog textarea').first().fill(source.replace('"medium"', '"nonsense"'));
  await page.click('dialog button.main');
  await page.waitForSelector('dialog .diagnostics .error', { timeout: 60000 });
  check('a wrong rule is told and not written', (await text('dialog .diagnostics')).includes('nonsense') && (await api(`/api/v1/rule-files/curl-on-web-five.toml`)).text === source);
  await page.locator('dialog textarea').first().fill(source.replace('"medium"', '"high"'));
  await page.click('dialog button.main');
  await page.waitForSelector('dialog .diff', { timeout: 60000 });
  await page.click('dialog button.main');
  await page.waitForSelector('dialog[open]', { state: 'detached', timeout: 60000 });
  await until(async () => (await api('/api/v1/rules')).rules.find((rule) => rule.id === written.id)?.severity === 'high', 60);
  await page.reload();
  await page.waitForSelector('.rule-page .diff', { timeout: 30000 });
  check('what changed in the file is shown', (await text('.rule-page')).includes('+severity = "high"'));

  // All rules: order, tests, cost, switching.
  await goto('/console/rules', '.row.cursor');
  await page.click('.row.head >> text=Rule');
  check('a column orders the rules, and the address says so', await until(() => url().searchParams.get('sort') === 'name', 5) && await page.getAttribute('.row.head .grow', 'aria-sort') === 'ascending');
  await page.fill('#search', 'Curl on web');
  await until(async () => await page.locator('.rows .row').count() === 1, 5);
  await page.focus('#list');
  await press('T');
  check('tests run from the list', await until(async () => (await text('.rows .tests')).includes('✓'), 60), await text('.rows .tests'));
  await press('C');
  check('the cost is measured', await until(async () => /\d µs/.test(await text('.rows .cost')) && /\d B|KiB/.test(await text('.rows .memory')), 120), await text('.rows .cost'));
  check('the list says when the rule was evaluated', /\d\d:\d\d/.test(await text('.rows .last')));
  await page.fill('#search', 'web');
  await until(async () => await page.locator('.rows .row').count() > 1, 5);
  await page.focus('#list');
  await press('Home', 'x', 'j', 'x', 'd');
  await page.waitForSelector('dialog input');
  await page.fill('dialog input', 'too loud\nfor now');
  await press('Enter');
  await page.waitForSelector('dialog .diff', { timeout: 60000 });
  check('the difference of switching is shown', (await text('dialog .diff')).includes('+enabled: false') && (await text('dialog .diff')).includes('too loud'));
  await press('Enter');
  await page.waitForSelector('dialog[open]', { state: 'detached', timeout: 60000 });
  const off = async () => (await api('/api/v1/rules')).rules.filter((rule) => rule.enabled === false).length;
  check('two rules are switched off', await until(async () => await off() === 2, 60), await off());
  await press('u');
  check('and it is undone', await until(async () => await off() === 0, 60), await off());

  // One rule.
  await goto(`/console/rule/${RULE}`, '.rule-page h1');
  await blur();
  await press('T');
  await page.waitForSelector('#tests .cases', { timeout: 60000 });
  check('the tests of a rule run on its page', !(await text('#tests')).includes('✗') && await page.locator('#tests .cases li').count() > 3);
  check('what an exception changed is shown against the author', await until(async () => (await text('.rule-page .diff')).includes('exceptions'), 20));
  check('the strip says when it ran', await page.locator('.strip .ran.active').count() > 0);
  check('what makes noise is told by entity', (await text('.noise')).includes('www-data'));
  await goto('/console/rules?show=overlays', '.upkeep table');
  check('overlays and lists have owners and ends', (await text('.upkeep')).includes('admin') && (await text('.upkeep')).includes('the host of the scanner'));

  // The matrix.
  await goto('/console/coverage', '.matrix .cell');
  const cells = () => page.locator('.matrix .cell').count();
  const folded = await cells();
  await blur();
  await press('o');
  check('sub-techniques unfold', await until(async () => await cells() > folded, 10), `${folded} and ${await cells()}`);
  await page.selectOption('.filters select', { index: 1 });
  check('the matrix is that of a tag', await until(() => Boolean(url().searchParams.get('tag')), 5));
  await goto('/console/coverage?show=list', '.gap-list tbody tr');
  check('gaps are listed with their reasons', (await text('.gap-list')).includes('No rule names it.'));
  await goto('/console/coverage?technique=T1552.005', '.detail h3');
  check('a technique leads to rules and mitigations', await page.locator('.detail a[href*="/console/rule/"]').count() > 0 && await page.locator('.detail a[href*="/mitigations/"]').count() > 0);
  const [download] = await Promise.all([page.waitForEvent('download'), press('E')]);
  const layer = JSON.parse(fs.readFileSync(await download.path(), 'utf8'));
  check('the layer is of format 4.5', wrongInLayer(layer).length === 0 && layer.techniques.some((one) => one.score > 0), wrongInLayer(layer).join(', '));
  const layerFile = path.join(folder, 'layer.json');
  fs.writeFileSync(layerFile, JSON.stringify({ name: 'Threats of <b>ours</b>', versions: { layer: '4.5', attack: '18', navigator: '5.1.0' }, domain: 'enterprise-attack', techniques: [{ techniqueID: 'T1552.005', score: 7 }, { techniqueID: 'T1078', score: 3 }, { techniqueID: 'X1', score: 1 }] }));
  await page.setInputFiles('.layer-file', layerFile);
  await page.waitForSelector('.cell.laid');
  check('a layer is laid over the matrix, and what is wrong in it is told', (await text('.layer-problems')).includes('techniqueID') && (await text('.cell.laid .score')).length > 0);
  await page.reload();
  await page.waitForSelector('.cell.laid');
  check('the address holds the layer', (await text('.filters')).includes('<b>ours</b> (2)'));
  await goto('/console/coverage', '.layer-file');
  for (const [bad, word] of [['{', 'JSON'], ['{"techniques": 5}', 'no list'], ['[]', 'no list'], [JSON.stringify({ versions: { layer: '3.0' }, domain: 'ics-attack', techniques: [] }), 'format 4']]) {
    fs.writeFileSync(layerFile, bad);
    await page.setInputFiles('.layer-file', layerFile);
    check(`a file that is no layer is told: ${bad.slice(0, 20)}`, await until(async () => (await page.locator('.layer-problems').count()) > 0 && (await text('.layer-problems')).includes(word), 5));
  }

  // Sources.
  await fetch(`${base}/ingest`, { method: 'POST', headers: { Authorization: `Bearer ${fs.readFileSync(path.join(folder, 'data', 'token'), 'utf8').trim()}`, 'X-Neph-Stream': 'broken' }, body: '{"eventVersion": "1.08", "eventSource": \n' });
  await goto('/console/sources', '.sources-table .sparkline rect');
  check('sources have their records over time', await page.locator('.bars .part-hit').count() > 0);
  await page.click('.sources-table tr:has-text("endpoint") >> text=Examine');
  await page.waitForSelector('dialog h3', { timeout: 60000 });
  check('a source is examined', /\d events/.test(await text('dialog')));
  await press('Escape');
  const [sample] = await Promise.all([page.waitForEvent('download'), page.click('.sources-table tr:has-text("endpoint") >> text=Sample')]);
  const lines = fs.readFileSync(await sample.path(), 'utf8').trim().split('\n');
  check('its newest records can be taken along', lines.length > 50 && lines.every((line) => JSON.parse(line)), lines.length);
  await page.focus('.bars svg');
  await press('End', 'Enter');
  await page.waitForSelector('dialog input[name=from]');
  check('a span of it can be filled again', (await page.inputValue('dialog input[name=from]')).includes('T'));
  await press('Escape');

  // An entity.
  await goto('/console/entity?field=user.name&value=www-data', '.bars svg');
  await page.focus('.bars svg');
  await press('Shift+ArrowRight', 'Enter');
  check('a span of an entity is chosen for all of its page', await until(() => Boolean(url().searchParams.get('to')), 5));
  await sleep(500);
  check('with its own count', Number((await text('.facts dd')).replace(/,/g, '')) < await alertsOf('entity=user.name:www-data'), await text('.facts dd'));

  // Baselines: taken, differing, explained, approved, alerted.
  await goto('/console/baselines', '.baselines button.main');
  await page.click('.baselines button.main');
  await page.waitForSelector('.baselines .list', { timeout: 30000 });
  check('a baseline is taken', await until(async () => (await text('.baselines')).includes('Everything is as in the baseline.'), 20));
  snapshots(['snap-0aaaaaaaaaaaaaaa1', { Encrypted: false }], ['snap-0aaaaaaaaaaaaaaa3', { StartTime: new Date().toISOString() }]);
  await page.reload();
  await page.waitForSelector('.rows .row');
  const classes = (await page.locator('.rows .row .class').allTextContents()).sort().join();
  check('what differs is told', classes === 'Changed,Gone,New', classes);
  await page.click('.rows .row:has-text("Changed") a');
  await page.waitForSelector('.detail td.plus');
  check('what changed is shown, and the address holds it', (await text('.detail')).includes('encrypt') && Boolean(url().searchParams.get('difference')));
  await blur();
  await press('a');
  await page.waitForSelector('dialog input[type=date]');
  await page.fill('dialog .fields input', 'migrated to the new key');
  await press('Enter');
  await page.waitForSelector('dialog .diff');
  check('an approval is shown as a difference of its file', (await text('dialog .diff')).includes('+[[approved]]') && (await text('dialog .diff')).includes('migrated'));
  await press('Enter');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  check('it is approved', await until(async () => (await api('/api/v1/baselines')).findings.filter((one) => one.standing.is === 'approved').length === 1, 10));
  await goto('/console/baselines', '.rows .row');
  check('and out of sight', (await page.locator('.rows .row').count()) === 2);
  await page.click('.rows .row:has-text("New") a');
  await page.waitForSelector('.detail h2');
  await blur();
  await press('A');
  check('a difference becomes an alert', await until(async () => (await api('/api/v1/alerts?q=0aaaaaaaaaaaaaaa3&limit=1&total=true')).total === 1, 20));

  // Images on a schedule: what was found, run by hand, and what fails is told among the sources.
  await page.waitForSelector('.images .image-differences', { timeout: 30000 });
  const images = await text('.images');
  check('what an image differs by is told by path', images.includes('/var/www/html/shell.php') && images.includes('T1505.003') && images.includes('Differs from the golden one'), images.slice(0, 400));
  check('a run that failed is told', images.includes('none.tar'), images.slice(-300));
  const ended = (run) => run.state !== 'running';
  const runsOf = async (job) => (await api(`/api/v1/schedule/${encodeURIComponent(job)}`)).runs.filter(ended).length;
  await page.click('.images section:has(h3:has-text("shop")) .job button');
  check('a job runs by hand', await until(async () => await runsOf('images:shop') === 2, 30));
  await goto('/console/sources', 'table.jobs');
  const jobs = await text('table.jobs');
  check('jobs are told with their outcome and reason', jobs.includes('images:shop') && jobs.includes('done') && jobs.includes('failed') && jobs.includes('none.tar'), jobs);

  // Posture: failures with evidence and fix, muted.
  await goto('/console/posture', '.rows .row');
  await page.click('.rows .row:has-text("aws-imdsv1") a');
  await page.waitForSelector('.detail h3');
  const imds = await text('.detail');
  check('a failure has its evidence, technique and what mends it', imds.includes('HttpTokens') && imds.includes('T1552.005') && imds.includes('aws ec2 modify-instance-metadata-options'));
  await blur();
  await press('m');
  await page.waitForSelector('dialog input[type=date]');
  await page.fill('dialog .fields input', 'an old "agent" of ours');
  await press('Enter');
  await page.waitForSelector('dialog .diff');
  check('a mute is shown as a difference of its file', (await text('dialog .diff')).includes('+[[mute]]'));
  await press('Enter');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  check('it is muted', await until(async () => (await api('/api/v1/posture')).findings.some((one) => one.check === 'aws-imdsv1' && one.mute?.reason === 'an old "agent" of ours'), 10));
  await page.click('text=Check and remember');
  check('runs are remembered', await until(async () => (await api('/api/v1/posture')).runs.length === 1, 20));

  // Everything by name.
  await goto('/console/hunt', '.editor');
  await press('Control+k');
  await page.waitForSelector('.palette li');
  await page.keyboard.type('go to: rules');
  await press('Enter');
  check('the palette leads to every page', await until(() => url().pathname === '/console/rules', 5), url().pathname);
}
