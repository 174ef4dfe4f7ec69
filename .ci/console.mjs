#!/usr/bin/env node
// The console in a real browser, against a service that runs: an analyst logs in, triages by keys alone, makes an exception, hunts,
// looks at every page; hostile alerts stay text; axe-core looks for what shuts people out.
//
//     node .ci/console.mjs [--alerts N] [--release] [--built]
//
// With --built the program is taken as it is. playwright-core and axe-core are installed below the target folder, Chromium with apt where it is missing and this is run by root.
// Screenshots of each page in both themes are left in TARGET/console/shots.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import * as trial from './console-alerts.mjs';
import { checkPages } from './console-pages.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const target = path.resolve(process.env.CARGO_TARGET_DIR || path.join(root, 'target'));
const work = path.join(target, 'console');
const shots = path.join(work, 'shots');
const many = Number(process.argv[process.argv.indexOf('--alerts') + 1] || 0) || 300;
const profile = process.argv.includes('--release') ? 'release' : 'debug';
const PACKAGES = ['playwright-core@1.65.1', 'axe-core@4.14.1'];
const RULE = '92d4171d-9930-41cf-9a44-98309f4f7122';

let failures = 0;
const figures = {};
function check(what, holds, detail = '') {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}${detail === '' ? '' : `: ${detail}`}`);
  if (!holds) failures += 1;
}
const sleep = (millis) => new Promise((done) => { setTimeout(done, millis); });
async function until(what, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await what();
    if (found || Date.now() > end) return found;
    await sleep(100);
  }
}

fs.mkdirSync(shots, { recursive: true });
if (!PACKAGES.every((name) => fs.existsSync(path.join(work, 'node_modules', name.split('@')[0])))) {
  fs.writeFileSync(path.join(work, 'package.json'), '{"private":true}');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...PACKAGES], { cwd: work, stdio: 'inherit' });
}
const browserPath = '/usr/bin/chromium';
if (!fs.existsSync(browserPath)) {
  execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core'], { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
}
if (!process.argv.includes('--built')) execFileSync('cargo', ['build', '-p', 'neph-cli', '--locked', ...(profile === 'release' ? ['--release'] : [])], { cwd: root, stdio: 'inherit' });
const { chromium } = createRequire(path.join(work, 'package.json'))('playwright-core');
const axe = fs.readFileSync(path.join(work, 'node_modules/axe-core/axe.min.js'), 'utf8');

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neph-console-'));
const data = path.join(folder, 'data');
const log = fs.openSync(path.join(folder, 'log'), 'w');
// What was collected: snapshots for the baseline, an instance for the checks.
const region = path.join(folder, 'collected/aws/111122223333/eu-west-1');
fs.mkdirSync(region, { recursive: true });
const snapshots = (...list) => fs.writeFileSync(path.join(region, 'ec2-describe-snapshots.json'), JSON.stringify({ Snapshots: list.map(([id, more]) => ({ SnapshotId: id, VolumeId: 'vol-1', VolumeSize: 8, State: 'completed', StartTime: '2026-11-01T00:00:00Z', OwnerId: '111122223333', Encrypted: true, ...more })) }));
snapshots(['snap-0aaaaaaaaaaaaaaa1'], ['snap-0aaaaaaaaaaaaaaa2']);
fs.writeFileSync(path.join(region, 'ec2-describe-instances.json'), JSON.stringify({ Reservations: [{ OwnerId: '111122223333', Instances: [{ InstanceId: 'i-0a1b2c3d4e5f60718', State: { Name: 'running' }, Placement: { AvailabilityZone: 'eu-west-1a' }, MetadataOptions: { State: 'applied', HttpTokens: 'optional', HttpPutResponseHopLimit: 2, HttpEndpoint: 'enabled', InstanceMetadataTags: 'disabled' } }] }] }));
// An image beside its golden one, looked at on a schedule.
fs.mkdirSync(path.join(folder, 'root/var/www/html'), { recursive: true });
fs.writeFileSync(path.join(folder, 'root/var/www/html/index.php'), '<?php echo 1;');
execFileSync('tar', ['-C', path.join(folder, 'root'), '-cf', path.join(folder, 'golden.tar'), '.']);
fs.writeFileSync(path.join(folder, 'root/var/www/html/shell.php'), '<?php system($_GET["c"]);');
execFileSync('tar', ['-C', path.join(folder, 'root'), '-cf', path.join(folder, 'app.tar'), '.']);
fs.writeFileSync(path.join(folder, 'neph.toml'), '[retention]\nkeep_free = "1MiB"\n[baselines]\ncollected = ["collected"]\n[posture]\ncollected = ["collected"]\n[[images]]\nname = "shop"\nimages = ["root:app.tar"]\ngolden = "root:golden.tar"\nevery = "1h"\nalerts = "off"\n[[images]]\nname = "lost"\nimages = ["root:none.tar"]\ngolden = "root:golden.tar"\nevery = "1h"\n');
const service = spawn(path.join(target, profile, 'neph'), ['serve', '--config', path.join(folder, 'neph.toml'), '--data', data, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'ignore', log] });
let browser = null;

const read = (name) => (fs.existsSync(path.join(data, name)) ? fs.readFileSync(path.join(data, name), 'utf8').trim() : '');
let base = '';
let token = '';
const api = async (way, init = {}) => {
  const response = await fetch(base + way, { ...init, headers: { Authorization: `Bearer ${token}`, ...(init.body ? { 'Content-Type': 'application/json' } : {}), ...init.headers } });
  const text = await response.text();
  if (!response.ok) throw new Error(`${way}: ${response.status} ${text.slice(0, 300)}`);
  return text ? JSON.parse(text) : null;
};
let sent = 0;
/** Sends processes that ask the metadata service for credentials, one for each host, six seconds apart: a rule tells 100 alerts of five minutes singly. */
async function send(hosts, more = {}) {
  for (let at = 0; at < hosts.length; at += 5000) {
    const lines = hosts.slice(at, at + 5000).flatMap((host, number) => {
      sent += 1;
      return [JSON.stringify({ create: { _index: 'logs-endpoint.events.process-default', _id: `console-${sent}` } }), JSON.stringify({
        '@timestamp': new Date(Date.now() - (hosts.length - at - number) * 6000).toISOString(), event: { category: ['process'], type: ['start'], action: 'exec', dataset: 'endpoint.events.process' }, host: { name: host, id: host, os: { type: 'linux' } }, user: { name: 'www-data', id: '33' },
        process: { pid: 4000 + sent % 60_000, entity_id: `${host}-${sent}`, name: 'curl', executable: '/usr/bin/curl', args: ['curl', 'http://169.254.169.254/latest/meta-data/iam/security-credentials/web'], command_line: 'curl http://169.254.169.254/latest/meta-data/iam/security-credentials/web',
          parent: { pid: 900, entity_id: `${host}-php`, name: 'php-fpm', executable: '/usr/sbin/php-fpm' } }, ...more,
      })];
    });
    await fetch(`${base}/_bulk`, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/x-ndjson' }, body: `${lines.join('\n')}\n` });
  }
}
const alertsOf = async (query) => (await api(`/api/v1/alerts?total=true&limit=1&${query}`)).total;

try {
  await until(() => { if (service.exitCode !== null) throw new Error('the service has ended'); return read('address') && read('token'); }, 120);
  [base, token] = [read('address'), read('token')];
  const hosts = Array.from({ length: many }, (_, number) => `web-${number}`);
  await send(hosts);
  check('every event became an alert', await until(async () => await alertsOf(`rule=${RULE}`) >= many, 60 + many / 100), many);

  browser = await chromium.launch({ executablePath: browserPath, headless: true, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  const problems = [];
  const asked = new Set();
  const open = async (theme) => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: theme, locale: 'en-US' });
    // axe is put in from outside; everything else lives under the page's own policy.
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('request', (request) => asked.add(new URL(request.url()).origin));
    await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => { (window.violations ||= []).push(`${event.violatedDirective} ${event.blockedURI}`); }));
    await page.goto(`${base}/`);
    await page.fill('input[name=token]', token);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.rail');
    return page;
  };
  const page = await open('light');
  const press = async (...keys) => { for (const key of keys) { await page.keyboard.press(key); await sleep(40); } };
  check('the token is kept where no script reads it', await page.evaluate(() => document.cookie === '' && !JSON.stringify([localStorage, sessionStorage]).includes('neph_')));

  // First rows, and how fast the keyboard is.
  let begin = Date.now();
  await page.goto(`${base}/console/alerts?status=open`);
  await page.waitForSelector('.row.cursor');
  figures['first rows, ms'] = Date.now() - begin;
  const keyTimes = () => page.evaluate(async () => {
    const list = [];
    for (let round = 0; round < 60; round += 1) {
      const at = performance.now();
      document.dispatchEvent(new KeyboardEvent('keydown', { key: round % 20 === 19 ? 'PageDown' : 'j', bubbles: true }));
      await new Promise((done) => { requestAnimationFrame(() => { const channel = new MessageChannel(); channel.port1.onmessage = done; channel.port2.postMessage(0); }); });
      list.push(performance.now() - at);
    }
    return list.sort((a, b) => a - b);
  });
  const times = await keyTimes();
  figures['key to paint p50, ms'] = Math.round(times[30]);
  figures['key to paint p95, ms'] = Math.round(times[57]);

  // Twenty alerts, with keys only.
  await page.goto(`${base}/console/alerts?status=open&status=acknowledged`);
  await page.waitForSelector('.row.cursor');
  const place = () => page.getAttribute('#list', 'aria-activedescendant');
  await press('j', 'j', 'j', 'Enter');
  await page.waitForSelector('article.alert');
  await press('Escape');
  await page.waitForSelector('.row.cursor');
  check('the list is as it was when an alert is left', await place() === 'list-3', await place());
  await press('k', 'k', 'k');
  const closed = () => alertsOf('status=closed');
  begin = Date.now();
  for (let round = 0; round < 20; round += 1) {
    if (round % 2) { await press('Enter'); await page.waitForSelector('article.alert'); }
    await press('c');
    await page.waitForSelector('dialog[open]');
    if (round % 3) await press('ArrowDown');
    await press('Tab');
    await page.keyboard.type(`checked ${round}`);
    await press('Enter');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    if (!await until(async () => await closed() === round + 1, 10)) break;
    if (round % 2) { await press('Escape'); await page.waitForSelector('.row.cursor'); }
    await press('j');
  }
  figures['seconds for 20 alerts'] = Math.round((Date.now() - begin) / 1000);
  check('20 alerts triaged with keys only', await closed() === 20, await closed());
  check('with the verdicts that were given', await alertsOf('verdict=benign') === 13 && await alertsOf('verdict=true_positive') === 7);
  await press('u');
  check('the last one is undone', await until(async () => await closed() === 19, 10));

  // All that is found at once.
  await page.goto(`${base}/console/alerts?status=open&entity=host.name:web-1`);
  await page.waitForSelector('.row.cursor');
  await press('X', 'a');
  check('an action is for all that the filter finds', await until(async () => await alertsOf('status=acknowledged&entity=host.name:web-1') >= 1 || await alertsOf('status=open&entity=host.name:web-1') === 0, 10));

  // An exception made of an alert; nothing of that host comes any more, others do.
  await page.goto(`${base}/console/alerts?entity=host.name:web-2`);
  await page.waitForSelector('.row.cursor');
  await press('e');
  const box = page.locator('dialog label.choice', { hasText: 'host.name' }).locator('input');
  await box.waitFor();
  await box.focus();
  await press('Space');
  await page.fill('dialog .fields label:first-child input', 'the host of the scanner');
  await press('Enter');
  await page.waitForSelector('dialog .diff', { timeout: 60000 });
  check('the difference of the file is shown', (await page.textContent('dialog .diff')).includes('web-2'));
  await press('Enter');
  await page.waitForSelector('dialog[open]', { state: 'detached', timeout: 60000 });
  await sleep(1500);
  const before = await alertsOf('entity=host.name:web-2');
  await page.goto(`${base}/console/alerts?status=open`);
  await page.waitForSelector('.row.cursor');
  await sleep(500);
  await send(['web-2', 'web-live']);
  check('a new alert arrives in the page by itself', await until(() => page.evaluate(() => document.querySelector('.rows')?.textContent.includes('web-live')), 30));
  check('what the exception names is raised no more', await alertsOf('entity=host.name:web-2') === before);

  // Hunting.
  await page.goto(`${base}/console/hunt?from=7d`);
  await page.fill('.editor textarea', 'process where proces.name = "curl"');
  await page.waitForSelector('.diagnostics .error');
  check('mistakes stand under the query', (await page.textContent('.diagnostics')).includes('process.name'));
  await page.fill('.editor textarea', 'process where host.name == "web-3"');
  await press('Control+Enter');
  await page.waitForSelector('.results tbody tr', { timeout: 60000 });
  check('a hunt finds the event', (await page.textContent('.results')).includes('security-credentials'));

  // A rule and what it would have told.
  await page.goto(`${base}/console/rule/${RULE}`);
  await page.waitForSelector('.rule-page h1');
  await page.evaluate(() => document.activeElement.blur());
  await press('P');
  await page.waitForSelector('.days', { timeout: 120000 });
  check('the preview counts its alerts', /\d/.test(await page.textContent('.days')));

  // One alert whole, incidents, groups; the other pages; and alerts that an attacker writes.
  const given = { page, base, token, api, check, until, press, sleep, alertsOf, shots, figures, keyTimes, RULE, target, profile, data, hosts: many };
  await trial.alertPages(given);
  await trial.groupPages(given);
  await checkPages({ page, base, api, alertsOf, check, until, press, send, sleep, folder, snapshots, RULE });
  await send(['web-evil'], trial.evilEvent());
  check('the hostile alert is stored', await until(async () => await alertsOf('entity=host.name:web-evil') >= 1, 30));
  await trial.hostilePages(given);
  if (many >= 60_000) await trial.manyAlerts(given);

  // Every page in both themes: screenshots, and axe.
  const one = (await api('/api/v1/alerts?entity=user.name:mallory&limit=1')).alerts[0].id;
  const pages = { alerts: '/console/alerts', incidents: '/console/alerts?group=incident', alert: `/console/alert/${one}`, incident: `/console/incident/${one}`, hunt: '/console/hunt?query=process%20where%20host.name%20%3D%3D%20%22web-3%22&from=7d', rules: '/console/rules', rule: `/console/rule/${RULE}`, coverage: '/console/coverage?technique=T1552.005', baselines: '/console/baselines', posture: '/console/posture?outcome=fail&outcome=unknown', sources: '/console/sources', entity: '/console/entity?field=host.name&value=web-3' };
  for (const theme of ['light', 'dark']) {
    const own = theme === 'light' ? page : await open('dark');
    for (const [name, way] of Object.entries(pages)) {
      await own.goto(base + way);
      await own.waitForLoadState('networkidle').catch(() => {});
      await sleep(1200);
      await own.screenshot({ path: path.join(shots, `${name}-${theme}.png`) });
      check(`${name} stays within the policy`, await own.evaluate(() => !(window.violations || []).length));
      const found = await own.evaluate(async (text) => {
        (0, eval)(text); // eslint-disable-line no-eval
        const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
        return violations.filter((one) => ['serious', 'critical'].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target.join(' ')).join(', ')}`);
      }, axe).catch(async () => {
        // The policy forbids eval, as it should; the browser's own channel puts axe in.
        const session = await own.context().newCDPSession(own);
        await session.send('Runtime.evaluate', { expression: axe });
        return own.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.filter((one) => ['serious', 'critical'].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target.join(' ')).join(', ')}`));
      });
      check(`${name}, ${theme}: nobody is shut out`, found.length === 0, found.join('; '));
    }
  }
  for (const tag of ['ru', 'zh']) {
    await page.goto(`${base}/console/alerts`);
    await page.selectOption('.bar select', tag);
    await sleep(800);
    await page.screenshot({ path: path.join(shots, `alerts-${tag}.png`) });
    check(`the page speaks ${tag}`, await page.evaluate((wanted) => document.documentElement.lang === wanted && !/[a-z]+\.[a-z]+\b/.test(document.querySelector('.rail').textContent), tag));
  }
  await page.selectOption('.bar select', 'en');

  // Logging out ends the session.
  const cookies = await page.context().cookies();
  await page.getByText('Log out').click();
  await page.waitForSelector('input[name=token]');
  const after = await fetch(`${base}/api/v1/alerts`, { headers: { Cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') } });
  check('after logging out the cookie is worth nothing', after.status === 401, after.status);
  check('the pages met no error', problems.length === 0, problems.join(' | '));
  check('nothing was asked of another host', asked.size === 1, [...asked].join(' '));

  const assets = path.join(root, 'crates/console/assets');
  const walk = (at) => fs.readdirSync(at, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? walk(path.join(at, entry.name)) : [path.join(at, entry.name)]));
  const files = walk(assets).filter((file) => /\.(js|css|html|svg)$/.test(file));
  // What a browser loads for a page: the frame, and the page with all that it imports. Charts have their own budget.
  const charts = ['chart.js', 'graph.js', 'drawing.js'];
  const packed = new Map(files.filter((file) => file.endsWith('.js')).map((file) => [file, zlib.gzipSync(fs.readFileSync(file), { level: 9 }).length]));
  const reach = (file, seen = new Set()) => {
    if (seen.has(file) || charts.includes(path.basename(file))) return seen;
    seen.add(file);
    for (const [, to] of fs.readFileSync(file, 'utf8').matchAll(/from '([^']+)'/g)) reach(to.startsWith('/console/') ? path.join(assets, to.slice(9)) : path.resolve(path.dirname(file), to), seen);
    return seen;
  };
  const size = (list) => [...list].reduce((sum, file) => sum + packed.get(file), 0);
  const sizes = fs.readdirSync(path.join(assets, 'pages')).map((name) => [name, size(reach(path.join(assets, 'pages', name), reach(path.join(assets, 'app.js'))))]).sort((one, other) => other[1] - one[1]);
  const all = files.reduce((sum, file) => sum + fs.statSync(file).size, 0);
  figures['largest page, bytes of gzip'] = sizes[0][1];
  figures['all scripts, bytes of gzip'] = size([...packed.keys()].filter((file) => !/texts\/(ru|zh)/.test(file)));
  figures['all assets, bytes'] = all;
  check('the script of each page within 100 KB of gzip, all assets within 600 KB', sizes[0][1] <= 100 * 1024 && all <= 600 * 1024, sizes.slice(0, 3).join(' '));
  check('first rows within a second', figures['first rows, ms'] < 1000 || profile === 'debug', figures['first rows, ms']);
} catch (error) {
  check('the run', false, error.stack);
} finally {
  await browser?.close();
  service.kill('SIGTERM');
  await until(() => service.exitCode !== null || service.signalCode !== null, 30);
  if (failures) console.log(fs.readFileSync(path.join(folder, 'log'), 'utf8').slice(-3000));
  fs.rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify({ alerts: many, profile, ...figures }));
console.log(failures ? `${failures} checks failed` : 'all checks passed');
process.exit(failures ? 1 : 0);
