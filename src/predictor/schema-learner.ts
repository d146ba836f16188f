import type { DataRelationships, Entity, SchemaInfo } from '../placement/tag'
import type { KeySample, SampledTransaction } from './key-sample'
import { type KeyTemplate, type ParsedKey, parseKeys } from './key-template'
import type { LearnedRule, LearnedSchema } from './learned-schema'
import type { Pace } from './pace'
import type { Objective } from './prediction'
import { Agreement, type Field } from './tag-agreement'

/** Multi-key transactions that must be in the sample before anything is learned from them. */
const FEWEST = 64
/** Share of them that a rule is found on; how much it helps is measured on the others, which came later. */
const TRAINING = 0.7
/** What a rule must lower J by, beyond the price of founding anew, to be worth saying. */
const LEAST_GAIN = 0.05
/** Rules that are found one after the other, each among the templates that are left over. */
const MOST_RULES = 4

/**
 * Learns which part of a key says where it belongs. A field of one template and a field of another agree if keys that share a
 * transaction have the same value in them far more often than chance would have it; fields that agree are one field, and
 * its value the tag. So a key that was never seen before goes with its relatives, as soon as its name is known. Fields are
 * chosen as in Schism's (Curino et al. 2010) and Horticulture's (Pavlo et al. 2012) range of answers: by the transactions that
 * they keep on one shard, less the imbalance that tags so few and so large would make.
 */
export async function learnSchema(
  sample: KeySample,
  shards: number,
  objective: Objective,
  pace: Pace,
): Promise<LearnedSchema | undefined> {
  const multi = sample.transactions.members.filter(({ keys }) => keys.length > 1)
  if (shards < 2 || multi.length < FEWEST) return undefined
  const accesses = sample.accesses.members
  const { templates, of } = parseKeys([
    ...accesses.map(({ key }) => key),
    ...multi.flatMap(({ keys }) => keys),
  ])
  await pace.rest()
  const byTime = multi.sort((a, b) => a.timestamp - b.timestamp)
  const cut = Math.floor(TRAINING * byTime.length)
  const training = byTime.slice(0, cut)
  const held = byTime.slice(cut)
  const agreement = new Agreement(
    templates.map(({ literals }) => literals.length - 1),
    training.map(({ keys }) => keys.flatMap((key) => of.get(key) ?? [])),
  )
  await pace.rest()
  const loads = new Map<string, number>()
  for (const { key, operation, count = 1, weight } of accesses)
    loads.set(
      key,
      (loads.get(key) ?? 0) + weight * count * (operation === 'write' ? objective.writeWeight : 1),
    )
  const scoreOf = (transactions: readonly SampledTransaction[], rules: readonly (readonly Field[])[]) =>
    score(transactions, loads, of, rules, shards)

  const chosen: Field[][] = []
  const free = new Set(templates.keys())
  let worth = value(scoreOf(training, chosen), objective)
  while (chosen.length < MOST_RULES) {
    let best: { fields: Field[]; worth: number } | undefined
    for (const fields of agreement.candidates(free)) {
      const tried = value(scoreOf(training, [...chosen, fields]), objective)
      if (best === undefined || tried > best.worth) best = { fields, worth: tried }
      await pace.rest()
    }
    if (best === undefined || best.worth < worth + LEAST_GAIN) break
    chosen.push(best.fields)
    worth = best.worth
    for (const { template } of best.fields) free.delete(template)
  }
  if (chosen.length === 0) return undefined
  const before = scoreOf(held, [])
  const after = scoreOf(held, chosen)
  const { mean, deviation } = saving(before, after, objective)
  // As if all that there is had to move once.
  const price = objective.churn * (1 - 1 / shards)
  if (mean < price + LEAST_GAIN) return undefined
  const described = describe(chosen, templates, agreement)
  return {
    ...described,
    crossing: { before: before.crossing, after: after.crossing },
    imbalance: { before: before.imbalance, after: after.imbalance },
    tags: after.tags,
    largestTag: after.largest,
    // What has held so often may still fail the next time (Laplace).
    confidence: Math.min(1 - 1 / (before.crosses.length + 2), normal((mean - price) / deviation)),
    reasons: reasonsFor(described.rules, before, after),
  }
}

interface Score {
  readonly crossing: number
  readonly imbalance: number
  readonly tags: number
  readonly largest: number
  /** Per multi-key transaction: the chance that it crosses, and its weight. */
  readonly crosses: readonly { readonly chance: number; readonly weight: number }[]
}

/** What tags by these fields come to: k tags of a transaction lie on one of n shards by chance with n^(1 − k). */
function score(
  transactions: readonly SampledTransaction[],
  loadOf: ReadonlyMap<string, number>,
  of: ReadonlyMap<string, ParsedKey>,
  rules: readonly (readonly Field[])[],
  shards: number,
): Score {
  const at = new Map<number, { rule: number; place: number }>()
  rules.forEach((fields, rule) => {
    for (const { template, place } of fields) at.set(template, { rule, place })
  })
  const tagOf = (key: string) => {
    const parsed = of.get(key)
    const by = parsed && at.get(parsed.template)
    return by ? `${by.rule}\0${parsed.fields[by.place]}` : key
  }
  const loads = new Map<string, number>()
  for (const [key, load] of loadOf) {
    const tag = tagOf(key)
    loads.set(tag, (loads.get(tag) ?? 0) + load)
  }
  const crosses = transactions.map(({ keys, weight }) => {
    const tags = new Set(keys.map(tagOf)).size
    return { chance: 1 - shards ** (1 - tags), weight }
  })
  const all = crosses.reduce((sum, { weight }) => sum + weight, 0)
  const crossing = crosses.reduce((sum, { chance, weight }) => sum + chance * weight, 0) / all
  const { imbalance, largest } = packed([...loads.values()], shards)
  return { crossing, imbalance, tags: loads.size, largest, crosses }
}

/** Maximum over mean when loads are dealt out largest first, each to the emptiest shard (LPT, Graham 1969). */
function packed(loads: number[], shards: number): { imbalance: number; largest: number } {
  loads.sort((a, b) => b - a)
  const bins = new Float64Array(shards)
  let total = 0
  for (const load of loads) {
    let emptiest = 0
    for (let bin = 1; bin < shards; bin++) if (bins[bin]! < bins[emptiest]!) emptiest = bin
    bins[emptiest]! += load
    total += load
  }
  if (total === 0) return { imbalance: 1, largest: 0 }
  return { imbalance: (Math.max(...bins) * shards) / total, largest: loads[0]! / total }
}

function value({ crossing, imbalance }: Score, objective: Objective): number {
  return -(objective.crossing * crossing + objective.imbalance * imbalance)
}

/** What J falls by, and the standard deviation of that estimate. */
function saving(before: Score, after: Score, objective: Objective): { mean: number; deviation: number } {
  const n = before.crosses.length
  const difference = before.crosses.map(({ chance }, k) => chance - after.crosses[k]!.chance)
  const average = difference.reduce((sum, each) => sum + each, 0) / n
  const variance = difference.reduce((sum, each) => sum + (each - average) ** 2, 0) / Math.max(1, n - 1)
  return {
    mean:
      objective.crossing * (before.crossing - after.crossing) +
      objective.imbalance * (before.imbalance - after.imbalance),
    deviation: Math.max(1e-6, objective.crossing * Math.sqrt(variance / n)),
  }
}

/** The rules as a schema. */
function describe(
  chosen: readonly (readonly Field[])[],
  templates: readonly KeyTemplate[],
  agreement: Agreement,
): { schema: SchemaInfo; relationships: DataRelationships; rules: LearnedRule[] } {
  const [names, fieldNames] = [new Names(), new Names()]
  const entities: Entity[] = []
  const relationships: DataRelationships = []
  const rules: LearnedRule[] = []
  for (const fields of chosen) {
    // Whose key is nothing but the field is what the others belong to; or else the one that is seen most.
    const alone = fields.filter(({ template }) => templates[template]!.literals.length === 2)
    const root =
      alone.sort((a, b) => lettersOf(templates[a.template]!) - lettersOf(templates[b.template]!))[0] ??
      fields[0]!
    const field = fieldNames.take(word(templates[root.template]!))
    const follows = names.take(word(templates[root.template]!))
    for (const each of fields) {
      const template = templates[each.template]!
      const entity = each === root ? follows : names.take(word(template))
      const key = template.literals.reduce((pattern, literal, k) => {
        const name = k - 1 === each.place ? field : `part${k}`
        return k === 0 ? literal : `${pattern}{${name}}${literal}`
      }, '')
      entities.push({ name: entity, key, tag: field })
      if (each !== root) relationships.push({ from: entity, to: follows, on: field })
      rules.push({ entity, key, field, follows, ...agreement.evidence(each, fields) })
    }
  }
  // The last field of a pattern runs to the end of a key: the more a pattern says, the earlier it is tried.
  const literal = ({ key }: Entity) => key.replace(/\{[^}]*\}/g, '').length
  entities.sort((a, b) => literal(b) - literal(a) || (a.key < b.key ? -1 : 1))
  return { schema: { entities }, relationships, rules }
}

function lettersOf({ literals }: KeyTemplate): number {
  return literals.join('').length
}

/** Names that are not taken yet; part1, part2 … are fields that decide nothing. */
class Names {
  readonly #taken = new Set<string>()

  take(wish: string): string {
    let name = wish
    for (let n = 2; this.#taken.has(name) || /^part\d+$/.test(name); n++) name = `${wish}-${n}`
    this.#taken.add(name)
    return name
  }
}

/** A word for a template: its first literal without separators. */
function word({ literals }: KeyTemplate): string {
  return literals.find((literal) => /\w/.test(literal))?.replace(/^\W+|\W+$/g, '') || 'field'
}

function reasonsFor(rules: readonly LearnedRule[], before: Score, after: Score): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
  return [
    `${percent(before.crossing)} of the multi-key transactions touch several shards as keys are tagged now, ${percent(after.crossing)} with this schema; ${after.tags} tags, the largest with ${percent(after.largest)} of the load.`,
    ...rules.map(
      ({ key, field, follows, agreement, lift, pairs }) =>
        `${key} follows ${follows}: of ${pairs} pairs of keys in one transaction ${percent(agreement)} agree in ${field}, ${lift.toFixed(1)} times what chance would make it.`,
    ),
  ]
}

/** The standard normal distribution function (Abramowitz and Stegun 7.1.26). */
function normal(z: number): number {
  const t = 1 / (1 + 0.3275911 * (Math.abs(z) / Math.SQRT2))
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  const tail = series * Math.exp((-z * z) / 2)
  return z >= 0 ? 1 - tail / 2 : tail / 2
}
