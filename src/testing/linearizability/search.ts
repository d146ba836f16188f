import { ABSENT, type State, type Step } from './step'

export interface SearchResult {
  verdict: 'linearizable' | 'violation' | 'undecided'
  /** Configurations visited. */
  states: number
  /** Of a violation: the answered operation, first by return, that no order reaches past. */
  stuck?: Step
  /** Every value that the key could have while `stuck` was open. */
  holds: ReadonlySet<State>
  /** A longest order of operations that reaches `stuck`. */
  prefix: readonly Step[]
}

interface Frame {
  /** Operations linearized on entry, in order: the move that led here, then the observers it allowed. */
  taken: number[]
  /** Group whose next uncertain member was the move, or -1. */
  group: number
  /** What to restore on leaving. */
  state: number
  level: number
  owed: number
  used: string
  /** What to try from here: an operation, or -1-g for the next member of group g. */
  moves: number[]
}

const KEEP = -1
const NONE = -1

/**
 * Is there an order of the steps of one key that respects real time and what every step demands? Wing & Gong's search
 * (1993) with Lowe's memory of visited configurations (2017), as in Porcupine and Knossos. A configuration is the set of
 * linearized operations and the state. Four reductions, none of which changes the verdict:
 *
 * 1. Values that no step tests for are one value: no step can tell them apart.
 * 2. An observer that is possible now is taken now, without an alternative: moving it forward in any order that
 *    completes leaves the order valid.
 * 3. Of operations with the same test and effect, all possible now, only the first to return is tried, among uncertain
 *    ones (which never return) the first invoked: exchanging the two in any order that completes leaves it valid.
 * 4. An uncertain step is taken only if the next step needs it, that is, would not have been possible without it: take an
 *    order with as few uncertain steps as there can be; a step that the next one does not need could be left out.
 *
 * They hold together: start from an order with the fewest uncertain steps (4 holds) and apply 2 and 3 from the front;
 * neither adds an uncertain step.
 *
 * `level` is the first operation, by return, that is not linearized; an operation may come next if it was invoked before
 * that return. With `concrete`, reduction 1 is left out and `holds` names all values.
 */
export function search(
  steps: readonly Step[],
  initial: State,
  maxStates: number,
  concrete = false,
): SearchResult {
  const tested = new Set(steps.flatMap((step) => (step.test === 'any' ? [] : [step.value])))
  const ids = new Map<State, number>([[ABSENT, 0]])
  const names: State[] = [ABSENT]
  const idOf = (state: State): number => {
    const name = state === ABSENT || concrete || tested.has(state) ? state : 'another value'
    const id = ids.get(name) ?? names.push(name) - 1
    ids.set(name, id)
    return id
  }

  // Inputs. Certain steps are numbered by return; rules number the pairs of test and effect.
  const certain = steps.filter((step) => step.certain).sort(byReturn)
  const end = certain.length
  const rules: { test: Step['test']; value: number; to: number }[] = []
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
  const seen = new Set<string>()
  const order: Step[] = []
  let state = idOf(initial)
  let level = 0
  // The state before an uncertain step that nothing has needed yet.
  let owed = NONE
  let used = ''
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
    let key = `${level}|${open}|${state}|${used}`
    if (seen.has(key)) return
    if (owed !== NONE) key += `|${owed}`
    if (seen.has(key)) return
    seen.add(key)

    const needed = (id: number, without: number) => without === NONE || !fits(id, without)
    const ready = open.filter(free)
    for (const i of ready) {
      const id = rule[i]!
      if (!fits(id, state) || !needed(id, owed)) continue
      // Where two return in one instant, only one that nothing of its process follows then gives way (3).
      const twin = (j: number) => j < i && rule[j] === id && (returned[j]! < returned[i]! || !followed[i])
      if (!ready.some(twin)) frame.moves.push(i)
    }
    // The last move is tried first: certain steps before uncertain ones, those that return first before others.
    frame.moves.sort((a, b) => b - a)
    const uncertainMoves: number[] = []
    for (const [g, group] of groups.entries()) {
      const { to } = rules[group.rule]!
      if (to === state || !available(group) || !fits(group.rule, state) || !needed(group.rule, owed)) continue
      const wants = (id: number) => fits(id, to) && !fits(id, state)
      const wanted =
        ready.some((i) => wants(rule[i]!)) ||
        conditional.some((other) => wants(other.rule) && available(other))
      if (wanted) uncertainMoves.push(-1 - g)
    }
    frame.moves.unshift(...uncertainMoves)
  }

  const frames: Frame[] = []
  const enter = (move: number | undefined): void => {
    const frame: Frame = { taken: [], group: -1, state, level, owed, used, moves: [] }
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
      used = groups.flatMap((each, g) => (each.used ? [`${g}*${each.used}`] : [])).join()
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
      order.pop()
    }
    ;({ state, level, owed, used } = frame)
  }

  const result = (verdict: SearchResult['verdict']): SearchResult => ({
    verdict,
    states: seen.size,
    ...(verdict === 'violation' ? { stuck: certain[best.level] } : {}),
    holds: new Set([...best.holds].map((id) => names[id]!)),
    prefix: best.prefix,
  })
  enter(undefined)
  while (level < end) {
    if (seen.size > maxStates) return result('undecided')
    const move = frames[frames.length - 1]!.moves.pop()
    if (move !== undefined) enter(move)
    else if (frames.length > 1) leave()
    else return result('violation')
  }
  return result('linearizable')
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
