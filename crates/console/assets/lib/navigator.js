// Layers of ATT&CK Navigator, format 4.5 (github.com/mitre-attack/attack-navigator, layers/spec/v4.5): written, and read with what is wrong with them.

import { plain } from './safe.js';
import { t } from './text.js';

const MOST = 5 << 20;
/** A layer that is laid over the matrix goes with the address up to this length. */
const ADDRESS = 6000;
const ID = /^T\d{4}(\.\d{3})?$/;

/** The layer of a matrix: the more rules, the darker; what was not covered says why. */
export function layerOf(matrix, fired, marksOf) {
  return {
    name: 'Nephoscope', versions: { attack: String(matrix.attack).split('.')[0], navigator: '5.1.0', layer: '4.5' }, domain: 'enterprise-attack',
    description: matrix.platforms.join(', '), filters: { platforms: matrix.platforms }, sorting: 3,
    layout: { layout: 'side', aggregateFunction: 'average', showID: true, showName: true, showAggregateScores: false, countUnscored: false, expandedSubtechniques: 'none' },
    hideDisabled: false,
    techniques: matrix.techniques.map((technique) => {
      const marks = marksOf(technique);
      return {
        techniqueID: technique.id, score: technique.rules.filter((rule) => rule.state !== 'rejected').length, enabled: true, color: '', comment: technique.rules.map((rule) => plain(rule.name)).join('; '), showSubtechniques: false, links: [],
        metadata: [...Object.entries(marks).map(([name, value]) => ({ name, value: value ? 'yes' : 'no' })), { name: 'alerts of 7 days', value: String(fired?.[technique.id] || 0) }, ...(technique.gap ? [{ name: 'gap', value: technique.gap }] : [])],
      };
    }),
    gradient: { colors: ['#ffffffff', '#d6eaffff', '#1f6fb2ff'], minValue: 0, maxValue: 5 }, legendItems: [], metadata: [], links: [], showTacticRowBackground: false, tacticRowBackground: '#dddddd', selectTechniquesAcrossTactics: true, selectSubtechniquesWithParent: false, selectVisibleTechniques: false,
  };
}

/** Reads a layer: `{ name, scores: Map, problems }`. What is wrong is told at once, and what is right is taken all the same. */
export function readLayer(text) {
  const problems = [];
  const scores = new Map();
  const wrong = (key, parameters) => { if (problems.length < 20) problems.push(t(key, parameters)); };
  if (text.length > MOST) return { name: '', scores, problems: [t('layer.large')] };
  let layer;
  try {
    layer = JSON.parse(text);
  } catch (error) {
    return { name: '', scores, problems: [t('layer.json', { why: error.message })] };
  }
  if (layer === null || typeof layer !== 'object' || !Array.isArray(layer.techniques)) return { name: '', scores, problems: [t('layer.none')] };
  const version = String(layer.versions?.layer ?? layer.version ?? '');
  if (!/^4(\.|$)/.test(version)) wrong('layer.version', { version: version || '–' });
  if (layer.domain && !/enterprise/.test(layer.domain)) wrong('layer.domain', { domain: String(layer.domain) });
  for (const [index, one] of layer.techniques.slice(0, 20000).entries()) {
    const id = one?.techniqueID;
    if (typeof id !== 'string' || !ID.test(id)) {
      wrong('layer.technique', { number: index + 1 });
      continue;
    }
    if (one.score !== undefined && one.score !== null && typeof one.score !== 'number') wrong('layer.score', { id });
    if (one.enabled === false) continue;
    // One that is only coloured or told of counts, too.
    const score = typeof one.score === 'number' ? one.score : one.color || one.comment ? 1 : null;
    if (score !== null) scores.set(id, Math.max(score, scores.get(id) ?? -Infinity));
  }
  if (!scores.size) wrong('layer.empty');
  return { name: String(layer.name ?? '').slice(0, 120), scores, problems };
}

/** A layer as the address holds it: its name, and ids by score without their `T`; `null` where that is too long. */
export function toAddress({ name, scores }) {
  const by = new Map();
  for (const [id, score] of scores) by.set(score, [...(by.get(score) || []), id.slice(1)]);
  const text = `${name.replace(/[|~]/g, ' ')}|${[...by].map(([score, ids]) => `${score}~${ids.join(',')}`).join('|')}`;
  return text.length > ADDRESS ? null : text;
}

export function fromAddress(text) {
  const [name, ...parts] = text.split('|');
  const scores = new Map();
  for (const part of parts) {
    const [score, ids] = part.split('~');
    for (const id of (ids || '').split(',')) if (ID.test(`T${id}`) && Number.isFinite(Number(score))) scores.set(`T${id}`, Number(score));
  }
  return { name, scores };
}
