import { bundleWorker } from '../simulate/bundle'
import { range, simulateAll } from '../simulate/fleet'
import { MOST_SEEDS, type Mutant, mutated } from './mutants'

export interface Caught {
  readonly mutant: Mutant
  /** The first seed that noticed it; undefined: none of MOST_SEEDS did. */
  readonly seed: number | undefined
  /** The first line of what was noticed. */
  readonly noticed: string
}

/** Simulates with the fault built in, as everybody else does, until it is noticed. */
export async function hunt(mutant: Mutant, operations: number): Promise<Caught> {
  const { file, store } = mutant
  const worker = await bundleWorker({ file, change: (text) => mutated(mutant, text) })
  let caught: Caught = { mutant, seed: undefined, noticed: '' }
  try {
    const options = { worker: worker.path, store, workers: 1, options: { operations } }
    await simulateAll(options, range(1, MOST_SEEDS), ({ ok, seed, problems }) => {
      if (!ok) caught = { mutant, seed, noticed: problems[0]!.split('\n')[0]! }
      return ok
    })
  } finally {
    worker.remove()
  }
  return caught
}

/** Two at a time: a hunt is a process of its own, and most end after few seeds. */
export async function huntAll(
  mutants: readonly Mutant[],
  operations: number,
  onCaught: (caught: Caught) => void = () => {},
): Promise<Caught[]> {
  const open = [...mutants.keys()]
  const caught: Caught[] = []
  const hunter = async () => {
    for (let i = open.shift(); i !== undefined; i = open.shift()) {
      caught[i] = await hunt(mutants[i]!, operations)
      onCaught(caught[i]!)
    }
  }
  await Promise.all([hunter(), hunter()])
  return caught
}
