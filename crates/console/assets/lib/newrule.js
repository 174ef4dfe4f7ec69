// A rule file made of a query, to go on with in an editor.

const toml = (text) => JSON.stringify(text);

/** A rule of Elastic's form for EQL, KQL and Lucene, of Sigma's for Sigma: its file name and text. */
export function ruleOf(language, query) {
  const id = crypto.randomUUID?.() ?? '00000000-0000-4000-8000-000000000000';
  if (language === 'sigma') {
    const indented = query.split('\n').map((line) => `    ${line}`).join('\n');
    return { file: 'rule.yml', text: /^detection:/m.test(query) ? query : `title: \nid: ${id}\nstatus: experimental\nlevel: medium\nlogsource:\n    category: \ndetection:\n${indented}\n` };
  }
  const [type, word] = { eql: ['eql', 'eql'], kql: ['query', 'kuery'], lucene: ['query', 'lucene'] }[language];
  const quoted = query.includes("'''") ? toml(query) : `'''\n${query.trim()}\n'''`;
  return { file: 'rule.toml', text: `[rule]\nrule_id = ${toml(id)}\nname = ""\ndescription = ""\ntype = ${toml(type)}\nlanguage = ${toml(word)}\nseverity = "medium"\nrisk_score = 47\nfrom = "now-9m"\ninterval = "5m"\nquery = ${quoted}\n` };
}
