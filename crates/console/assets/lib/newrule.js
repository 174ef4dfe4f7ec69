// A rule made of a query, with tests of what it found: checked by the service, its difference shown, then written, from when on it runs.

import { html, useState } from './ui.js';
import { post, put } from './api.js';
import { useGet } from './load.js';
import { Dialog, closeDialog, say } from './dialog.js';
import { Diagnostics, Diff, SEVERITIES, page } from './parts.js';
import { Safe } from './safe.js';
import { go } from './route.js';
import { t } from './text.js';
import { yamlText } from './exception.js';

const toml = (text) => JSON.stringify(text);

/** A rule of Elastic's form for EQL, KQL and Lucene, of Sigma's for Sigma. */
export function ruleText({ language, query, id, name, description, severity }) {
  const risk = { low: 21, medium: 47, high: 73, critical: 99 }[severity];
  if (language === 'sigma') {
    if (/^detection:/m.test(query)) return query;
    const indented = query.trimEnd().split('\n').map((line) => `    ${line}`).join('\n');
    const condition = /^\s*condition:/m.test(query) ? '' : `\n    condition: ${/^(\w+):/m.exec(query)?.[1] || 'selection'}`;
    return `title: ${yamlText(name)}\nid: ${id}\nstatus: experimental\ndescription: ${yamlText(description)}\nlevel: ${severity}\nlogsource:\n    category: process_creation\ndetection:\n${indented}${condition}\n`;
  }
  const [type, word] = { eql: ['eql', 'eql'], kql: ['query', 'kuery'], lucene: ['query', 'lucene'] }[language];
  const quoted = query.includes("'''") ? toml(query) : `'''\n${query.trim()}\n'''`;
  return `[rule]\nrule_id = ${toml(id)}\nname = ${toml(name)}\ndescription = ${toml(description)}\ntype = ${toml(type)}\nlanguage = ${toml(word)}\nseverity = ${toml(severity)}\nrisk_score = ${risk}\nfrom = "now-9m"\ninterval = "5m"\nquery = ${quoted}\n`;
}

/** An event without what was added to it here, as a case gives it. */
function given(document) {
  const { neph, ...rest } = document;
  return rest;
}

const inYaml = (value) => JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Tests to begin with: the events of a result must raise the alert, and a place for what looks like it and is none. */
export function testText(name, events) {
  const base = events[0]?.['@timestamp'];
  return [
    ...(base ? [`base: ${yamlText(base)}`] : []), 'cases:', `  - name: ${yamlText(t('newrule.case'))}`, '    events:',
    ...events.map((event) => `      - ecs: ${inYaml(given(event))}`), '    expect:', `      - rule: ${yamlText(name)}`,
    `  # ${t('newrule.other')}`, '  # - name: ""', '  #   events:', '  #     - ecs: {}', '  #   expect: none', '',
  ].join('\n');
}

const fileName = (name) => name.toLowerCase().normalize('NFKD').replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 56) || 'rule';

/** How the cases of tests went. */
export const Cases = ({ cases }) => html`<ul class="cases">${cases.map((one) => html`<li><span class=${one.passed ? 'holds' : 'problem'}>${one.passed ? '✓' : '✗'} ${t(one.passed ? 'case.passed' : 'case.failed')}</span> <${Safe} text=${one.name} most=${300} /> <small>${one.line}</small>
  ${one.failures.map((failure) => html`<div class="help"><${Safe} text=${failure.message} most=${1000} />${failure.details.map((line) => html`<div><${Safe} text=${line} most=${1000} /></div>`)}</div>`)}</li>`)}</ul>`;

/** What the service says of a rule file that is proposed. */
function Told({ answer, text, tests, onText, onTests }) {
  return html`<${Diagnostics} list=${answer.diagnostics} text=${text} onFix=${onText} />
    ${answer.rules.flatMap((rule) => rule.reasons.map((reason) => html`<p class="warn"><${Safe} text=${reason} /></p>`))}
    ${answer.test_diagnostics.length > 0 && html`<h3>${t('newrule.tests')}</h3><${Diagnostics} list=${answer.test_diagnostics} text=${tests} onFix=${onTests} />`}
    ${answer.cases.length > 0 && html`<h3>${t('newrule.tests')}</h3><${Cases} cases=${answer.cases} />`}
    ${answer.diff && html`<h3>${t('except.difference')} <code>${answer.file}</code></h3><${Diff} text=${answer.diff} />`}`;
}

const path = (file) => `/api/v1/rule-files/${encodeURIComponent(file)}`;

/** The texts of a rule and its tests, which are checked, shown and written. */
function Files({ file, title, start, base, children }) {
  const [text, setText] = useState(start.text);
  const [tests, setTests] = useState(start.tests || '');
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState('');
  const change = (set) => (value) => { set(value); setAnswer(null); };
  const body = () => ({ text, tests: tests.trim() ? tests : null, base });
  const submit = async () => {
    setProblem('');
    try {
      if (!answer?.valid) {
        setAnswer(await post(`${path(file)}/proposal`, body()));
        return;
      }
      const written = await put(path(file), body());
      closeDialog();
      const [id] = written.rules;
      say(t('newrule.done', { file: written.file }), id ? { action: { text: t('alert.rule'), run: () => go(page(`rule/${encodeURIComponent(id)}`)) } } : {});
    } catch (error) {
      setProblem(error.message);
      setAnswer(null);
    }
  };
  const failed = answer?.cases.some((one) => !one.passed);
  return html`<${Dialog} wide title=${title} submit=${t(answer?.valid ? (failed ? 'newrule.write.anyway' : 'except.write') : 'newrule.check')} onSubmit=${submit} problem=${problem}>
    ${children}<label>${t('rule.source')} <code>${file}</code><textarea rows=${Math.min(24, text.split('\n').length + 1)} spellcheck="false" autofocus value=${text} onInput=${(event) => change(setText)(event.currentTarget.value)}></textarea></label>
    <label>${t('newrule.tests')} <code>${file.replace(/\.\w+$/, '.test.yaml')}</code><textarea rows=${Math.min(16, tests.split('\n').length + 1)} spellcheck="false" value=${tests} onInput=${(event) => change(setTests)(event.currentTarget.value)}></textarea></label>
    ${answer && html`<div aria-live="polite"><${Told} answer=${answer} text=${text} tests=${tests} onText=${change(setText)} onTests=${change(setTests)} /></div>`}<//>`;
}

/** First what the rule is called, then its files. */
export function NewRuleForm({ language, query, events }) {
  const [said, setSaid] = useState(null);
  const id = crypto.randomUUID?.() ?? '00000000-0000-4000-8000-000000000000';
  if (said) {
    const file = `${fileName(said.name)}.${language === 'sigma' ? 'yml' : 'toml'}`;
    return html`<${Files} key="files" title=${`${t('hunt.rule')}: ${said.name}`} file=${file} base=${null} start=${{ text: ruleText({ language, query, id: said.id, ...said }), tests: events.length ? testText(said.name, events) : '' }} />`;
  }
  return html`<${Dialog} key="name" title=${t('hunt.rule')} submit=${t('newrule.next')} onSubmit=${({ name, description, severity }) => setSaid({ name: name.trim(), description: description.trim() || name.trim(), severity, id })}>
    <label>${t('views.name')}<input name="name" required maxlength="120" autofocus autocomplete="off" /></label><label>${t('newrule.description')}<input name="description" maxlength="1000" autocomplete="off" /></label>
    <label>${t('facet.severity')}<select name="severity">${[...SEVERITIES].reverse().map((one) => html`<option value=${one} selected=${one === 'medium'}>${t(`severity.${one}`)}</option>`)}</select></label>
    <p class="hint">${t(events.length ? 'newrule.hint' : 'newrule.hint.none')}</p><//>`;
}

/** A rule file that was written here, to be changed. */
export function EditRule({ file }) {
  const { value, problem } = useGet(path(file));
  if (!value) return html`<${Dialog} key="wait" title=${file} problem=${problem}><p>${problem ? '' : t('loading')}</p><//>`;
  return html`<${Files} key="files" title=${`${t('rule.edit')}: ${file}`} file=${file} base=${value.hash} start=${value} />`;
}
