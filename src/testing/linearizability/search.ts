import { ABSENT, type State, type Step } from './step'

export interface SearchResult {
  verdict: 'linearizable' | 'violation' | 'undecided'
  /** Configurations visited, and the work of comparing them in the same unit. */
  states: number
  /** Of a violation: the answered operation, first by return, that no order reaches past. */
  stuck?: Step
  /** Every value that the key could have while `stuck` was open. */
  holds: ReadonlySet<State>
  /** A longest order of operations that reaches `stuck`. */
  prefix: readonly Step[]
}

/** A step's test and effect on numbered states; 0 is absent. */
interface Rule {
  test: Step['test']
  value: number
  to: number
}

/** How many uncertain members of each class were used up. */
type Used = ReadonlyMap<number, number>

interface Frame {
  /** Operations linearized on entry, in order: the move that led here, then the observers it allowed. */
  taken: number[]
  /** Group whose next uncertain member was the move, or -1. */
  group: number
  /** What to restore on leaving. */
  state: number
  level: number
  owed: number
  /** What to try from here: an operation, or -1-g for the next member of group g. */
  moves: number[]
}

const KEEP = -1
const NONE = -1

/**
 * Is there an order of the steps of one key that respects real time and what every step demands? Wing & Gong's search
 * (1993) with Lowe's memory of visited configurations (2017), as in Porcupine and Knossos. A configuration is the set of
 * linearized operations and the state. Five reductions, none of which changes the verdict:
 *
 * 1. Values that no remaining step tests for are one value: no step can tell them apart. So a value that was read for the
 *    last time is forgotten, and so is which of such values uncertain writes have written.
 * 2. An observer that is possible now is taken now, without an alternative: moving it forward in any order that
 *    completes leaves the order valid.
 * 3. Of operations with the same test and effect, all possible now, only the first to return is tried, among uncertain
 *    ones (which never return) the first invoked: exchanging the two in any order that completes leaves it valid.
 * 4. An uncertain step is taken only if the next step needs it, that is, would not have been possible without it: take an
 *    order with as few uncertain steps as there can be; a step that the next one does not need could be left out.
 * 5. A configuration is hopeless if one was that differs only in that it had used up fewer uncertain steps.
 *
 * They hold together: start from an order with the fewest uncertain steps (4 holds) and apply 2 and 3 from the front;
 * neither adds an uncertain step.
 *
 * `level` is the first operation, by return, that is not linearized; an operation may come next if it was invoked before
 * that return. With `concrete`, reduction 1 is left out, so that `holds` names all values.
 */
export function search(
  steps: readonly Step[],
  initial: State,
  maxStates: number,
  concrete = false,
): SearchResult {
  const ids = new Map<State, number>([[ABSENT, 0]])
  const names: State[] = [ABSENT]
  const idOf = (name: State): number => {
    const id = ids.get(name) ?? names.push(name) - 1
    ids.set(name, id)
    return id
  }

  // Inputs. Certain steps are numbered by return; rules number the pairs of test and effect.
  const certain = steps.filter((step) => step.certain).sort(byReturn)
  const end = certain.length
  const rules: Rule[] = []
  const ruleIds = new Map<string, number>()
  const ruleOf = (step: Step): number => {
    const rule = {
      test: step.test,
      value: idOf(step.value),
      to: step.to === undefined ? KEEP : idOf(step.to),
    }
    const text = `${rule.test} ${rule.value} ${rule.to}`
    const id = ruleIds.get(text) ?? rules.push(rule) - 1
    ruleIds.set(text, id)
    return id
  }
  const rule = certain.map(ruleOf)
  const invoked = certain.map((step) => step.operation.invokedAt)
  const returned = certain.map((step) => step.operation.returnedAt!)
  const { after, followed } = processOrder(certain)
  const uncertain = steps.filter((step) => !step.certain).sort(byInvocation)
  const groups: { rule: number; members: Step[]; used: number }[] = []
  for (const step of uncertain) {
    const id = ruleOf(step)
    const group = groups.find((other) => other.rule === id)
    if (group) group.members.push(step)
    else groups.push({ rule: id, members: [step], used: 0 })
  }
  const conditional = groups.filter((group) => rules[group.rule]!.test !== 'any')
  const first = idOf(initial)
  const lastTested = lastTests(
    names.length,
    certain.map((_, i) => rules[rule[i]!]!),
    conditional.map((group) => rules[group.rule]!),
  )

  // Internal data. The operations not yet linearized are a list linked by invocation, `end` is its head.
  const next = new Int32Array(end + 1)
  const previous = new Int32Array(end + 1)
  let last = end
  for (const i of [...certain.keys()].sort((a, b) => invoked[a]! - invoked[b]! || a - b)) {
    next[last] = i
    previous[i] = last
    last = i
  }
  next[last] = end
  previous[end] = last
  const done = new Uint8Array(end + 1)
  const seen = new Map<string, Used[]>()
  let states = 0
  const order: Step[] = []
  let state = first
  let level = 0
  // The state before an uncertain step that nothing has needed yet.
  let owed = NONE
  // The groups of the uncertain steps in `order`.
  const spent: number[] = []
  let best = { level: -1, holds: new Set<number>(), prefix: [] as Step[] }

  const fits = (id: number, at: number): boolean => {
    const { test, value } = rules[id]!
    return test === 'any' || (test === 'is') === (at === value)
  }
  const free = (i: number): boolean => after[i] === NONE || done[after[i]!] === 1
  const take = (frame: Frame, i: number): void => {
    done[i] = 1
    next[previous[i]!] = next[i]!
    previous[next[i]!] = previous[i]!
    const { to } = rules[rule[i]!]!
    if (to !== KEEP) state = to
    frame.taken.push(i)
    order.push(certain[i]!)
  }
  const available = (group: (typeof groups)[number]): boolean =>
    group.used < group.members.length && group.members[group.used]!.operation.invokedAt <= returned[level]!

  /** Reduction 1. */
  const classOf = (id: number): number =>
    concrete || id <= 0 || lastTested[id]! >= level ? id : names.length
  const ruleClassOf = (id: number): number => {
    const { test, value, to } = rules[id]!
    return (testCode[test] * (names.length + 1) + value) * (names.length + 2) + classOf(to) + 1
  }

  /** Reduction 5: whether this was visited with no more uncertain steps used; if not, it is from now on. */
  const visited = (key: string, used: Used): boolean => {
    const known = seen.get(key)
    states += Math.floor((known?.length ?? 0) / COMPARED_AS_ONE)
    if (known?.some((less) => isWithin(less, used))) return true
    if (known) known.push(used)
    else seen.set(key, [used])
    return false
  }

  /** Reduction 2, and the level that follows from it. */
  const settle = (frame: Frame): void => {
    const already = frame.taken.length
    for (let before = -1; before !== frame.taken.length; ) {
      before = frame.taken.length
      while (level < end && done[level]) level++
      if (level === end) return
      for (let i = next[end]!; i !== end && invoked[i]! <= returned[level]!; i = next[i]!)
        if (rules[rule[i]!]!.to === KEEP && fits(rule[i]!, state) && free(i)) take(frame, i)
    }
    if (frame.taken.length > already) owed = NONE
  }

  /** Fills in the moves, none if this configuration was visited before. */
  const explore = (frame: Frame): void => {
    const open: number[] = []
    for (let i = next[end]!; i !== end && invoked[i]! <= returned[level]!; i = next[i]!) open.push(i)
    if (level > best.level) best = { level, holds: new Set(), prefix: [] }
    if (level === best.level) {
      best.holds.add(state)
      if (concrete && order.length > best.prefix.length) best.prefix = [...order]
    }
    const used = new Map<number, number>()
    for (const g of spent) {
      const id = ruleClassOf(groups[g]!.rule)
      used.set(id, (used.get(id) ?? 0) + 1)
    }
    const key = `${level}|${open}|${classOf(state)}`
    // What is left out here because of `owed` was tried before the uncertain step; so `owed` is not part of the key.
    if (visited(key, used)) return
    states++

    const needed = (id: number, without: number) => without === NONE || !fits(id, without)
    const ready = open.filter(free)
    for (const i of ready) {
      const id = rule[i]!
      if (!fits(id, state) || !needed(id, owed)) continue
      const kind = ruleClassOf(id)
      // Where two return in one instant, only one that nothing of its process follows then gives way (3).
      const twin = (j: number) =>
        j < i && ruleClassOf(rule[j]!) === kind && (returned[j]! < returned[i]! || !followed[i])
      if (!ready.some(twin)) frame.moves.push(i)
    }
    // The last move is tried first: certain steps before uncertain ones, those that return first before others.
    frame.moves.sort((a, b) => b - a)
    const uncertainMoves = new Map<number, number>()
    for (const [g, group] of groups.entries()) {
      const { to } = rules[group.rule]!
      if (classOf(to) === classOf(state) || !available(group)) continue
      if (!fits(group.rule, state) || !needed(group.rule, owed)) continue
      const wants = (id: number) => fits(id, to) && !fits(id, state)
      const wanted =
        ready.some((i) => wants(rule[i]!)) ||
        conditional.some((other) => wants(other.rule) && available(other))
      const kind = ruleClassOf(group.rule)
      if (wanted && !uncertainMoves.has(kind)) uncertainMoves.set(kind, -1 - g)
    }
    frame.moves.unshift(...uncertainMoves.values())
  }

  const frames: Frame[] = []
  const enter = (move: number | undefined): void => {
    const frame: Frame = { taken: [], group: -1, state, level, owed, moves: [] }
    frames.push(frame)
    if (move !== undefined && move >= 0) {
      owed = NONE
      take(frame, move)
    } else if (move !== undefined) {
      frame.group = -1 - move
      const group = groups[frame.group]!
      owed = state
      state = rules[group.rule]!.to
      order.push(group.members[group.used++]!)
      spent.push(frame.group)
    }
    settle(frame)
    if (level < end) explore(frame)
  }
  const leave = (): void => {
    const frame = frames.pop()!
    for (const i of frame.taken.reverse()) {
      done[i] = 0
      next[previous[i]!] = i
      previous[next[i]!] = i
      order.pop()
    }
    if (frame.group >= 0) {
      groups[frame.group]!.used--
      spent.pop()
      order.pop()
    }
    ;({ state, level, owed } = frame)
  }

  const result = (verdict: SearchResult['verdict']): SearchResult => ({
    verdict,
    states,
    ...(verdict === 'violation' ? { stuck: certain[best.level] } : {}),
    holds: new Set([...best.holds].map((id) => names[id]!)),
    prefix: best.prefix,
  })
  enter(undefined)
  while (level < end) {
    if (states > maxStates) return result('undecided')
    const move = frames[frames.length - 1]!.moves.pop()
    if (move !== undefined) enter(move)
    else if (frames.length > 1) leave()
    else return result('violation')
  }
  return result('linearizable')
}

/** Comparing a configuration with so many known ones is as much work as visiting one, and is counted so. */
const COMPARED_AS_ONE = 32

function isWithin(less: Used, more: Used): boolean {
  for (const [id, count] of less) if (count > (more.get(id) ?? 0)) return false
  return true
}

const testCode = { any: 0, is: 1, not: 2 } as const

/**
 * For every state the last step, by return, that tests for it, or -1. A conditional uncertain step counts as long as what
 * it would write does: afterwards it turns one value that nobody asks for into another.
 */
function lastTests(count: number, certain: readonly Rule[], conditional: readonly Rule[]): number[] {
  const last = Array.from({ length: count }, () => -1)
  for (const [i, { test, value }] of certain.entries()) if (test !== 'any') last[value] = i
  for (let changed = true; changed; ) {
    changed = false
    for (const { value, to } of conditional) {
      const until = to === 0 ? Number.POSITIVE_INFINITY : last[to]!
      if (until <= last[value]!) continue
      last[value] = until
      changed = true
    }
  }
  return last
}

function byInvocation(a: Step, b: Step): number {
  return a.operation.invokedAt - b.operation.invokedAt
}

function byReturn(a: Step, b: Step): number {
  return a.operation.returnedAt! - b.operation.returnedAt! || byInvocation(a, b)
}

/**
 * Order that the clock does not show: `after` is the operation of the same process that returned in the instant in which
 * this one was invoked, or -1. `followed` is true of the operations that stand in `after`.
 */
function processOrder(certain: readonly Step[]): { after: number[]; followed: boolean[] } {
  const after = certain.map(() => NONE)
  const followed = certain.map(() => false)
  const latest = new Map<string | number, number>()
  for (const [i, { operation }] of certain.entries()) {
    const before = latest.get(operation.process)
    if (before !== undefined && certain[before]!.operation.returnedAt === operation.invokedAt) {
      after[i] = before
      followed[before] = true
    }
    latest.set(operation.process, i)
  }
  return { after, followed }
}
