import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { invalid } from '../../errors'
import type { ModelStore } from '../model-store'

/**
 * In a file, which is replaced by renaming a complete one over it; both the new file and the name are flushed to disk. Readable by its
 * owner only, since it holds keys.
 */
export function fileModelStore(path: string): ModelStore {
  if (typeof path !== 'string' || path === '') throw invalid('path', 'must be the path of a file')
  const fresh = `${path}.new`
  return {
    load: () =>
      readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      }),
    save: async (model) => {
      // What a crash left, or somebody else's link, is not written to.
      await rm(fresh, { force: true })
      const file = await open(fresh, 'wx', 0o600)
      try {
        await file.writeFile(model)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(fresh, path)
      await syncFolder(dirname(path))
    },
  }
}

/** Where folders cannot be opened, names are flushed by the system. */
async function syncFolder(path: string): Promise<void> {
  let folder: Awaited<ReturnType<typeof open>>
  try {
    folder = await open(path, 'r')
  } catch {
    return
  }
  try {
    await folder.sync().catch(() => {})
  } finally {
    await folder.close()
  }
}
