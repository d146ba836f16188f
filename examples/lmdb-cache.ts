// A cache over two LMDB files, behind Keyv: it survives the process, and grows by a file while it is used.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ShardRouter } from 'foreshard'
import { KeyvForeshard } from 'foreshard/keyv'
import { lmdbStore, lmdbTopology } from 'foreshard/lmdb'
import Keyv from 'keyv'

const folder = mkdtempSync(join(tmpdir(), 'cache-'))
const file = (name: string) => lmdbStore({ path: join(folder, name) })
const topology = () => lmdbTopology({ path: join(folder, 'topology') })

let router = await ShardRouter.open({
  shards: { a: file('a'), b: file('b') },
  topology: topology(),
  buckets: 64,
})
let cache = new Keyv(KeyvForeshard(router), { namespace: 'pages', useKeyPrefix: false })
for (let page = 0; page < 200; page++) await cache.set(`/${page}`, `page ${page}`, 3_600_000)
await router.close()

router = await ShardRouter.open({ shards: { a: file('a'), b: file('b') }, topology: topology() })
cache = new Keyv(KeyvForeshard(router), { namespace: 'pages', useKeyPrefix: false })
console.log('after a restart:', await cache.get('/7'))

await router.addShard('c', file('c'))
const pages = await cache.getMany(Array.from({ length: 200 }, (_, page) => `/${page}`))
console.log(`on three files: ${pages.filter(Boolean).length} pages`)

await cache.clear()
console.log('cleared:', await cache.get('/7'))
await router.close()
rmSync(folder, { recursive: true })
