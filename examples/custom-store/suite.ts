import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock, type TestFunction, testShardStore } from 'foreshard/testing'
import { fileStore } from '../custom-store'

/** The contract, for the `test` of any runner. */
export function testFileStore(test: TestFunction): void | Promise<void> {
  return testShardStore({
    test,
    factory: () => {
      const folder = mkdtempSync(join(tmpdir(), 'custom-store-'))
      const store = () => fileStore(join(folder, 'rows'))
      return {
        store: store(),
        clock: new ManualClock(1_000_000),
        reopen: async () => store(),
        close: async () => rmSync(folder, { recursive: true }),
      }
    },
  })
}
